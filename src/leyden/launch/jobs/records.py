"""What the files of a run say about its job: who started it, under which id, and how its attempts ended.

    job.json         written by the launcher that it was handed to; absent for `leyden train` and `leyden run`
    attempts.jsonl   a line at the end of each attempt; one that was killed leaves none
    status.json      how the run stands: see `leyden.runs.life`

A directory may have been made by anybody, or by half: what has another form than it should is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leyden.launch.slurm_queries import is_id
from leyden.runs.life import seconds
from leyden.runs.reading import document

SLURM, LOCAL, RANKS = "slurm", "local", "ranks"
_LARGEST = 16_000_000  # bytes of attempts.jsonl
_LONGEST = 4096  # letters of a text, a path say


@dataclass(frozen=True)
class Record:
    """Who executes a run: what its job.json says.

    Args:
        launcher: ``slurm`` or ``local``; empty if no launcher has it.
        id: Of its job there; empty if it has none.
        batch: Folder of everything that was started together.
        submitted: When it was handed over, in seconds since 1970.
        log: File of what the job printed.
        restarts: How often it may be requeued in all; None if nobody said.
        stalled_restarts: How often in a row without a new step that was saved; None if nobody said.
        cancelled: When `leyden jobs cancel` ended it; empty if it did not.
    """

    launcher: str = ""
    id: str = ""
    batch: str = ""
    submitted: float | None = None
    log: str = ""
    restarts: int | None = None
    stalled_restarts: int | None = None
    cancelled: str = ""

    @property
    def slurm_id(self) -> str:
        """The id that SLURM can be asked about; empty if there is none."""
        return self.id if self.launcher == SLURM and is_id(self.id) else ""

    @property
    def queue_pid(self) -> int | None:
        """The process of the local queue that it was given to; None if there is none."""
        number = self.id.partition("_")[0]
        return int(number) if self.launcher == LOCAL and number.isdigit() else None


@dataclass(frozen=True)
class Attempt:
    """One line of attempts.jsonl: how an attempt ended."""

    number: int
    outcome: str
    reason: str
    job: str
    host: str
    from_step: int
    to_step: int
    ended: float | None


@dataclass(frozen=True)
class Files:
    """All that the files of one run say about its job.

    Args:
        path: Of the run.
        status: Content of its status.json.
        record: Of its job.json.
        attempts: That ended, the oldest first.
    """

    path: Path
    status: dict[str, Any]
    record: Record = field(default_factory=Record)
    attempts: tuple[Attempt, ...] = ()

    @property
    def launcher(self) -> str:
        """What starts its processes: a launcher, or ``ranks`` if it was handed to none and has several; or nothing."""
        number = self.status.get("ranks")
        return self.record.launcher or (RANKS if isinstance(number, int) and number > 1 else "")

    @property
    def cancelled(self) -> bool:
        """Whether `leyden jobs cancel` has ended the last attempt, or what would have been the next one."""
        moment, started = seconds(self.record.cancelled), seconds(self.status.get("started"))
        return moment is not None and (started is None or moment >= started)

    @property
    def last(self) -> Attempt | None:
        """How the last attempt ended; None if it was killed, or is not over: there is no line of it then."""
        begun = self.status.get("attempts")
        found = self.attempts[-1] if self.attempts else None
        return found if found is not None and (not isinstance(begun, int) or found.number >= begun) else None


def read(path: Path) -> Files:
    """Return what the files in the run directory *path* say, read just now."""
    return Files(path, document(path / "status.json"), record_of(path), tuple(attempts_of(path)))


def record_of(path: Path) -> Record:
    """Return what job.json in *path* says; an empty record if there is none."""
    found = document(path / "job.json", 1_000_000)
    return Record(
        launcher=_text(found, "launcher"),
        id=_text(found, "id"),
        batch=_text(found, "batch"),
        submitted=seconds(found.get("submitted")),
        log=_text(found, "log"),
        restarts=_limit(found, "restarts"),
        stalled_restarts=_limit(found, "stalled_restarts"),
        cancelled=_text(found, "cancelled"),
    )


def attempts_of(path: Path) -> list[Attempt]:
    """Return the attempts recorded in *path*; a line that is torn or of another form is passed over."""
    file = path / "attempts.jsonl"
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST:
            return []
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [found for line in lines if (found := _attempt(line)) is not None]


def _attempt(line: str) -> Attempt | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return Attempt(
        number=_whole(found.get("attempt")),
        outcome=_text(found, "outcome"),
        reason=_text(found, "reason"),
        job=_text(found, "job"),
        host=_text(found, "host"),
        from_step=_whole(found.get("from_step")),
        to_step=_whole(found.get("to_step")),
        ended=seconds(found.get("ended")),
    )


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return value[:_LONGEST] if isinstance(value, str) else ""


def _limit(found: Mapping[str, Any], key: str) -> int | None:
    value = found.get(key)
    return value if type(value) is int else None


def _whole(value: Any) -> int:
    return value if type(value) is int else 0
