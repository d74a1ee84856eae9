"""The end of an attempt, written down: a line of attempts.jsonl, and the state that the run is left in."""

from __future__ import annotations

import os
from pathlib import Path

from leyden import ranks, secrets
from leyden.errors import Interrupted
from leyden.runs.record import attempts, status
from leyden.runs.record.attempts import Attempt
from leyden.runs.record.moments import now
from leyden.runs.record.state import Outcome, RunState
from leyden.warnings import log


def slurm_job() -> str | None:
    """Return the name of the SLURM job of this process; None outside of SLURM."""
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array and index else os.environ.get("SLURM_JOB_ID")


def note(path: Path, outcome: Outcome, reason: str, step: int) -> None:
    """Append the line of the attempt that ends now.

    Args:
        path: Run directory; its status says when, where and from which step on the attempt has trained.
        outcome: How it ended.
        reason: Why, in words without secrets; empty if that needs none.
        step: Optimizer steps done.
    """
    said = status.read(path)
    ended = Attempt(
        number=said.attempts,
        outcome=outcome,
        reason=reason,
        job=said.job,
        host=said.host,
        started=said.started,
        ended=now(),
        from_step=said.from_step,
        to_step=step,
    )
    attempts.append(path, ended)


def ended(path: Path, outcome: Outcome, error: str, step: int) -> None:
    """Write down, in the status and as a line, that an attempt has ended in another way than at the end of the run.

    Every rank may say what went wrong on it; the line is rank 0's.

    Args:
        path: Run directory.
        outcome: Interrupted or failed.
        error: Why.
        step: Optimizer steps done.
    """
    said = secrets.masked(error)
    try:
        if ranks.is_first():
            note(path, outcome, said, step)
        status.update(path, status=RunState.of(outcome), ended=now(), error=said)
    except OSError as full:  # of a full disk, say: what ended the run is to be told, not this
        log.error("%s could not be written down: %s", outcome, full)


def stopped(path: Path, stop: Interrupted, step: int) -> None:
    """Write down that a signal has stopped an attempt; of several ranks, rank 0 does."""
    if ranks.is_first():
        ended(path, Outcome.INTERRUPTED, str(stop), step)
