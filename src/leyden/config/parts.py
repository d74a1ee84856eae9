"""Parts of runs that are going to be started elsewhere, built once each: wrong values are found in good time.

A run that is executed right here is built as a whole before its directory is made. One that a launcher gets is built
where it runs, on a machine that has the data and the accelerators. What can be built anywhere is built here, too, and
takes no memory for weights: shipped models, data sets, callbacks and loggers; and the optimizer with its schedule, on a
parameter of its own. Points of a grid share most parts, and each part is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from leyden import rng
from leyden.config.build import build_part
from leyden.config.plain import STAND_IN
from leyden.config.problems import ConfigProblems, Problem
from leyden.errors import ConfigurationError
from leyden.optimizer_groups import Length, prove

_SHIPPED = ("leyden.", "torch.optim.")
_MANY = ("callbacks", "logger")  # by name
_ONE = ("model", "data")


def prove_parts(configs: Sequence[Mapping[str, Any]], overrides: Sequence[Sequence[str]]) -> None:
    """Build the parts of several runs that can be built anywhere.

    Args:
        configs: Resolved, one a run.
        overrides: What each of them was composed with.

    Raises:
        ConfigProblems: What is wrong with those of the first wrong run, with its number and overrides.
    """
    proven: set[str] = set()
    for number, (config, lines) in enumerate(zip(configs, overrides, strict=True)):
        problems = list(_problems(config, proven))
        if problems:
            what = f"job {number} of {len(configs)}: {' '.join(lines) or 'no overrides'}"
            raise ConfigProblems(problems, "the composed config" if len(configs) == 1 else what)


def _problems(config: Mapping[str, Any], proven: set[str]) -> Iterator[Problem]:
    run_dir = str((config.get("paths") or {}).get("run_dir"))
    for path, values in _parts(config):
        identity = repr((path, values)).replace(run_dir, STAND_IN)
        if identity not in proven and _is_shipped(values):
            yield from _proven(path, values)
            proven.add(identity)
    trainer = config.get("trainer") or {}
    length = Length(*(trainer.get(name) for name in ("max_epochs", "max_steps", "fast_dev_run")))
    given = config.get("optimizer") or None, config.get("scheduler") or None
    identity = repr((given, length))
    if identity not in proven and all(map(_is_shipped, given)):
        yield from _schedule(*given, length)
        proven.add(identity)


def _parts(config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    named = [(f"{group}.{name}", node) for group in _MANY for name, node in (config.get(group) or {}).items()]
    for path, node in [*((group, config.get(group)) for group in _ONE), *named]:
        if isinstance(node, dict) and "_target_" in node:
            yield path, node


def _is_shipped(value: Any) -> bool:
    """Whether a node, and whatever is in it, is built by classes that are known to touch nothing."""
    if isinstance(value, Mapping):
        target = value.get("_target_")
        return (target is None or str(target).startswith(_SHIPPED)) and all(map(_is_shipped, value.values()))
    return all(map(_is_shipped, value)) if isinstance(value, list) else True


def _proven(path: str, values: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        with rng.isolated(), torch.device("meta"):
            build_part(values)
    except ConfigurationError as error:
        yield Problem(path, str(error).removeprefix("the experiment: "))
    except Exception:  # something that this machine lacks: it is told where the run is executed
        return


def _schedule(
    optimizer: Mapping[str, Any] | None, scheduler: Mapping[str, Any] | None, length: Length
) -> Iterator[Problem]:
    try:
        made, schedule = (None if values is None else build_part(values) for values in (optimizer, scheduler))
        prove(made, schedule, length)
    except ConfigurationError as error:
        group, colon, said = str(error).partition(": ")
        known = colon and group in ("optimizer", "scheduler", "scheduler.scheduler")
        yield Problem(group, said) if known else Problem("scheduler", str(error))
