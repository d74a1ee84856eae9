"""Whether a run that was ended from outside goes back into the queue: the one policy, and its reasons in words.

    what the cluster does ──┐
    limits of the launcher ─┼─► RequeuePolicy.decide ─► Decision ─► attempts.jsonl, status.json ─► leyden jobs why
    how attempts went ──────┘

Requeueing is for what the cluster does to a run, never for what the run does to itself. It has two limits: how often
in all, and how many attempts in a row may end without having got further; None is no limit. What is decided is written
down by what acts on it (`leyden.launch.surviving`), and told from there. Only where the run had no chance to decide,
`undecided` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from pathlib import Path

from leyden.runs.archive import named_as_such
from leyden.runs.record.attempts import Attempt
from leyden.runs.record.job import JobRecord

WITHOUT_LAUNCHER = 100, 3  # both limits of a job that was submitted by hand: it has not said that it wants none
_BEFORE = "; not requeued: "  # stands before the reason in lines written before decisions were


class Event(StrEnum):
    """What a cluster does to a job."""

    TIME_LIMIT = "time limit"
    PREEMPTED = auto()
    MAKE_ROOM = "asked to make room"
    REQUEUED = auto()
    CANCELLED = auto()
    UNKNOWN = auto()


class Reason(StrEnum):
    """Why a run is requeued or not, for programs."""

    ENDED_BY_CLUSTER = "ended-by-cluster"
    BY_SCHEDULER = "requeued-by-scheduler"
    CANCELLED = auto()
    NOT_ASKED = "not-asked-by-cluster"
    NOTHING_SAVED = "nothing-saved"
    LIMIT = "limit"
    STALLED = "stalled"
    SWITCHED_OFF = "switched-off"
    REFUSED = "refused-by-scheduler"
    OWN_ERROR = "own-error"
    MEMORY = auto()
    NO_TIME = "no-time"


@dataclass(frozen=True)
class Decision:
    """Whether a run goes back into the queue, and why.

    Args:
        requeue: Whether it does.
        code: The reason, for programs.
        sentence: The reason, for people.
    """

    requeue: bool
    code: Reason
    sentence: str


@dataclass(frozen=True)
class Ended:
    """An attempt that was stopped from outside.

    Args:
        event: What the cluster did.
        cancelled: Whether `leyden jobs cancel` asked for it.
        resumable: Whether the next attempt loses nothing that this one has gained; see `is_resumable`.
        requeued: How often the job has been put back into the queue before.
        attempts: Those that ended, the oldest first, this one included.
    """

    event: Event
    cancelled: bool = False
    resumable: bool = True
    requeued: int = 0
    attempts: Sequence[Attempt] = ()

    @property
    def stalled(self) -> int:
        """How many of the job's latest attempts in a row have not got further than where they had begun."""
        count = 0
        for each in reversed(self.attempts):
            if each.advanced or each.job != self.attempts[-1].job:
                break
            count += 1
        return count


@dataclass(frozen=True)
class RequeuePolicy:
    """When a run goes back into the queue.

    Args:
        limit: How often it may in all; None is no limit.
        stalled_limit: After how many attempts in a row without progress it is given up; None is no limit.
    """

    limit: int | None = None
    stalled_limit: int | None = None

    @classmethod
    def of(cls, job: JobRecord) -> RequeuePolicy:
        """Return the policy that the launcher of a job was given."""
        return cls(job.restarts, job.stalled_restarts) if job.launcher else cls(*WITHOUT_LAUNCHER)

    def decide(self, ended: Ended) -> Decision:
        """Return what becomes of a run whose attempt has ended."""
        event, stalled = ended.event, ended.stalled
        if event is Event.REQUEUED:
            return Decision(True, Reason.BY_SCHEDULER, "It was requeued by SLURM itself.")
        if ended.cancelled or event is Event.CANCELLED:
            return _no(Reason.CANCELLED, "it was cancelled")
        if event is Event.UNKNOWN:
            return _no(Reason.NOT_ASKED, "nothing says that the cluster wanted it to end")
        if self.limit == 0:
            return _no(Reason.SWITCHED_OFF, "its launcher was told not to (restarts=0)")
        if not ended.resumable:
            return _no(Reason.NOTHING_SAVED, "checkpoints are off, so that there is nothing it could go on from")
        if self.limit is not None and ended.requeued >= self.limit:
            return _no(Reason.LIMIT, f"it had been {_times(ended.requeued)} (restarts={self.limit}), its limit")
        if self.stalled_limit is not None and stalled and stalled >= self.stalled_limit:
            of = "its last attempt has" if stalled == 1 else f"its last {stalled} attempts have"
            return _no(Reason.STALLED, f"{of} not got any further (stalled_restarts={self.stalled_limit})")
        return Decision(True, Reason.ENDED_BY_CLUSTER, f"It was requeued: {event}.")

    def undecided(self, own_error: bool, memory: bool, requeueable: bool, saved: bool) -> Decision:
        """Return why a run was not requeued that had no chance to decide: it failed by itself, or was killed.

        Args:
            own_error: Whether an error of its own ended it.
            memory: Whether it used more memory than it had.
            requeueable: Whether its job was submitted as one that SLURM may requeue.
            saved: Whether there is a checkpoint.
        """
        if own_error:
            return _no(Reason.OWN_ERROR, "the same error would come again")
        if self.limit == 0:
            return _no(Reason.SWITCHED_OFF, "its launcher was told not to (restarts=0)")
        if not requeueable:
            return _no(Reason.SWITCHED_OFF, "its job was submitted with requeueing switched off")
        if memory:
            return _no(Reason.MEMORY, "with the same memory it would be killed again")
        if not saved:
            return _no(Reason.NOTHING_SAVED, "it had not saved anything yet that it could go on from")
        return _no(Reason.NO_TIME, "it was ended too quickly to save and to ask for it")


def refused(problem: str) -> Decision:
    """Return the decision on a run that should be requeued, which SLURM refuses because of *problem*."""
    return _no(Reason.REFUSED, f"SLURM refuses: {problem}")


def told(attempt: Attempt | None) -> str | None:
    """Return the sentence that an attempt's line has on requeueing: empty if it was, None if nothing was decided."""
    if attempt is None:
        return None
    if attempt.requeue:
        return attempt.decision if attempt.decision.startswith("It was not requeued") else ""
    before = attempt.reason.partition(_BEFORE)[2]
    return f"It was not requeued: {before}." if before else None


def is_resumable(path: Path, saved: str | None, step: int) -> bool:
    """Whether the next attempt at a run loses nothing that the one that ends now has gained.

    That holds where it has saved, where an earlier checkpoint is there, and where nothing was trained yet: a run that
    is stopped while it tests, say, has nothing new to save.

    Args:
        path: Run directory.
        saved: Checkpoint that was written on the way out; None if there is none.
        step: Optimizer steps done.
    """
    return saved is not None or step == 0 or has_checkpoint(path)


def has_checkpoint(path: Path) -> bool:
    """Whether there is a checkpoint that the run in *path* can go on from, by the names of its files."""
    return any(True for _ in named_as_such(path))


def _no(code: Reason, because: str) -> Decision:
    return Decision(False, code, f"It was not requeued: {because}.")


def _times(number: int) -> str:
    return {1: "requeued once", 2: "requeued twice"}.get(number, f"requeued {number} times")
