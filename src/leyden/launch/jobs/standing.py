"""How a job stands: what its files say, corrected by what SLURM knows better.

    files say              SLURM says          it stands
    finished               anything            finished
    failed, interrupted    it waits            queued: it was handed over again, or requeued
    queued                 it runs             running: it has not written anything yet
    queued, running ...    it ended            by how it ended: interrupted (cancelled), failed, dead
    queued, running ...    does not know it    dead: nobody carries it on
    dead, and cancelled    anything            interrupted: that was the intention

The words are those of `leyden.runs.life`. Where SLURM was not asked, or did not answer, the
files have the last word; a heartbeat is believed, and silence is called silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from signal import Signals

from leyden.launch.jobs.records import LOCAL, Files
from leyden.launch.slurm_queries import SlurmJob
from leyden.runs.life import alive, seconds, state

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
UNSETTLED = frozenset(("queued", "running", "silent", "dead", "unknown"))  # what SLURM may know better
CANCELLED = "cancelled"
GONE = "SLURM does not know its job any more"


@dataclass(frozen=True)
class Standing:
    """How a job stands.

    Args:
        state: One of queued, running, finished, failed, interrupted, dead, silent, unknown.
        reason: Why, in few words; empty where the state says it all.
    """

    state: str
    reason: str = ""


def standing(files: Files, job: SlurmJob | None, answered: bool, now: float) -> Standing:
    """Return how a run stands.

    Args:
        files: What its files say.
        job: What SLURM knows of its job; None if nothing.
        answered: Whether SLURM was asked and had an answer, be it that it knows nothing.
        now: Seconds since 1970.
    """
    said = by_files(files, now)
    if said.state != "finished" and files.record.slurm_id:
        lost = job is None and answered and said.state in ("queued", "running", "silent")
        said = Standing("dead", GONE) if lost else said if job is None else by_slurm(said, job)
    return Standing("interrupted", CANCELLED) if said.state == "dead" and files.cancelled else said


def by_files(files: Files, now: float) -> Standing:
    """Return how a run stands by its files alone."""
    status, record = files.status, files.record
    found = state(status, now)
    ended = seconds(status.get("ended")) or seconds(status.get("updated")) or 0.0
    if found in ("failed", "interrupted", "dead") and record.submitted is not None and record.submitted > ended:
        found = "queued"  # what the status tells was before it was handed over once more
    reason = str(status.get("reason") or "") if found == "queued" else _error(files, found)
    if found == "queued" and record.launcher == LOCAL and not _queue_lives(files):
        return Standing("dead", "never begun: its queue is gone")
    if found == "queued" and not record.launcher and not reason:
        return Standing("queued", "prepared; nobody has begun it")
    return Standing(found, reason)


def by_slurm(said: Standing, job: SlurmJob) -> Standing:
    """Correct what the files have *said* by what SLURM says about the job."""
    if job.state in WAITING:
        return Standing("queued", job.reason or job.state.lower())
    if job.state in WORKING and said.state in UNSETTLED:
        return Standing("running", "" if said.state in ("running", "silent") else "begun")
    if said.state not in UNSETTLED:
        return said
    if job.state == "CANCELLED":
        return Standing("interrupted", f"cancelled {person(job.detail)}".rstrip())
    if job.state in ENDS:
        return Standing("dead", ENDS[job.state])
    if job.state == "COMPLETED":
        return Standing("dead", "its job ended without having finished it")
    begun = said.state != "queued"
    return Standing("dead" if begun else "failed", f"its job ended {by_code(job)}" + ("" if begun else ", nothing ran"))


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


def _error(files: Files, found: str) -> str:
    """Return why a run that is not queued stands as it does."""
    if files.cancelled and found == "interrupted":
        return CANCELLED
    said = str(files.status.get("error") or "") if found in ("failed", "interrupted") else ""
    return said or (str(files.status.get("reason") or "") if found == "interrupted" else "")


def _queue_lives(files: Files) -> bool:
    pid = files.record.queue_pid
    return pid is not None and alive(pid, files.record.submitted)
