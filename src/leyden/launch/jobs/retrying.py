"""Runs that did not finish, started again: by the launcher that had started them, or here, one after the other.

interrupted, dead      always: something outside stopped them
failed                 by name, or with `failed`: the same error may well come again
prepared, never begun  by name, or with `unfinished`
finished               never
running, waiting       never: they are under way
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

from leyden.config.project import shown
from leyden.errors import LeydenError
from leyden.launch.jobs.launchers import again
from leyden.launch.jobs.listing import Job, Outcome
from leyden.launch.status import by_files
from leyden.runs.directory import RunDirectory
from leyden.runs.record.files import read
from leyden.runs.record.job import JobRecord
from leyden.runs.record.state import ENDED, EXECUTED, RunState


def refusal(job: Job, named: bool, failed: bool = False, unfinished: bool = False, answered: bool = True) -> str | None:
    """Return why *job* is not to be started again; None if it is.

    Args:
        job: As it stands now.
        named: It was asked for by itself, not as one of several.
        failed: Those that failed are wanted, too.
        unfinished: Everything is wanted that is neither finished nor under way.
        answered: Whether SLURM, if it has a job of this run, told how that stands.
    """
    if job.state is RunState.FINISHED:
        return job.state
    if job.state in EXECUTED:
        return "runs" if job.state is RunState.RUNNING else "may still run: nothing was heard of it for long"
    if job.state is RunState.QUEUED and job.files.job.launcher:
        return "waits already"
    if job.files.job.slurm_id and not answered:
        return "SLURM did not answer, and its job may wait there"
    if named or unfinished or job.state in (RunState.INTERRUPTED, RunState.DEAD):
        return None
    if job.state is RunState.FAILED:
        return None if failed else "failed by itself: name it, or say --failed"
    return "nobody has begun it: name it, or say --all-unfinished"


def retry(jobs: Sequence[Job], here: bool = False, trusted: Sequence[str] = (), detach: bool = False) -> list[Outcome]:
    """Start *jobs* again.

    Args:
        jobs: That `refusal` lets through.
        here: Run those that no launcher can be had for in this place, one after the other.
        trusted: What their configs may name: see ``--trust``.
        detach: Run a queue of this machine in the background.

    Returns:
        An outcome for each; what was started together stands together.
    """
    return [outcome for group in _together(jobs) for outcome in _start(group, here, trusted, detach)]


def _together(jobs: Iterable[Job]) -> list[list[Job]]:
    """Group jobs by what had started them: one submission becomes one submission again."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.files.job.launcher, job.files.job.batch), []).append(job)
    return list(groups.values())


def _start(group: Sequence[Job], here: bool, trusted: Sequence[str], detach: bool) -> list[Outcome]:
    before: JobRecord = group[0].files.job
    try:
        launcher = again(before, [job.path for job in group], trusted, detach)
        if launcher is None:
            return [_by_itself(job, here, trusted) for job in group]
        code = launcher.start([RunDirectory(job.path) for job in group])
    except LeydenError as error:
        return [Outcome(job, str(error), failed=True) for job in group]
    return [_started(job, code) for job in group]


def _started(job: Job, code: int) -> Outcome:
    """Tell what came of a job that its launcher was given: its new id, and its end where the launcher waited for it."""
    after = read(job.path)
    if after.job.id == job.files.job.id and code != 0:
        return Outcome(job, f"not started: its launcher ended with exit code {code}", failed=True)
    state = by_files(after, time.time()).state  # an end that was before it was started again does not count
    ended = f": {state}" if state in ENDED else ""
    failed = bool(ended) and state is not RunState.FINISHED
    return Outcome(job, f"{after.job.launcher} job {after.job.id}{ended}", failed)


def _by_itself(job: Job, here: bool, trusted: Sequence[str]) -> Outcome:
    """Execute a run in a process of its own and wait for it, or say how that is done."""
    if not here:
        return Outcome(
            job, f"not started, no launcher is known: leyden run {shown(job.path)}  (or --here)", failed=True
        )
    trust = [word for each in trusted for word in ("--trust", each)]
    code = subprocess.run([sys.executable, "-m", "leyden.run", str(job.path), *trust], check=False).returncode
    return Outcome(job, "finished here" if code == 0 else f"ended here with exit code {code}", code != 0)
