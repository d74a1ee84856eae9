"""The jobs below some folders: what waits, what runs, and what has ended lately.

Of thousands of runs only those are looked at more closely that are not over, ended within a
day, or were handed to a launcher since. SLURM is asked once about all of theirs.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from leyden.launch.jobs.questions import Questions
from leyden.launch.slurm_queries import SlurmJob
from leyden.launch.status import WAITING, WORKING, Standing, by_files, run_status
from leyden.runs import gate
from leyden.runs.listing import Run, find, list_runs, one
from leyden.runs.reading import is_run
from leyden.runs.record.files import RunFiles, read
from leyden.runs.record.state import OVER, PENDING, UNSETTLED, RunState

LATELY = 86_400.0  # seconds
_LOST = UNSETTLED - PENDING
_PARTS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Job:
    """One run, and who executes it.

    Args:
        name: Of the run, as lists show it.
        files: What its files say.
        standing: How it stands, all things considered.
        slurm: What SLURM knows of it; None if nothing, or if it was not asked.
        now: Seconds since 1970; ages are counted from here.
    """

    name: str
    files: RunFiles
    standing: Standing
    slurm: SlurmJob | None
    now: float

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.files.path

    @property
    def state(self) -> RunState:
        """How it stands, in one word."""
        return self.standing.state

    @property
    def age(self) -> float | None:
        """For how many seconds it has stood like that; None if nothing tells."""
        status = self.files.status
        submitted = self.files.job.submitted_at
        if self.state is RunState.QUEUED:
            since = status.created_at if submitted is None else max(submitted, status.updated_at or 0.0)
        elif self.state is RunState.RUNNING:
            since = status.started_at
        elif self.state in _LOST:
            since = status.updated_at or status.created_at
        else:
            since = status.ended_at or status.updated_at
        return None if since is None else max(0.0, self.now - since)

    @property
    def node(self) -> str:
        """Where it runs or ran."""
        if self.state is RunState.QUEUED:
            return ""
        return (self.slurm.nodes if self.slurm is not None else "") or self.files.status.host

    def row(self) -> dict[str, Any]:
        """Return what a table and a program are told about it."""
        record, status = self.files.job, self.files.status
        return {
            "run": self.name,
            "launcher": self.files.launcher,
            "job": record.id,
            "state": self.state,
            "epoch": status.epoch,
            "step": status.step,
            "age": self.age,
            "node": self.node,
            "reason": self.standing.reason.partition("\n")[0],
            "attempts": status.attempts,
            "path": str(self.path),
            "log": record.log,
        }


@dataclass(frozen=True)
class Outcome:
    """What became of one job that was to be ended, or started again.

    Args:
        job: As it stood before.
        did: What was done, or why nothing was.
        failed: It should have been done, and was not.
    """

    job: Job
    did: str
    failed: bool = False


def jobs_in(
    places: Sequence[str], root: Path, questions: Questions, lately: float | None = LATELY, cache: Path | None = None
) -> list[Job]:
    """Return the jobs meant by *places*, the newest first.

    Args:
        places: Folders, runs or parts of their names; without any the whole output folder.
        root: The output folder.
        questions: Asks SLURM.
        lately: Leave out what ended, or was last heard of, longer ago, in seconds; None leaves out nothing.
        cache: Folder for the index of runs; None for the user's cache.

    Raises:
        RunError: If a place is none.
    """
    runs = runs_meant(places, root, cache) if places else list_runs(root, cache)
    kept = [run for run in runs if lately is None or _recent(run, lately)]
    found = look([(run.name, Path(run.path)) for run in kept], questions)
    return found if lately is None else [job for job in found if not _forgotten(job, lately)]


def runs_meant(places: Sequence[str], root: Path, cache: Path | None = None) -> list[Run]:
    """Return the runs meant by *places*, each once: see `runs_in`; a pattern means every path that it fits.

    The folder of a queue, which lies beside the runs of a grid and is met by ``DIR/*``, has none.

    Raises:
        RunError: If a place is none.
    """
    named = [path for place in places for path in _paths(place)]
    return list({run.path: run for place in named for run in runs_in(place, root, cache)}.values())


def _paths(place: str) -> list[str]:
    if not any(sign in place for sign in "*?[") or os.path.lexists(place):
        return [place]
    return sorted(glob(place), key=in_order) or [place]


def in_order(name: str) -> list[int | str]:
    """Return what names are sorted by, so that run 10 of a grid comes after run 9."""
    return [int(part) if at % 2 else part for at, part in enumerate(_PARTS.split(name))]


def runs_in(place: str, root: Path, cache: Path | None = None) -> list[Run]:
    """Return the runs meant by one word: a run, the runs below a folder, or those with the word in their names.

    Raises:
        RunError: If there are none.
    """
    folder = Path(place)
    if is_run(place):
        return [one(gate.named(folder), root)]
    if not folder.is_dir():
        known = list_runs(root, cache) if place.lower() != "last" else []
        return [run for run in known if place in run.name] or [one(find(place, root, cache), root)]
    inside = f"{gate.named(place)}/"
    if not inside.startswith(f"{os.path.realpath(root)}/"):
        return list_runs(folder, cache)
    return [run for run in list_runs(root, cache) if f"{run.path}/".startswith(inside)]


def named_in(places: Sequence[str], root: Path, cache: Path | None = None) -> set[Path]:
    """Return the directories of the runs that one of *places* names alone: not as one of several, not by a folder."""
    single = [place for place in places if is_run(place) or not Path(place).is_dir()]
    found = [runs_in(place, root, cache) for place in single]
    return {Path(runs[0].path) for runs in found if len(runs) == 1}


def look(runs: Iterable[tuple[str, Path]], questions: Questions) -> list[Job]:
    """Return how runs stand, given as names and directories: files first, then squeue, then sacct."""
    now = time.time()
    found = {name: read(path) for name, path in runs}
    wanted = [each for each in found.values() if each.job.slurm_id and each.status.state is not RunState.FINISHED]
    answer = questions.queue(each.job.slurm_id for each in wanted)
    open_ = [each for each in wanted if each.job.slurm_id not in answer.jobs and by_files(each, now).state in UNSETTLED]
    ended = questions.accounts(each.job.slurm_id for each in open_).jobs
    past = {name: job for name, job in ended.items() if job.state not in WAITING | WORKING}  # it lags behind
    answered = answer.problem is None
    made = []
    for name, files in found.items():
        slurm = answer.jobs.get(files.job.slurm_id) or past.get(files.job.slurm_id)
        made.append(Job(name, files, run_status(files, slurm, answered, now), slurm, now))
    return made


def _recent(run: Run, lately: float) -> bool:
    """Whether a run is not over, ended lately, or was handed over lately."""
    if run.state not in OVER:
        return True
    ended = run.since("ended") if run.since("ended") is not None else run.since("updated")
    if ended is not None and ended < lately:
        return True
    try:
        return run.now - os.stat(f"{run.path}/job.json").st_mtime < lately
    except OSError:
        return False


def _forgotten(job: Job, lately: float) -> bool:
    """Whether nobody carries a job on, and nothing has been heard of it for long."""
    abandoned = job.state in _LOST or (job.state is RunState.QUEUED and not job.files.job.launcher)
    return abandoned and (job.age is None or job.age > lately)
