"""The parts of the benchmark, each a function from a plan to a plain dictionary of figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from experiments.bench import fresh
from experiments.bench.contenders import CONTENDERS, FEATURES, installed
from experiments.bench.drive import race
from experiments.bench.saving import WAYS
from experiments.bench.tasks import KINDS

_OURS = ("bare", "default", "everything")
_WITH_THEIRS = [f"{library} {kind}" for library in ("leyden", "lightning") for kind in _OURS]
_EVERYBODY = ["raw, gathered", "raw, fused", *_WITH_THEIRS, "leyden bare, own collate"]
_EVERYBODY += ["leyden everything, own collate", "leyden bare, fused", "fabric", "accelerate", "transformers"]
_EVERYBODY += ["ignite bare", "ignite everything"]
_FEW = ["raw, gathered", "leyden bare", "leyden everything", "lightning bare", "lightning default"]


class Plan(NamedTuple):
    """How much of it: names of tasks and libraries, and numbers of rounds."""

    tasks: dict[str, Sequence[str]]  # the contenders of each
    rounds: int
    libraries: Sequence[str]  # whose features get a price
    fresh_rounds: int
    parts: Sequence[str]
    chunk: int | None = None  # steps in a turn, where not the task's own


PARTS = ("steps", "prices", "fits", "saving", "imports", "starts")
_LARGE = ["raw, fused", *_WITH_THEIRS, "leyden bare, fused"]
FULL = Plan({"mlp": _EVERYBODY, "cnn": _EVERYBODY, "lm": _LARGE}, 24, ("leyden", "lightning"), 7, PARTS)
QUICK = Plan({"mlp": _EVERYBODY, "cnn": _FEW}, 6, ("leyden",), 2, PARTS)


def steps(plan: Plan) -> dict[str, Any]:
    """Measure a training step, task by task, over the hand-written loop."""
    return {
        task: race("raw", _present(names), _command(task, "steps", plan.chunk), plan.rounds)
        for task, names in plan.tasks.items()
    }


def prices(plan: Plan) -> dict[str, Any]:
    """Measure what one feature adds to a bare trainer on the MLP, in steps of the hand-written loop (CPU time)."""
    found: dict[str, Any] = {}
    for library in plan.libraries:
        bare, names = f"{library} bare", [f"{library} {feature}" for feature in FEATURES]
        names = [name for name in names if name in CONTENDERS]
        own = ["raw, clipping", "raw, accuracy, called", "raw, accuracy, updated"] if library == "leyden" else []
        results = race("raw", _present([bare, *names, *own]), _command("mlp", "steps", plan.chunk), plan.rounds)
        for feature, count in FEATURES.items():
            if f"{library} {feature}" in results:
                above = [each - results[bare]["cpu"][1] for each in results[f"{library} {feature}"]["cpu"]]
                found[f"{library} {feature}"] = [each / count for each in above]
        for name in own:
            found[name] = [each - 1 for each in results[name]["cpu"]]
    return found


def fits(plan: Plan) -> dict[str, Any]:
    """Measure whole fits of one batch: what is left is the constant cost."""
    names = [f"{library} {kind}" for library in ("leyden", "lightning") for kind in ("bare", "files")]
    others = ["fabric", "accelerate", "transformers", "ignite bare"]
    return race("raw", _present([*names, *others]), _command("mlp", "fits"), plan.rounds)


def saving(plan: Plan) -> dict[str, Any]:
    """Measure a synchronous checkpoint of 200 MB over `torch.save`."""
    base, *others = WAYS
    return race(base, others, lambda name: ["-m", "experiments.bench.saving", name], plan.rounds)


def imports(plan: Plan) -> dict[str, Any]:
    """Measure imports in fresh processes."""
    return fresh.imports(plan.fresh_rounds)


def starts(plan: Plan) -> dict[str, Any]:
    """Measure the way to the first step in fresh processes."""
    return fresh.starts(plan.fresh_rounds)


def _present(names: Sequence[str]) -> list[str]:
    return [name for name in names if installed(name)]


def left_out(plan: Plan) -> list[str]:
    """Return the contenders that cannot take part, as their package is not installed."""
    asked = [name for names in plan.tasks.values() for name in names]
    return sorted({CONTENDERS[name].package for name in asked if not installed(name)})


def _command(task: str, turns: str, chunk: int | None = None) -> Callable[[str], list[str]]:
    steps = str(chunk or KINDS[task].chunk)
    return lambda name: ["-m", "experiments.bench.contenders", name, task, turns, steps]


def disagreements(results: dict[str, Any]) -> list[str]:
    """Return who ended with other weights or another loss than the hand-written loop, and should not have."""
    return [
        f"{task}: {name} ({figures['weights_apart']:.1e} apart after {figures['compared_after']} steps)"
        for task, table in results.get("steps", {}).items()
        for name, figures in table.items()
        if CONTENDERS[name].same_mathematics and not figures.get("equal", name == "raw")
    ]
