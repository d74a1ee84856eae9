"""``leyden runs best METRIC``: the run with the best value of a metric."""

from __future__ import annotations

import math
from collections.abc import Sequence

from leyden.cli.runs_arguments import parse, parser, selected
from leyden.cli.runs_ls import default_columns, table
from leyden.errors import RunError
from leyden.runs.exporting import nested
from leyden.runs.listing import Run
from leyden.runs.query import ordered, require
from leyden.runs.record.state import RunState
from leyden.runs.sweep import smaller_is_better
from leyden.terminal import as_json, printable


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("best", "Find the finished run with the best value of a metric.", filters=True)
    options.add_argument("metric", help="its name, test_acc say")
    options.add_argument("conditions", nargs="*", metavar="PLACE|KEY=VALUE", help="only runs there that meet them")
    direction = options.add_mutually_exclusive_group()
    direction.add_argument("--min", action="store_true", help="the smallest is the best, as with val_loss")
    direction.add_argument("--max", action="store_true", help="the largest is the best, as with test_acc")
    options.add_argument("--limit", type=int, default=1, metavar="N", help="the best N (default: 1)")
    options.add_argument("--all", action="store_true", help="unfinished runs count, too, with their last values")
    options.add_argument("--path", action="store_true", help="print the directory alone")
    options.add_argument("--json", action="store_true", help="print everything about it, for programs")
    arguments = parse(options, argv)
    smallest = arguments.min or (not arguments.max and smaller_is_better(arguments.metric))
    runs = selected(arguments, arguments.conditions)
    require(runs, [arguments.metric])
    runs = best(runs, arguments.metric, smallest, arguments.all)[: max(1, arguments.limit)]
    if arguments.path:
        print("\n".join(printable(run.path) for run in runs))
    elif arguments.json:
        print(as_json([nested(run) for run in runs]))
    else:
        columns = [key for key in default_columns(runs, [arguments.metric]) if key != "step"]
        print("\n".join(table(runs, columns)))
    return 0


def best(runs: Sequence[Run], metric: str, smallest: bool, unfinished: bool) -> list[Run]:
    """Return the runs that have a finite value of *metric*, the best first.

    Raises:
        RunError: If there is none.
    """
    there = [run for run in runs if (unfinished or run.state == RunState.FINISHED) and _finite(run.get(metric))]
    if not there:
        kind = "run" if unfinished else "finished run"
        raise RunError(f"no {kind} among {len(runs)} has a finite value of {metric!r}. See them: leyden runs ls")
    return ordered(there, [metric if smallest else f"-{metric}"])


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
