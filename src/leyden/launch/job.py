"""job.json in a run directory: which job of which launcher the run was given to.

    {"launcher": "slurm" | "local", "id": "1234_5", "batch": <folder of the submission>,
     "submitted": <UTC>, "log": <what the job prints>, "nodes": 1, "ranks": 1,
     "restarts": 10, "stalled_restarts": 2}

Written by the launcher before the job can start, and replaced when the run is given to another one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leyden import atomic
from leyden.config.bounded import read_json
from leyden.runs.directory import RunDirectory, now

FILE = "job.json"


@dataclass(frozen=True)
class JobRecord:
    """Which job of which launcher a run was given to.

    Args:
        launcher: ``slurm`` or ``local``.
        id: Of SLURM: of the job, or of the array, ``_`` and the task. Of the local queue: its process, ``_``
            and the number of the run.
        batch: Absolute path of the folder of the submission, or of the queue.
        log: Absolute path of what the job prints.
        nodes: Machines of the job.
        ranks: Processes of the job, on all of them.
        restarts: How often it may be put back into the queue; None is not limited.
        stalled_restarts: How often in a row without having got any further.
        submitted: UTC.
    """

    launcher: str
    id: str
    batch: str
    log: str
    nodes: int = 1
    ranks: int = 1
    restarts: int | None = None
    stalled_restarts: int | None = None
    submitted: str = field(default_factory=now)


def write(directory: RunDirectory, record: JobRecord) -> Path:
    """Write down which job *directory* was given to; the file is whole at any moment."""
    return atomic.write_json(directory.path / FILE, asdict(record))


def read(directory: RunDirectory) -> dict[str, Any]:
    """Return what `write` wrote; empty for a run that no launcher was given, or whose file is no mapping."""
    try:
        found: Any = read_json(directory.path / FILE)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
