"""``leyden runs ls [conditions]``: a table of runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from leyden.cli.columns import on_terminal, render
from leyden.cli.runs_arguments import cell, keys_of, parse, parser, places_in, report_problems, selected
from leyden.runs.exporting import nested
from leyden.runs.listing import Run
from leyden.runs.query import require
from leyden.runs.sweep import Point, best, comparing, conclusions, point, shown_metrics, swept
from leyden.terminal import as_json, printable_lines

SCREEN = 50  # rows on a terminal, unless told otherwise


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("ls", "List runs, the newest first.", filters=True)
    options.add_argument("conditions", nargs="*", metavar="PLACE|KEY=VALUE", help="only runs there that meet them")
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
    places = places_in(arguments.conditions)
    report_problems((run.name, run.facts["problem"]) for run in kept)
    if arguments.columns:
        columns = arguments.columns.split(",")
        require(runs, columns)
    else:
        columns = default_columns(kept, keys_of(arguments.conditions, arguments.sort or ()), places != [])
    grid = places != [] and len({os.path.dirname(run.path) for run in kept}) == 1
    points = [point(run) for run in kept] if grid else []
    for line in table(kept, columns, asked=columns if arguments.columns else (), points=points):
        print(line)
    shared = grid and on_terminal()
    told = conclusions([replace(each, name=os.path.basename(each.name)) for each in points] if shared else points)
    if told:
        print(printable_lines("\n".join(["", *told])))
    if on_terminal() and len(kept) < len(runs):
        print(f"and {len(runs) - len(kept)} more: --limit 0 shows all")
    return 0


def default_columns(runs: Sequence[Run], asked: Sequence[str], compared: bool = False) -> list[str]:
    """Return the columns of a table: how a run stands, what was asked for, some metrics, and what was typed.

    Where runs are *compared*, the metrics by which that can be done come first.
    """
    found = [run.facts["metrics"] for run in runs]
    metrics = comparing(found)[:3] if compared else shown_metrics(found)
    first = ["run", "status", "age", "duration", "step"]
    return list(dict.fromkeys([*first, *asked, *metrics, "typed"]))


def table(
    runs: Sequence[Run], columns: Sequence[str], asked: Sequence[str] = (), points: Sequence[Point] = ()
) -> list[str]:
    """Return the lines of a table of runs; on a terminal a star marks pinned ones.

    Args:
        runs: One in a line.
        columns: What is shown of each.
        asked: Those of the columns that have to be shown, whether they tell anything or not.
        points: The runs as points of a grid, where they are one: the best is marked, and only what was swept is told.
    """
    if not runs and on_terminal():
        return ["no runs"]
    give = columns.index("typed") if "typed" in columns else None
    shared = set.intersection(*(set(run.typed) for run in runs)) if runs and on_terminal() else set()
    rows = [[_typed(run, shared) if key == "typed" else cell(run, key) for key in columns] for run in runs]
    if points and on_terminal():
        _as_grid(rows, columns, points)
    return render(columns, rows, give, _spare(columns, asked))


def _spare(columns: Sequence[str], asked: Sequence[str]) -> list[int]:
    """Return which columns may be left out, those that tell the least first."""
    there = [at for at, key in enumerate(columns) if at and key not in asked and key != "typed"]
    order = {"duration": 0, "step": 1, "age": 2}
    return sorted(there, key=lambda at: (order.get(columns[at], len(order)), -at))


def _as_grid(rows: list[list[str]], columns: Sequence[str], points: Sequence[Point]) -> None:
    """Show in *rows* only what was swept, and mark the best."""
    if "typed" in columns:
        for row, words in zip(rows, swept([point.typed for point in points]), strict=True):
            row[columns.index("typed")] = " ".join(words)
    metric, place = best(points)
    if place is not None and metric in columns:
        rows[place][columns.index(metric)] += " best"


def _typed(run: Run, shared: set[str]) -> str:
    """Return what was typed, what sets the run apart from the others first: the end may be cut."""
    return " ".join(sorted(run.typed, key=lambda word: word in shared))
