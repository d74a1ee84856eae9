"""Follow the log of a run as it grows, until the run has ended."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from leyden import regular
from leyden.errors import RunError
from leyden.runs.record.job import LOCAL, JobRecord
from leyden.runs.record.liveness import state
from leyden.runs.record.state import PENDING
from leyden.runs.record.status import read
from leyden.terminal import Decoder

_BATCH = re.compile(r"^slurm(-\d+)?$", re.ASCII)  # folder of a submission
LARGEST = 2**26  # bytes of a log that are shown, from its end


class Log(NamedTuple):
    """A log: a file below a folder, opened without following links; see `leyden.regular`."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Where it is, for a message."""
        return self.folder / self.name


def log_file(path: Path, rank: int) -> Log:
    """Return the log of one rank.

    Raises:
        RunError: If there is none.
    """
    name = f"logs/rank{rank}.log"
    regular.check(path, (name,), ("logs",))
    if not regular.there(path, name):
        there = [each for each in regular.listed(path, "logs") if fnmatchcase(each, "rank*.log")]
        raise RunError(f"{path} has no {name}. There {'are: ' + ', '.join(there) if there else 'is no log yet'}.")
    return Log(path, name)


def job_log(path: Path, record: JobRecord) -> Log | None:
    """Return where the job of the run in *path* prints, whatever job.json says; None where that cannot be told.

    That is in the run, or in the folder of its submission, which lies in the run or beside it.
    """
    if record.launcher == LOCAL:
        return Log(path, "logs/job.log")
    batch = Path(os.path.normpath(record.batch))
    if not record.slurm_id or not _BATCH.match(batch.name) or not path.is_relative_to(batch.parent):
        return None
    return Log(batch.parent, f"{batch.name}/{record.slurm_id}_0_log.out")


def last_lines(log: Log, count: int | None) -> tuple[str, int]:
    """Return the last *count* lines of a log, all with None, and where they end; they are printable.

    Of a log that is larger than `LARGEST` only the end is looked at.
    """
    decoder = Decoder()
    content, size = regular.end(*log, LARGEST)
    lines = decoder.text(content).splitlines(keepends=True)
    shown = lines if count is None else lines[max(0, len(lines) - count) :]
    left = f"... {size - len(content):,} bytes before this are not shown\n" if size > len(content) else ""
    return left + "".join(shown), size - decoder.waiting


def follow(
    path: Path, log: Log, at: int, interval: float = 0.2, ended: Callable[[], bool] | None = None
) -> Iterator[str]:
    """Yield what is added to *log* after byte *at*, as it comes and made printable; ends when the run has.

    Args:
        path: Of the run.
        log: One of its logs.
        at: Where to begin.
        interval: Seconds between two looks.
        ended: Tells whether the run has; None asks its directory.
    """
    decoder = Decoder()
    over = ended or (lambda: state(read(path), time.time()) not in PENDING)
    while True:
        done = over()
        with regular.opened(*log) as file:
            if os.fstat(file.fileno()).st_size < at:
                at, decoder = 0, Decoder()  # begun anew
            file.seek(at)
            added = file.read(LARGEST)
        if added:
            at += len(added)
            yield decoder.text(added)
        elif done:
            return
        else:
            time.sleep(interval)
