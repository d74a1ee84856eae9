"""status.json: how a run stands, by the word of the process that executes it.

    {"status": "running", "created": ..., "updated": ..., "attempts": 2, "started": ..., "pid": 4711, "host": ...,
     "ranks": 1, "job": null, "resumed_from": "checkpoints/last.ckpt", "from_step": 40, "epoch": 3, "step": 120,
     "ended": null, "error": null, "reason": null, "run_id": "6f1e..."}

A file that is lost or damaged is no end of the run: what attempts.jsonl still tells stands in, and `Status.problem`
says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from leyden import atomic
from leyden.errors import UnsafeFileError
from leyden.runs.record import attempts
from leyden.runs.record.fields import load, text, whole
from leyden.runs.record.moments import now, seconds
from leyden.runs.record.state import Outcome, RunState

FILE = "status.json"


@dataclass(frozen=True, slots=True)
class Status:
    """What status.json says; a text is empty and a number None where it says nothing, or nothing of that type.

    Args:
        state: As it was written; see `leyden.runs.record.liveness` for what has become of it since.
        created: When the directory was made, UTC.
        updated: When the file was written last.
        attempts: How often the run was begun.
        started: When the last attempt began.
        ended: When it ended.
        pid: Process that executes it: of several ranks, rank 0.
        host: Machine of that process.
        ranks: How many processes execute it.
        job: SLURM job that they are part of.
        resumed_from: Checkpoint that the attempt went on from, below the directory.
        from_step: Optimizer steps done when it began to train.
        epoch: Where it is.
        step: Optimizer steps done.
        error: What ended it.
        reason: Why it waits, or was interrupted.
        requeue: Code of the decision on putting it back into the queue; see `leyden.launch.requeue`.
        run_id: Identity of the run, which its checkpoints carry, too; see `leyden.identity`.
        problem: What is wrong with the file; empty if nothing.
    """

    state: RunState = RunState.UNKNOWN
    created: str = ""
    updated: str = ""
    attempts: int = 0
    started: str = ""
    ended: str = ""
    pid: int | None = None
    host: str = ""
    ranks: int | None = None
    job: str = ""
    resumed_from: str = ""
    from_step: int | None = None
    epoch: int | None = None
    step: int | None = None
    error: str = ""
    reason: str = ""
    requeue: str = ""
    run_id: str = ""
    problem: str = ""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Status:
        """Return what the entries of a status.json say."""
        return cls(
            state=RunState.of(found.get("status")),
            attempts=whole(found, "attempts") or 0,
            pid=whole(found, "pid"),
            ranks=whole(found, "ranks"),
            from_step=whole(found, "from_step"),
            epoch=whole(found, "epoch"),
            step=whole(found, "step"),
            created=text(found, "created"),
            updated=text(found, "updated"),
            started=text(found, "started"),
            ended=text(found, "ended"),
            host=text(found, "host"),
            job=text(found, "job"),
            resumed_from=text(found, "resumed_from"),
            error=text(found, "error"),
            reason=text(found, "reason"),
            requeue=text(found, "requeue"),
            run_id=text(found, "run_id"),
        )

    def entries(self, longest: int) -> dict[str, Any]:
        """Return what `of` makes the same status of, less the problem; texts are cut to *longest* characters."""
        found = {name: getattr(self, name) for name in _NAMES}
        kept = {name: value for name, value in found.items() if value not in ("", None)}
        short = {name: value[:longest] if isinstance(value, str) else value for name, value in kept.items()}
        return {"status": self.state.value, **short}

    @property
    def position(self) -> str:
        """Where it is, in words; empty if it has not begun to train."""
        return "" if self.epoch is None or self.step is None else f"epoch {self.epoch}, step {self.step}"

    @property
    def started_at(self) -> float | None:
        """When the last attempt began, in seconds since 1970."""
        return seconds(self.started)

    @property
    def ended_at(self) -> float | None:
        """When the last attempt ended, in seconds since 1970."""
        return seconds(self.ended)

    @property
    def updated_at(self) -> float | None:
        """When the file was written last, in seconds since 1970."""
        return seconds(self.updated)

    @property
    def created_at(self) -> float | None:
        """When the directory was made, in seconds since 1970."""
        return seconds(self.created)


_NAMES = tuple(each.name for each in fields(Status) if each.name not in ("state", "problem"))


def read(path: Path) -> Status:
    """Return how the run in *path* stands by its status.json."""
    try:
        return Status.of(load(path, FILE))
    except (OSError, ValueError) as error:
        return _recovered(path, _described(error))


def create(path: Path) -> None:
    """Write the status of a run that was made just now."""
    atomic.write_json(
        path / FILE, {"status": RunState.QUEUED, "created": now(), "attempts": 0, "run_id": os.urandom(16).hex()}
    )


def update(path: Path, **changes: Any) -> None:
    """Change some entries of status.json, by the names they have there; the file is whole at any moment."""
    try:
        before = load(path, FILE)
    except (OSError, ValueError):
        lost = _recovered(path, "")
        before = {"status": lost.state, "created": now(), "attempts": lost.attempts}
    atomic.write_json(path / FILE, {**before, **changes, "updated": now()})


def _recovered(path: Path, problem: str) -> Status:
    """Return what can be told without the file: how many attempts there were, and whether one reached the end."""
    ended = attempts.read(path)
    number = max((each.number for each in ended), default=0)
    last = next((each for each in ended if each.outcome is Outcome.FINISHED), None)
    if last is None:
        return Status(attempts=number, problem=problem)
    done = Status(RunState.FINISHED, started=last.started, ended=last.ended, host=last.host, step=last.to_step)
    return replace(done, attempts=number, job=last.job, problem=problem)


def _described(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{FILE} is missing"
    if isinstance(error, UnsafeFileError):
        return str(error)
    if isinstance(error, UnsafeFileError):
        return str(error)
    return f"{FILE} cannot be read: {error.strerror}" if isinstance(error, OSError) else f"{FILE} {error}"
