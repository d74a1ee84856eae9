"""``leyden jobs logs RUN``: what a job has printed: a rank's log, or the output of the job itself."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from leyden.cli.columns import longest
from leyden.cli.jobs_arguments import parse, parser
from leyden.cli.streams import reader_gone
from leyden.errors import RunError
from leyden.launch.jobs.listing import look
from leyden.launch.jobs.questions import Questions
from leyden.runs.listing import find
from leyden.runs.record import job as job_records
from leyden.runs.record.state import PENDING
from leyden.runs.tail import Log, follow, job_log, last_lines, log_file
from leyden.terminal import printable_lines


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser(" logs", "Print what a job has written.")
    options.add_argument("run", nargs="?", default="last", help="a directory, a part of its name, or: last")
    options.add_argument("-f", "--follow", action="store_true", help="go on until the run has ended")
    options.add_argument("-n", "--lines", type=int, metavar="N", help="begin with the last N lines (default: all)")
    which = options.add_mutually_exclusive_group()
    which.add_argument("--rank", type=int, metavar="N", help="the log of one rank (default: 0)")
    which.add_argument("--job", action="store_true", help="what the job itself printed, before and around the ranks")
    arguments = parse(options, argv)
    path = find(arguments.run, arguments.root)
    over = _over(path)
    log = _log(path, arguments.rank, arguments.job)
    while arguments.follow and log is None and not over():
        time.sleep(0.2)
        log = _log(path, arguments.rank, arguments.job)
    if log is None:
        raise RunError(_absent(path, arguments.rank, arguments.job))
    text, end = last_lines(log, arguments.lines)
    _put(text)
    for added in follow(path, log, end, ended=over) if arguments.follow else ():
        _put(added)
        if reader_gone():
            break
    return 0


def _log(path: Path, rank: int | None, job: bool) -> Log | None:
    """Return the log that is meant; None while it is not there.

    Without a choice that is rank 0's, or the job's own where rank 0 has not begun.
    """
    ranks = Log(path, f"logs/rank{rank or 0}.log")
    own = job_log(path, job_records.read(path))
    logs = [own] if job else [ranks] if rank is not None else [ranks, own]
    return next((log for log in logs if log is not None and os.path.lexists(log.path)), None)


def _absent(path: Path, rank: int | None, job: bool) -> str:
    record = job_records.read(path)
    own = job_log(path, record)
    if job and own is None:
        return f"{path} was not handed to a launcher that keeps a log of its job. See the ranks' own: --rank 0"
    if job and own is not None:
        return f"{own.path}, the log of its job, is not there. It is made when the job begins: leyden jobs why {path}"
    try:
        log_file(path, rank or 0)
    except RunError as error:
        return str(error)
    return f"{path} has no log any more."


def _over(path: Path) -> Callable[[], bool]:
    """Return what tells whether the run has ended, SLURM's word included."""
    return lambda: look([("", path)], Questions())[0].state not in PENDING


def _put(text: str) -> None:
    """Print at once."""
    sys.stdout.write(printable_lines(text, longest()))
    sys.stdout.flush()
