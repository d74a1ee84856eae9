"""How a run stands: what its files say, corrected by what SLURM knows better. No other place decides it.

    files say              SLURM says          it stands
    finished               anything            finished
    failed, interrupted    it waits            queued: it was handed over again, or requeued
    queued                 it runs             running: it has not written anything yet
    queued, running ...    it ended            by how it ended: interrupted (cancelled), failed, dead
    queued, running ...    does not know it    dead: nobody carries it on
    dead, and cancelled    anything            interrupted: that was the intention

The words are those of `leyden.runs.record.state`. Where SLURM was not asked, or did not answer, the
files have the last word; a heartbeat is believed, and silence is called silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from signal import Signals

from leyden.launch.slurm_queries import SlurmJob
from leyden.runs.record.files import RunFiles
from leyden.runs.record.job import LOCAL, JobRecord
from leyden.runs.record.liveness import alive, state
from leyden.runs.record.state import ENDED, EXECUTED, PENDING, UNSETTLED, RunState

WAITING = frozenset("PENDING REQUEUED REQUEUE_FED REQUEUE_HOLD RESV_DEL_HOLD SPECIAL_EXIT SUSPENDED STOPPED".split())
WORKING = frozenset("RUNNING CONFIGURING COMPLETING EXPEDITING RESIZING SIGNALING STAGE_OUT POWER_UP_NODE".split())
ENDS = {
    "BOOT_FAIL": "its node could not be started",
    "DEADLINE": "its deadline was reached",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it used more memory than it had asked for",
    "PREEMPTED": "preempted by a job of higher priority",
    "REVOKED": "another cluster took it over",
    "TIMEOUT": "its time limit was reached",
}
CANCELLED = "cancelled"
GONE = "SLURM does not know its job any more"
NEVER_BEGUN = "never begun: "  # before a reason, where no sentence says so


@dataclass(frozen=True)
class Standing:
    """How a run stands.

    Args:
        state: In one word.
        reason: Why, in few words; empty where the state says it all.
    """

    state: RunState
    reason: str = ""


def run_status(files: RunFiles, job: SlurmJob | None, answered: bool, now: float) -> Standing:
    """Return how a run stands.

    Args:
        files: What its files say.
        job: What SLURM knows of its job; None if nothing.
        answered: Whether SLURM was asked and had an answer, be it that it knows nothing.
        now: Seconds since 1970.
    """
    said = by_files(files, now)
    if said.state is not RunState.FINISHED and files.job.slurm_id:
        lost = job is None and answered and said.state in PENDING | EXECUTED
        said = Standing(RunState.DEAD, GONE) if lost else said if job is None else by_slurm(said, job)
    if said.state is RunState.DEAD and files.cancelled:
        return Standing(RunState.INTERRUPTED, CANCELLED)
    return said


def by_files(files: RunFiles, now: float) -> Standing:
    """Return how a run stands by its files alone."""
    status, record = files.status, files.job
    found = state(status, now)
    ended = status.ended_at or status.updated_at or 0.0
    if found in ENDED - {RunState.FINISHED} and (record.submitted_at or 0.0) > ended:
        found = RunState.QUEUED  # what the status tells was before it was handed over once more
    if found is not RunState.QUEUED:
        return Standing(found, _error(files, found))
    if record.launcher == LOCAL and not _queue_lives(record):
        return Standing(RunState.DEAD, f"{NEVER_BEGUN}its queue is gone")
    return Standing(found, status.reason or ("" if record.launcher else "prepared; nobody has begun it"))


def by_slurm(said: Standing, job: SlurmJob) -> Standing:
    """Correct what the files have *said* by what SLURM says about the job."""
    if job.state in WAITING:
        return Standing(RunState.QUEUED, job.reason or job.state.lower())
    if job.state in WORKING and said.state in UNSETTLED:
        return Standing(RunState.RUNNING, "" if said.state in EXECUTED else "begun")
    if said.state not in UNSETTLED:
        return said
    if job.state == "CANCELLED":
        return Standing(RunState.INTERRUPTED, f"cancelled {person(job.detail)}".rstrip())
    if job.state in ENDS:
        return Standing(RunState.DEAD, ENDS[job.state])
    if job.state == "COMPLETED":
        return Standing(RunState.DEAD, "its job ended without having finished it")
    if said.state is RunState.QUEUED:
        return Standing(RunState.FAILED, f"its job ended {by_code(job)}, nothing ran")
    return Standing(RunState.DEAD, f"its job ended {by_code(job)}")


def by_code(job: SlurmJob) -> str:
    """Write with which exit code, or by which signal, a job ended."""
    if job.signal:
        return f"by {signal_name(job.signal)}"
    if job.exit_code and job.exit_code > 128:
        return f"by {signal_name(job.exit_code - 128)}"
    return f"with exit code {job.exit_code}" if job.exit_code is not None else f"as {job.state}"


def signal_name(number: int) -> str:
    """Return the name of a signal, or its number if it has none."""
    return Signals(number).name if number in set(Signals) else f"signal {number}"


def person(detail: str) -> str:
    """Turn ``by 0`` into ``by root``, where this machine knows the number."""
    import pwd

    word, _, number = detail.partition(" ")
    try:
        return f"{word} {pwd.getpwuid(int(number)).pw_name}"
    except (ValueError, KeyError, OverflowError):
        return detail


def _error(files: RunFiles, found: RunState) -> str:
    """Return why a run that is not queued stands as it does."""
    status = files.status
    if found is RunState.INTERRUPTED:
        return CANCELLED if files.cancelled else status.error or status.reason
    return status.error if found is RunState.FAILED else status.problem


def _queue_lives(record: JobRecord) -> bool:
    pid = record.queue_pid
    return pid is not None and alive(pid, record.submitted_at)
