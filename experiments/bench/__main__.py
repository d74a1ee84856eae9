"""Measure Leyden beside others, and say whether all of them trained the same thing.

make bench                     all of it
make bench ARGS=--quick        the MLP and the CNN, few rounds
make bench ARGS="--parts steps --tasks mlp --rounds 30"
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from experiments.bench import parts
from experiments.bench.contenders import CONTENDERS
from experiments.bench.report import draw, table

_PACKAGES = "leyden torch numpy lightning torchmetrics accelerate transformers pytorch-ignite rich tensorboard".split()


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts asked for; write result.json, table.txt and ratios.png."""
    options = _parser().parse_args(words)
    plan = _plan(options)
    options.out.mkdir(parents=True, exist_ok=True)
    for package in parts.left_out(plan):
        print(f"{package} is left out: it is not installed. See experiments/bench/requirements.txt.")
    results: dict[str, Any] = {"about": _about(plan)}
    for part in plan.parts:
        print(f"measuring: {part} ...", flush=True)
        results[part] = getattr(parts, part)(plan)
        (options.out / "result.json").write_text(json.dumps(results, indent=1))  # what there is, if it is cut short
    text, wrong = table(results), parts.disagreements(results)
    (options.out / "table.txt").write_text(text + "\n")
    print(text)
    drawn = draw(results, options.out / "ratios.png")
    print(f"\nwritten to {options.out}" + ("" if drawn else "; no picture, for which steps and matplotlib are needed"))
    for line in wrong:
        print(f"NOT THE SAME WEIGHTS  {line}")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("--quick", action="store_true", help="few rounds, and only the MLP and the CNN")
    parser.add_argument("--rounds", type=int, help="turns of each contender")
    parser.add_argument("--chunk", type=int, help="steps in a turn; a clock-driven bar is drawn after each pause")
    parser.add_argument("--fresh-rounds", type=int, help="fresh processes of each kind")
    parser.add_argument("--tasks", nargs="+", choices=parts.FULL.tasks, help="what to train")
    parser.add_argument("--contenders", nargs="+", help="who trains, beside the hand-written loop")
    parser.add_argument("--parts", nargs="+", choices=parts.PARTS, help="what to measure")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for the results")
    return parser


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """Keep the lines of the description."""


def _plan(options: argparse.Namespace) -> parts.Plan:
    plan = parts.QUICK if options.quick else parts.FULL
    tasks = {name: plan.tasks.get(name, parts.FULL.tasks[name]) for name in options.tasks or plan.tasks}
    if options.contenders:
        tasks = dict.fromkeys(tasks, options.contenders)
        if unknown := sorted(set(options.contenders) - set(CONTENDERS)):
            known = ", ".join(CONTENDERS)
            sys.exit(f"--contenders: nobody is called {', '.join(unknown)}. Known are: {known}")
    return plan._replace(
        tasks=tasks,
        parts=options.parts or plan.parts,
        rounds=options.rounds or plan.rounds,
        chunk=options.chunk,
        fresh_rounds=options.fresh_rounds or plan.fresh_rounds,
    )


def _about(plan: parts.Plan) -> dict[str, Any]:
    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "versions": {package: installed(package) for package in _PACKAGES},
        "rounds": plan.rounds,
        "chunk": plan.chunk,
        "fresh_rounds": plan.fresh_rounds,
    }


if __name__ == "__main__":
    sys.exit(main())
