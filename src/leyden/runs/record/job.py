"""job.json in a run directory: which job of which launcher the run was given to.

    {"launcher": "slurm" | "local", "id": "1234_5", "batch": <folder of the submission>,
     "submitted": <UTC>, "log": <what the job prints>, "nodes": 1, "ranks": 1,
     "restarts": 10, "stalled_restarts": 2}

Written by the launcher before the job can start, and replaced when the run is given to another one. A job that
`leyden jobs cancel` ends has ``cancelled`` and ``cancelled_by``, too.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from leyden import atomic
from leyden.runs.record.fields import load, text, whole
from leyden.runs.record.moments import now, seconds

FILE = "job.json"
SLURM: Final = "slurm"
LOCAL: Final = "local"
_ID = re.compile(r"^\d+(?:_\d+)?$", re.ASCII)


def is_slurm_id(word: str) -> bool:
    """Tell whether *word* is the id of a job or of an element of an array: what a file says may be anything."""
    return _ID.match(word) is not None


@dataclass(frozen=True)
class JobRecord:
    """Which job of which launcher a run was given to.

    Args:
        launcher: `SLURM` or `LOCAL`; empty if no launcher has it.
        id: Of SLURM: of the job, or of the array, ``_`` and the task. Of the local queue: its process, ``_``
            and the number of the run.
        batch: Absolute path of the folder of the submission, or of the queue.
        log: Absolute path of what the job prints.
        nodes: Machines of the job.
        ranks: Processes of the job, on all of them.
        restarts: How often it may be put back into the queue; None is not limited.
        stalled_restarts: After how many attempts in a row that got no further it is given up; None is not limited.
        submitted: When it was handed over, UTC; empty if it was not.
        cancelled: When `leyden jobs cancel` ended it; empty if it did not.
    """

    launcher: str = ""
    id: str = ""
    batch: str = ""
    log: str = ""
    nodes: int = 1
    ranks: int = 1
    restarts: int | None = None
    stalled_restarts: int | None = None
    submitted: str = field(default_factory=now)
    cancelled: str = ""

    @property
    def slurm_id(self) -> str:
        """The id that SLURM can be asked about; empty if there is none."""
        return self.id if self.launcher == SLURM and is_slurm_id(self.id) else ""

    @property
    def queue_pid(self) -> int | None:
        """The process of the local queue that the run was given to; None if there is none."""
        number = self.id.partition("_")[0]
        return int(number) if self.launcher == LOCAL and number.isascii() and number.isdigit() else None

    @property
    def submitted_at(self) -> float | None:
        """When it was handed over, in seconds since 1970."""
        return seconds(self.submitted)


NONE: Final = JobRecord(submitted="")
"""Of a run that no launcher was given."""


def write(path: Path, record: JobRecord) -> Path:
    """Write down which job the run in *path* was given to; the file is whole at any moment."""
    entries = {key: value for key, value in asdict(record).items() if key != "cancelled" or value}
    return atomic.write_json(path / FILE, entries)


def read(path: Path) -> JobRecord:
    """Return what `write` wrote; `NONE` for a run that no launcher was given, or whose file is damaged."""
    try:
        found = load(path, FILE)
    except (OSError, ValueError):
        return NONE
    return JobRecord(
        launcher=text(found, "launcher"),
        id=text(found, "id"),
        batch=text(found, "batch"),
        log=text(found, "log"),
        nodes=whole(found, "nodes") or 1,
        ranks=whole(found, "ranks") or 1,
        restarts=whole(found, "restarts"),
        stalled_restarts=whole(found, "stalled_restarts"),
        submitted=text(found, "submitted"),
        cancelled=text(found, "cancelled"),
    )


def mark_cancelled(path: Path, by: str | None) -> None:
    """Write who cancels the job of the run in *path*, or take it out again; without job.json there is no job.

    Args:
        path: Run directory.
        by: Name of the user; None takes the mark out.
    """
    with suppress(OSError, ValueError):
        found: dict[str, Any] = load(path, FILE)
        marks = {"cancelled": now(), "cancelled_by": by} if by is not None else {}
        kept = {key: value for key, value in found.items() if not key.startswith("cancelled")}
        atomic.write_json(path / FILE, {**kept, **marks})
