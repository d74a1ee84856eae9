"""Wait for runs that a cluster executes: their files are asked first, squeue second, sacct third."""

from __future__ import annotations

import time
from collections.abc import Sequence

from leyden.launch.jobs.listing import Job, look
from leyden.launch.jobs.questions import Questions
from leyden.runs.directory import RunDirectory
from leyden.runs.record.state import ENDED, RunState

_SHORT, _LONG = 1.0, 15.0  # seconds between two looks, at first and at last
_TWICE = 2  # a job that nobody knows is looked for again before it is given up: SLURM's parts do not hear at once


def wait_for(directories: Sequence[RunDirectory]) -> list[Job]:
    """Wait until all runs have ended, one way or another; returns how."""
    gap, seen = _SHORT, dict.fromkeys((each.path for each in directories), 0)
    while True:
        jobs = jobs_of(directories)
        for job in jobs:
            seen[job.path] = seen[job.path] + 1 if job.state in ENDED else 0
        if all(job.state is RunState.FINISHED or seen[job.path] >= _TWICE for job in jobs):
            return jobs
        time.sleep(gap)
        gap = min(_LONG, gap * 1.2)


def jobs_of(directories: Sequence[RunDirectory]) -> list[Job]:
    """Return how runs stand, in their order."""
    found = {job.name: job for job in look([(str(each.path), each.path) for each in directories], Questions())}
    return [found[str(each.path)] for each in directories]
