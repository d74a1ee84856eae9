"""What becomes of a run that has stopped in a job of SLURM: decided, written down, and done.

`leyden.launch.requeue` is the policy; ``leyden jobs why`` tells what is written here.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from leyden import ranks, secrets
from leyden.errors import Interrupted
from leyden.launch.requeue import Decision, Ended, Event, RequeuePolicy, is_resumable, refused
from leyden.launch.surviving.slurm_job import SlurmJob
from leyden.runs.record import attempts, ending, job, status
from leyden.runs.record.moments import now
from leyden.runs.record.state import Outcome, RunState

_KEY = "leyden/stopped"
_WAIT = timedelta(seconds=120)


class Stopped:
    """Decides on a run that has stopped and saved, in the place of `leyden.runs.record.ending.stopped`.

    Attributes:
        decision: What was decided; None outside of SLURM, and on other ranks than 0.
    """

    decision: Decision | None = None

    def __call__(self, path: Path, stop: Interrupted, step: int) -> None:
        """Decide, write it down, and requeue; every rank calls this, rank 0 acts and the others wait for it.

        Args:
            path: Run directory.
            stop: What it was stopped by.
            step: Optimizer steps done.
        """
        current, rank = SlurmJob.current(), ranks.current()
        if current is None:
            ending.stopped(path, stop, step)
        elif rank is None or rank.world_size == 1:
            self.decision = act(path, stop, step, current)
        elif rank.rank == 0:
            try:
                self.decision = act(path, stop, step, current)
            finally:
                with suppress(Exception):  # the others may be gone
                    ranks.store().set(_KEY, "1")
        else:
            with suppress(Exception):  # rank 0 may be gone, and the job with it
                ranks.store().wait([_KEY], _WAIT)


def act(path: Path, stop: Interrupted, step: int, current: SlurmJob) -> Decision:
    """Decide on a run, write the decision down, and carry it out; returns what came of it.

    It is written before SLURM is asked: the next attempt may begin at once.
    """
    record, event = job.read(path), current.event(stop.signum)
    why = secrets.masked(f"{event}: {stop}")
    ending.note(path, Outcome.REQUEUED, why, step)
    ended = Ended(
        event=event,
        cancelled=bool(record.cancelled),
        resumable=is_resumable(path, stop.checkpoint, step),
        requeued=current.restarts,
        attempts=attempts.read(path),
    )
    decision = RequeuePolicy.of(record).decide(ended)
    _write(path, decision, why, stop)
    if decision.requeue and event is not Event.REQUEUED and (problem := current.requeue()) is not None:
        decision = refused(secrets.masked(problem))
        _write(path, decision, why, stop)
    return decision


def _write(path: Path, decision: Decision, why: str, stop: Interrupted) -> None:
    outcome = Outcome.REQUEUED if decision.requeue else Outcome.INTERRUPTED
    attempts.amend(path, outcome=outcome, requeue=decision.code, decision=decision.sentence)
    state, error = (RunState.QUEUED, None) if decision.requeue else (RunState.INTERRUPTED, secrets.masked(str(stop)))
    reason = why if decision.requeue else f"{why}. {decision.sentence}"
    status.update(path, status=state, ended=now(), reason=reason, error=error, requeue=decision.code)
