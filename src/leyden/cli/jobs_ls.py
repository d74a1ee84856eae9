"""``leyden jobs [PLACE...]``: a table of what is queued, runs, and has ended within a day; of a place all."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Sequence

from leyden.cli.columns import on_terminal, render, span
from leyden.cli.jobs import usage
from leyden.cli.jobs_arguments import PLACES, complain, parse, parser
from leyden.cli.runs_arguments import report_problems
from leyden.cli.streams import reader_gone
from leyden.config.problems import closest
from leyden.errors import ConfigurationError
from leyden.launch.jobs.listing import LATELY, Job, jobs_in
from leyden.launch.jobs.questions import Questions
from leyden.runs.record.files import RANKS
from leyden.runs.record.job import LOCAL, SLURM
from leyden.runs.record.state import RunState
from leyden.terminal import as_json, clear

STATES = tuple(each.value for each in RunState)
LAUNCHERS = (SLURM, LOCAL, RANKS, "none")
SPARE = ("node", "epoch", "launcher", "age", "step", "job")  # left out where there is no room, the first one first
COLUMNS = ("run", "launcher", "job", "state", "epoch", "step", "age", "node", "reason")


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser(
        "",
        "List jobs: those that wait or run, and those that ended within a day; of a place all.",
        f"{PLACES}\n\n{usage()}",
    )
    options.add_argument("places", nargs="*", metavar="PLACE", help="only these (default: all in the output folder)")
    options.add_argument("--state", metavar="STATE,...", help=f"only these: {', '.join(STATES)}")
    options.add_argument("--launcher", metavar="NAME,...", help=f"only of these: {', '.join(LAUNCHERS)}")
    options.add_argument("--all", action="store_true", help="those that ended long ago, too")
    options.add_argument("--json", action="store_true", help="print everything about each job, for programs")
    options.add_argument("-w", "--watch", type=float, metavar="N", help="look again every N seconds, until Ctrl-C")
    arguments = parse(options, argv)
    states, launchers = _words(arguments.state, "--state", STATES), _words(arguments.launcher, "--launcher", LAUNCHERS)
    _show(arguments, states, launchers)
    while arguments.watch is not None and not reader_gone():
        time.sleep(max(0.2, arguments.watch))
        _show(arguments, states, launchers)
    return 0


def _show(arguments: Namespace, states: set[str], launchers: set[str]) -> None:
    questions = Questions()
    everything = arguments.all or bool(arguments.places)
    found = jobs_in(arguments.places, arguments.root, questions, None if everything else LATELY)
    jobs = [
        job
        for job in found
        if (not states or job.state in states) and (not launchers or (job.files.launcher or "none") in launchers)
    ]
    lines = [as_json([job.row() for job in jobs])] if arguments.json else table(jobs)
    if arguments.watch is not None and on_terminal():
        clear()
    print("\n".join(lines), flush=True)
    complain(questions)
    report_problems((job.name, job.files.status.problem) for job in jobs)
    sys.stderr.flush()


def table(jobs: Sequence[Job]) -> list[str]:
    """Return the lines of a table of jobs."""
    if not jobs and on_terminal():
        return ["no jobs wait, run or have ended lately: --all shows older ones"]
    rows = [[_cell(key, value) for key, value in _shown(job).items()] for job in jobs]
    return render(COLUMNS, rows, COLUMNS.index("reason"), [COLUMNS.index(key) for key in SPARE])


def _shown(job: Job) -> dict[str, object]:
    row = job.row()
    return {key: row[key] for key in COLUMNS}


def _cell(key: str, value: object) -> str:
    if key == "age" and isinstance(value, float):
        return span(value) if on_terminal() else f"{value:.0f}"
    if key == "launcher":
        return str(value or "none")
    return "" if value is None else str(value)


def _words(given: str | None, option: str, known: Sequence[str]) -> set[str]:
    """Return the words of an option, which all have to be known.

    Raises:
        ConfigurationError: If one is not.
    """
    words = {word.strip() for word in (given or "").split(",") if word.strip()}
    for word in sorted(words.difference(known)):
        close = closest(word, known)
        hint = f"Did you mean {close!r}?" if close else f"There are: {', '.join(known)}."
        raise ConfigurationError(f"{option} {word}: there is no {word!r}. {hint}")
    return words
