"""All that the files of one run say about how it stands, read together.

Who executes it is one of three: a launcher that it was handed to, ranks that ``leyden run`` has started, or a single
process.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leyden.runs.record import attempts, job, status
from leyden.runs.record.attempts import Attempt
from leyden.runs.record.job import JobRecord
from leyden.runs.record.moments import seconds
from leyden.runs.record.status import Status

RANKS = "ranks"


@dataclass(frozen=True)
class RunFiles:
    """What the files of one run say.

    Args:
        path: Run directory.
        status: What its status.json says.
        job: What its job.json says.
        attempts: Those that ended, the oldest first.
    """

    path: Path
    status: Status = Status()  # noqa: RUF009 - frozen
    job: JobRecord = job.NONE
    attempts: tuple[Attempt, ...] = ()

    @property
    def launcher(self) -> str:
        """What starts its processes: a launcher, or `RANKS` if it was handed to none and has several; or nothing."""
        return self.job.launcher or (RANKS if (self.status.ranks or 1) > 1 else "")

    @property
    def cancelled(self) -> bool:
        """Whether `leyden jobs cancel` has ended the last attempt, or what would have been the next one."""
        moment, started = seconds(self.job.cancelled), self.status.started_at
        return moment is not None and (started is None or moment >= started)

    @property
    def last(self) -> Attempt | None:
        """How the last attempt ended; None if it was killed, or is not over: there is no line of it then."""
        found = self.attempts[-1] if self.attempts else None
        return found if found is not None and found.number >= self.status.attempts else None


def read(path: Path) -> RunFiles:
    """Return what the files in the run directory *path* say, read just now."""
    return RunFiles(path, status.read(path), job.read(path), attempts.read(path))
