"""Jobs ended on request: asked to stop at a step boundary and to save, or killed.

    waits in SLURM, or runs there   one scancel for all; SLURM sends SIGTERM, and SIGKILL some time later
    runs on this machine            SIGTERM, or SIGKILL with *now*
    waits in the local queue        its status says that it was cancelled, and the queue passes it over

Who cancelled is written into job.json beforehand: a run that gets SIGTERM can tell so that this is
meant for good, and that it must not ask to be put into the queue again.
"""

from __future__ import annotations

import getpass
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from leyden import regular
from leyden.errors import ConfigurationError, RunError
from leyden.launch import slurm_queries
from leyden.launch.jobs.listing import Job, Outcome
from leyden.launch.jobs.ownership import is_job_of
from leyden.launch.status import CANCELLED
from leyden.runs import gate
from leyden.runs.directory import RunDirectory
from leyden.runs.lock import executing
from leyden.runs.record.files import read
from leyden.runs.record.job import LOCAL, mark_cancelled
from leyden.runs.record.liveness import alive
from leyden.runs.record.moments import now
from leyden.runs.record.state import EXECUTED, PENDING, RunState

_GONE_WITHIN = 10.0  # seconds after SIGKILL
_BEGINS_WITHIN = 60.0  # seconds after a process was started


def cancellable(job: Job) -> bool:
    """Whether there is anything to end: it runs, or somebody will begin it."""
    return job.state in EXECUTED or (job.state is RunState.QUEUED and bool(job.files.job.launcher))


def cancel(jobs: Sequence[Job], kill: bool = False) -> list[Outcome]:
    """End *jobs*.

    Args:
        jobs: As they stand now.
        kill: Do not let them reach the end of a step and save.

    Returns:
        An outcome for each, in their order.
    """
    refused = {job.path: reason for job in jobs if (reason := _refusal(job)) is not None}
    meant = [job for job in jobs if job.path not in refused]
    for job in meant:
        mark_cancelled(job.path, _user())
    at_slurm = [job for job in meant if job.files.job.slurm_id]
    problem = slurm_queries.cancel([job.files.job.slurm_id for job in at_slurm], kill)
    waiting_first = sorted(jobs, key=lambda job: job.state is not RunState.QUEUED)  # or their queue begins the next one
    outcomes = {
        job.path: refused.get(job.path) or _outcome(job, job in at_slurm, problem, kill) for job in waiting_first
    }
    return [outcomes[job.path] for job in jobs]


def _refusal(job: Job) -> Outcome | None:
    """Return why *job* is not ended; None if it is to be: nobody else's job or process is, whatever its files say."""
    if not cancellable(job):
        return Outcome(job, "nothing to cancel")
    try:
        gate.check(job.path)
    except RunError as error:
        return Outcome(job, str(error), failed=True)
    id_ = job.files.job.slurm_id
    if id_ and not is_job_of(job.path, job.files.job):
        return Outcome(
            job,
            f"neither your own submissions nor SLURM say that job {id_} is this run's. If it is: scancel {id_}",
            True,
        )
    return None


def _outcome(job: Job, at_slurm: bool, problem: str | None, kill: bool) -> Outcome:
    if at_slurm and problem is not None:
        mark_cancelled(job.path, None)
        return Outcome(job, problem, failed=True)
    if job.state is RunState.QUEUED and not _is_starting(job) and _settle(job):
        return Outcome(job, "taken out of the queue")
    if at_slurm:
        return Outcome(job, "SLURM ends it" if kill else "SLURM asks it to stop: it saves")
    return _stop(job, kill)


def _is_starting(job: Job) -> bool:
    """Whether a queue of this machine has just started the process of a run, which has not written so yet.

    It is waited for: what is ended then is the run itself.
    """
    if job.files.job.launcher != LOCAL or not _is_queue_of(Path(job.files.job.batch), job.path):
        return False
    deadline = time.monotonic() + _BEGINS_WITHIN
    while _has_process(job) and time.monotonic() < deadline:
        if executing(job.path) is not None:
            return True
        time.sleep(0.1)
    return False


def _has_process(job: Job) -> bool:
    from leyden.launch.local.record import QueueRecord, is_held

    folder = Path(job.files.job.batch)
    try:
        return is_held(folder) and job.path in QueueRecord.read(folder).devices
    except (RunError, ConfigurationError, OSError):
        return False


def _is_queue_of(folder: Path, path: Path) -> bool:
    """Whether *folder* can be that of a queue of the run in *path*: it lies in the run or beside it, and has a lock."""
    from leyden.launch.local.record import LOCK

    return path.is_relative_to(folder.parent) and not folder.is_symlink() and regular.there(folder, LOCK)


def _stop(job: Job, kill: bool) -> Outcome:
    """Send a signal to the process that executes a job here."""
    files = read(job.path)  # it may have begun since
    pid = executing(job.path)
    if pid is None:
        mark_cancelled(job.path, None)
        where = files.status.host or "an unknown machine"
        return Outcome(job, f"runs on {where}, out of reach from here: cancel it there", failed=True)
    try:
        os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
    except OSError as error:
        mark_cancelled(job.path, None)
        return Outcome(job, f"process {pid} cannot be ended: {error.strerror}", failed=True)
    if not kill:
        return Outcome(job, f"process {pid} stops at the end of a step, and saves")
    _wait_for_end(pid)
    _settle(job)
    return Outcome(job, f"process {pid} was killed")


def _settle(job: Job) -> bool:
    """Write that a job, which nobody executes, was cancelled; returns False if somebody does.

    Nobody can begin it in the meantime: whoever executes a run holds its lock.
    """
    directory = RunDirectory(job.path)
    try:
        with directory.locked():
            if directory.status().state in PENDING or job.state is RunState.QUEUED:
                directory.update(status=RunState.INTERRUPTED, ended=now(), error=CANCELLED, reason=CANCELLED)
    except RunError:
        return False
    return True


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + _GONE_WITHIN
    while alive(pid, None) and time.monotonic() < deadline:
        time.sleep(0.05)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
