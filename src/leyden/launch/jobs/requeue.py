"""Why a run that its cluster might have begun again was not: told from its files, then from SLURM.

Requeueing is for what the cluster does to a run, never for what the run does to itself; it has
two limits, one on how often in all and one on how often in a row without progress.
"""

from __future__ import annotations

from collections.abc import Mapping

from leyden.launch.jobs.listing import Job
from leyden.launch.jobs.stopped import CANCELLED, MEMORY, NEVER, OWN, Cause
from leyden.runs.record.attempts import Attempt
from leyden.runs.record.job import SLURM
from leyden.runs.record.state import Outcome, RunState


def not_requeued(job: Job, why: Cause, details: Mapping[str, str]) -> str:
    """Return a sentence on why *job* was not begun again; empty where that is no question.

    Args:
        job: That has stopped.
        why: It did.
        details: What ``scontrol show job`` says; empty if nothing.
    """
    record = job.files.job
    if record.launcher != SLURM or why.code in (CANCELLED, NEVER):
        return ""
    if why.code in (OWN, MEMORY) and job.state is RunState.FAILED:
        return "It was not requeued: the same error would come again."
    requeues = [each for each in job.files.attempts if each.outcome is Outcome.REQUEUED]
    if record.restarts is not None and len(requeues) >= record.restarts:
        return _limit(record.restarts)
    if record.stalled_restarts is not None and _stalled(requeues) >= record.stalled_restarts > 0:
        times = _times(_stalled(requeues))
        return f"It was not requeued: it had been {times} in a row without getting a step further that was saved."
    if details.get("Requeue") == "0":
        return "It was not requeued: its job was submitted with requeueing switched off."
    if job.files.last is None and why.code == MEMORY:
        return "It was not requeued: with the same memory it would be killed again."
    if not has_checkpoint(job):
        return "It was not requeued: it had not saved anything yet that it could go on from."
    if job.files.last is None:
        return "It was not requeued: it was ended too quickly to save and to ask for it."
    return ""


def has_checkpoint(job: Job) -> bool:
    """Tell whether there is something that the run can go on from."""
    folder = job.path / "checkpoints"
    return folder.is_dir() and any(not each.name.startswith(".") for each in folder.iterdir())


def _limit(restarts: int) -> str:
    if restarts == 0:
        return "It was not requeued: its launcher was told not to."
    return f"It was not requeued: it had been {_times(restarts)}, which is its limit."


def _stalled(requeues: list[Attempt]) -> int:
    """Count the last attempts in a row that did not get further than where they began."""
    count = 0
    for each in reversed(requeues):
        if each.advanced:
            break
        count += 1
    return count


def _times(number: int) -> str:
    return {1: "requeued once", 2: "requeued twice"}.get(number, f"requeued {number} times")
