"""``leyden runs ls [conditions]``: a table of runs."""

from __future__ import annotations

from collections.abc import Sequence

from leyden.cli.columns import on_terminal, render
from leyden.cli.runs_arguments import cell, keys_of, metrics_of, parse, parser, report_problems, selected
from leyden.runs.exporting import nested
from leyden.runs.listing import Run
from leyden.runs.query import require
from leyden.terminal import as_json

SCREEN = 50  # rows on a terminal, unless told otherwise


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("ls", "List runs, the newest first.", filters=True)
    options.add_argument("conditions", nargs="*", metavar="KEY=VALUE", help="list only runs that meet all of them")
    options.add_argument("--sort", action="append", metavar="KEY", help="order; -KEY descends; several with commas")
    options.add_argument(
        "--limit", type=int, metavar="N", help=f"rows (default: {SCREEN} on a terminal, else all; 0: all)"
    )
    options.add_argument("--columns", metavar="KEY,KEY", help="what to show of each run")
    options.add_argument("--json", action="store_true", help="print everything about each run, for programs")
    arguments = parse(options, argv)
    runs = selected(arguments, arguments.conditions)
    limit = arguments.limit if arguments.limit is not None else SCREEN if on_terminal() and not arguments.json else 0
    kept = runs[:limit] if limit > 0 else runs
    if arguments.json:
        print(as_json([nested(run) for run in kept]))
        return 0
    report_problems((run.name, run.facts["problem"]) for run in kept)
    if arguments.columns:
        columns = arguments.columns.split(",")
        require(runs, columns)
    else:
        columns = default_columns(kept, keys_of(arguments.conditions, arguments.sort or ()))
    for line in table(kept, columns):
        print(line)
    if on_terminal() and len(kept) < len(runs):
        print(f"and {len(runs) - len(kept)} more: --limit 0 shows all")
    return 0


def default_columns(runs: Sequence[Run], asked: Sequence[str]) -> list[str]:
    """Return the columns of a table: how a run stands, what was asked for, some metrics, and what was typed."""
    first = ["run", "status", "age", "duration", "step"]
    return list(dict.fromkeys([*first, *asked, *metrics_of(runs), "typed"]))


def table(runs: Sequence[Run], columns: Sequence[str]) -> list[str]:
    """Return the lines of a table of runs; on a terminal a star marks pinned ones."""
    if not runs and on_terminal():
        return ["no runs"]
    give = columns.index("typed") if "typed" in columns else None
    shared = set.intersection(*(set(run.typed) for run in runs)) if runs and on_terminal() else set()
    rows = [[_typed(run, shared) if key == "typed" else cell(run, key) for key in columns] for run in runs]
    return render(columns, rows, give)


def _typed(run: Run, shared: set[str]) -> str:
    """Return what was typed, what sets the run apart from the others first: the end may be cut."""
    return " ".join(sorted(run.typed, key=lambda word: word in shared))
