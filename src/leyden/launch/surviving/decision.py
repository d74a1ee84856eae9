"""Whether a run that was stopped from outside goes back into the queue.

It does if its cluster ends it for reasons of the cluster's: a time limit, or to make room. It does not if somebody
has cancelled it, if its own error has ended it (then nobody asks here), if it was requeued as often as it may be, or
as often in a row without having got any further, or if nothing was saved that it could go on from. Whatever is
decided is written down: ``leyden jobs why`` tells it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from leyden import ranks, secrets
from leyden.errors import Interrupted
from leyden.launch.surviving.slurm_job import Event, SlurmJob
from leyden.runs.record import attempts, ending, status
from leyden.runs.record import job as jobs
from leyden.runs.record.moments import now
from leyden.runs.record.state import Outcome, RunState

RESTARTS = 100  # of a job whose launcher has set no limit
STALLED = 3
_KEY = "leyden/stopped"
_WAIT = timedelta(seconds=120)


class Stopped:
    """Decides on a run that has stopped and saved, in the place of `leyden.runs.record.ending.stopped`.

    Attributes:
        said: What was done, in words; None outside of SLURM, and on other ranks than 0.
    """

    said: str | None = None

    def __call__(self, path: Path, stop: Interrupted, step: int) -> None:
        """Decide, write it down, and requeue; every rank calls this, rank 0 acts and the others wait for it.

        Args:
            path: Run directory.
            stop: What it was stopped by.
            step: Optimizer steps done.
        """
        job, rank = SlurmJob.current(), ranks.current()
        if job is None:
            ending.stopped(path, stop, step)
        elif rank is None or rank.world_size == 1:
            self.said = _decide(path, stop, step, job)
        elif rank.rank == 0:
            try:
                self.said = _decide(path, stop, step, job)
            finally:
                with suppress(Exception):  # the others may be gone
                    ranks.store().set(_KEY, "1")
        else:
            with suppress(Exception):  # rank 0 may be gone, and the job with it
                ranks.store().wait([_KEY], _WAIT)


def _decide(path: Path, stop: Interrupted, step: int, job: SlurmJob) -> str:
    event = job.event(stop.signum)
    why = secrets.masked(f"{event}: {stop}")
    ending.note(path, Outcome.REQUEUED, why, step)
    refusal = None if event is Event.REQUEUED else _refusal(path, stop, job, event)
    if refusal is None:
        status.update(path, status=RunState.QUEUED, ended=now(), reason=why, error=None)
        refusal = None if event is Event.REQUEUED else job.requeue()
        if refusal is None:
            return f"job {job.name} is in the queue again: {event}"
    reason = f"{why}; not requeued: {refusal}"
    attempts.amend(path, outcome=Outcome.INTERRUPTED, reason=reason)
    status.update(path, status=RunState.INTERRUPTED, ended=now(), reason=reason, error=secrets.masked(str(stop)))
    return f"not requeued: {refusal}"


def _refusal(path: Path, stop: Interrupted, job: SlurmJob, event: str) -> str | None:
    """Return why the run is not to be requeued; None if it is."""
    record = jobs.read(path)
    if record.cancelled:
        return "it was cancelled"
    if event not in (Event.TIME_LIMIT, Event.PREEMPTED, Event.MAKE_ROOM):
        return "it was cancelled" if event is Event.CANCELLED else "nothing says that the cluster wanted it to end"
    if stop.checkpoint is None:
        return "nothing was saved that it could go on from: checkpoints are off"
    limit = _number(record.restarts, RESTARTS)
    if job.restarts >= limit:
        return f"it has been requeued {job.restarts} times, and may be {limit} times (restarts)"
    stalled, most = _stalled(path), _number(record.stalled_restarts, STALLED)
    if stalled >= most > 0:
        return f"{stalled} attempts in a row have not got any further (stalled_restarts={most})"
    return None


def _stalled(path: Path) -> int:
    """Return how many of the latest attempts, this one among them, ended at the step at which they had begun."""
    count = 0
    for each in reversed(attempts.read(path)):
        if each.advanced:
            break
        count += 1
    return count


def _number(found: Any, otherwise: int) -> int:
    return found if type(found) is int else otherwise
