"""attempts.jsonl: how each attempt at a run ended, a line each.

    {"attempt": 2, "job": "1234_5", "started": ..., "ended": ..., "host": ..., "from_step": 40, "to_step": 120,
     "outcome": "finished" | "failed" | "interrupted" | "requeued", "reason": "stopped by SIGUSR2"}

An attempt that was killed leaves no line: its absence is the evidence.
"""

from __future__ import annotations

import json
import os
from typing import Any

from leyden import atomic, ranks, secrets
from leyden.errors import Interrupted
from leyden.runs.directory import RunDirectory, now
from leyden.warnings import log

FILE = "attempts.jsonl"


def job() -> str | None:
    """Return the name of the SLURM job of this process; None outside of SLURM."""
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array and index else os.environ.get("SLURM_JOB_ID")


def note(directory: RunDirectory, outcome: str, reason: str | None, step: int) -> None:
    """Append the line of the attempt that ends now.

    Args:
        directory: Of the run; its status says when, where and from which step on the attempt has trained.
        outcome: How it ended.
        reason: Why, in words without secrets.
        step: Optimizer steps done.
    """
    status = directory.status()
    begun, to_step = status.get("from_step"), step
    from_step = begun if isinstance(begun, int) else None
    line = {
        "attempt": status.get("attempts"), "job": status.get("job"), "started": status.get("started"), "ended": now(),
        "host": status.get("host"), "from_step": from_step, "to_step": to_step, "outcome": outcome, "reason": reason,
    }  # fmt: skip
    _write(directory, [*read(directory), line])


def ended(directory: RunDirectory, status: str, error: str, step: int) -> None:
    """Write down, in the status and as a line, that an attempt has ended in another way than at the end of the run.

    Every rank may say what went wrong on it; the line is rank 0's.

    Args:
        directory: Of the run.
        status: ``interrupted`` or ``failed``.
        error: Why.
        step: Optimizer steps done.
    """
    said = secrets.masked(error)
    try:
        if ranks.is_first():
            note(directory, status, said, step)
        directory.update(status=status, ended=now(), error=said)
    except OSError as full:  # of a full disk, say: what ended the run is to be told, not this
        log.error("%s could not be written down: %s", status, full)


def stopped(directory: RunDirectory, stop: Interrupted, step: int) -> None:
    """Write down that a signal has stopped an attempt; of several ranks, rank 0 does."""
    if ranks.is_first():
        ended(directory, "interrupted", str(stop), step)


def amend(directory: RunDirectory, **changes: Any) -> None:
    """Change the latest line: what became of an attempt may be known only after it has ended."""
    lines = read(directory)
    if lines:
        _write(directory, [*lines[:-1], {**lines[-1], **changes}])


def read(directory: RunDirectory) -> list[dict[str, Any]]:
    """Return the lines, the oldest first; one that is torn is passed over."""
    file = directory.path / FILE
    found = []
    for line in file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []:
        try:
            each = json.loads(line)
        except ValueError:
            continue
        if isinstance(each, dict):
            found.append(each)
    return found


def _write(directory: RunDirectory, lines: list[dict[str, Any]]) -> None:
    atomic.write_text(directory.path / FILE, "".join(f"{json.dumps(each)}\n" for each in lines))
