"""What the subcommands of ``leyden runs`` share: the output folder, conditions, and how a run is shown in a table."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill, indent

from leyden.cli.columns import number, on_terminal, span
from leyden.launch.jobs.listing import runs_meant
from leyden.runs.listing import FIELDS, MISSING, TIMES, Run, default_root, list_runs
from leyden.runs.query import condition, conditions, ordered, select
from leyden.runs.record.state import UNSETTLED
from leyden.terminal import complain, printable

_PROBLEMS = 10  # that are said
CONDITIONS = """places:
  Runs are named by their directories, by a folder with runs in it (of a grid, say), by a pattern in quotes
  ('runs/multirun/*'), by a part of their names, or by the word last.
conditions:
  status=finished  seed=1,2,3  model.hidden=[64]  optimizer=adamw  'test_acc>0.97'  'age<2d'  name~mlp
  Keys of the config, options of groups, metrics, and
{fields}.
  Operators = != > >= < <= and ~ (contains, or a pattern with *); commas give alternatives.
  What the shell would take for itself has to stand in quotes. A name that means two things: config.KEY,
  choices.KEY, metrics.KEY. A status is queued, running, finished, failed, interrupted, dead (its process is
  gone) or silent (on another machine, nothing heard for ten minutes)."""


def parser(command: str, description: str, filters: bool = False) -> ArgumentParser:
    """Return the parser of a subcommand.

    Args:
        command: Its name.
        description: What it does.
        filters: Whether it takes conditions.
    """
    made = ArgumentParser(
        prog=f"leyden runs {command}",
        description=description,
        epilog=CONDITIONS.format(fields=indent(fill(", ".join(FIELDS), 96), "    ")) if filters else None,
        formatter_class=RawDescriptionHelpFormatter,
    )
    made.add_argument("--in", dest="root", metavar="FOLDER", type=Path, help="the output folder (default: runs)")
    return made


def parse(made: ArgumentParser, argv: Sequence[str]) -> Namespace:
    """Parse; an order that begins with a minus, ``--sort -test_acc``, is no flag."""
    words = list(argv)
    for at in [at for at, word in enumerate(words) if word == "--sort"][::-1]:
        words[at : at + 2] = ["=".join(words[at : at + 2])]
    found = made.parse_intermixed_args(words)
    found.root = found.root or default_root()
    return found


def selected(arguments: Namespace, words: Sequence[str]) -> list[Run]:
    """Return the runs that meet the conditions in *words*, in the order of ``--sort``, the newest first without.

    Words that are no conditions say of which runs: folders, patterns, parts of names, or last.

    Raises:
        RunError: If a word means no run.
    """
    places = places_in(words)
    runs = runs_meant(places, arguments.root) if places else list_runs(arguments.root)
    found = select(runs, conditions(word for word in words if word not in places))
    keys = [key for given in getattr(arguments, "sort", None) or () for key in given.split(",")]
    return ordered(found, keys)


def places_in(words: Sequence[str]) -> list[str]:
    """Return those of *words* that say where runs are, rather than what they have to meet."""
    return [word for word in words if os.path.isdir(word) or condition(word) is None]


def report_problems(found: Iterable[tuple[str, str]]) -> None:
    """Say on the error stream of which runs a list does not tell everything, given as names and what is wrong."""
    problems = [f"{name}: {problem}" for name, problem in found if problem]
    for each in problems[:_PROBLEMS]:
        complain(printable(each))
    if len(problems) > _PROBLEMS:
        complain(f"and {len(problems) - _PROBLEMS} more runs have files that cannot be read: leyden runs show RUN")


def keys_of(words: Sequence[str], sort: Sequence[str]) -> list[str]:
    """Return the keys that a table should show, since they were compared or sorted by; not those all rows share."""
    stated = (each for word in words if not os.path.isdir(word) and (each := condition(word)) is not None)
    compared = [each.key for each in stated if each.operator != "=" or len(each.texts) > 1]
    return list(dict.fromkeys([*compared, *(key.removeprefix("-") for given in sort for key in given.split(","))]))


def cell(run: Run, key: str) -> str:
    """Return what a table shows for *key* of *run*."""
    if key == "status":
        return status(run) if on_terminal() else run.state
    value = run.get(key)
    if value is MISSING or value is None:
        return ""
    if key in TIMES:
        return span(value) if on_terminal() else f"{value:.0f}"
    if key == "run" and run.facts["pinned"] and on_terminal():
        return f"{value} *"
    return number(value)


def status(run: Run) -> str:
    """Return how a run stands; of one that should be at work also when it was last heard of."""
    heard = run.state in UNSETTLED
    age = run.since("updated") if run.since("updated") is not None else run.since("created")
    return f"{run.state} {span(age)}" if heard else run.state
