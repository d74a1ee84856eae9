"""Run directories become jobs: one, or the elements of arrays.

    <batch>/
      1234_submission.sh        what sbatch was given
      1234_5_submitted.pkl      a path, and nothing of the user's
      1234_5_0_log.out          what rank 0 printed, over all of its attempts
      launcher.json             the options, for leyden jobs retry
      code/                     the code, if it was frozen

All of it or nothing: where the second of two arrays is refused, the first is cancelled.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from leyden.errors import RunError
from leyden.launch.jobs.launchers import keep
from leyden.launch.jobs.ownership import remember_job
from leyden.launch.payload import variables
from leyden.launch.slurm.freezing import freeze
from leyden.launch.slurm.limits import limits
from leyden.launch.slurm.options import Options
from leyden.launch.slurm.parameters import restarts
from leyden.launch.slurm.payload import execute
from leyden.launch.slurm.script import executor, refused
from leyden.launch.slurm_queries import cancel
from leyden.runs.directory import RunDirectory
from leyden.runs.record import job
from leyden.runs.record.job import SLURM, JobRecord

_WRITERS = 8  # threads: each waits for the disk, twice a run
_KEPT = ("SLURM_CONF", "SLURM_CLUSTERS")  # say which cluster, not which job


@dataclass(frozen=True)
class Submitted:
    """One run that the cluster has taken.

    Args:
        directory: Of the run.
        record: What its job.json says.
    """

    directory: RunDirectory
    record: JobRecord


def submit(
    options: Options,
    directories: Sequence[RunDirectory],
    batch: Path,
    name: str,
    composed: bool = False,
    trusted: Sequence[str] = (),
) -> list[Submitted]:
    """Submit *directories*, and write down in each which job it has become.

    Args:
        options: What each of them asks for.
        directories: Of the runs.
        batch: An empty folder, which all nodes see; removed if nothing is submitted.
        name: Of the jobs.
        composed: Whether their configs were composed on this command line.
        trusted: What their configs may name, if not.

    Raises:
        ConfigurationError: If the cluster refuses; nothing is left behind.
    """
    done: list[Submitted] = []
    try:
        _check_writable(directories)
        parts = limits().dealt(directories)
        keep(batch, SLURM, asdict(options))
        code = freeze(batch) if options.freeze_code else None
        for part in parts:
            asked = _after(options, done)
            made = executor(asked, batch, name, len(part))
            with outside_of_jobs(), made.batch():
                jobs = [
                    made.submit(execute, str(each.path), None if code is None else str(code), tuple(trusted),
                                variables(each) if composed else None)
                    for each in part
                ]  # fmt: skip
            done += [
                Submitted(directory, _record(options, batch, submitted.job_id))
                for directory, submitted in zip(part, jobs, strict=True)
            ]
        with ThreadPoolExecutor(_WRITERS) as writers:
            list(writers.map(_write_down, done))
    except BaseException as error:
        cancel([script.name.partition("_")[0] for script in batch.glob("*_submission.sh")])
        shutil.rmtree(batch, ignore_errors=True)
        complaint = _complaint(error)
        if complaint is None:
            raise
        raise refused(complaint) from error
    _remove_links(batch)
    return done


def _write_down(submitted: Submitted) -> None:
    """Write into the run which job it has become, and outside of it that this user has submitted that."""
    job.write(submitted.directory.path, submitted.record)
    remember_job(submitted.directory.path, submitted.record)


def _complaint(error: BaseException) -> str | None:
    """Return what sbatch has complained of; None if *error* is another one."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    return str(error) if isinstance(error, FailedJobError | FailedSubmissionError) else None


def _after(options: Options, done: Sequence[Submitted]) -> Options:
    """Let an array wait for the one before, where only so many runs may be executed at a time."""
    if not done or options.array_parallelism is None:
        return options
    before = f"afterany:{done[-1].record.id.partition('_')[0]}"
    return replace(options, dependency=",".join(filter(None, [options.dependency, before])))


def _record(options: Options, batch: Path, id: str) -> JobRecord:  # noqa: A002 - what SLURM calls it
    return JobRecord(
        launcher=SLURM,
        id=id,
        batch=str(batch),
        log=str(batch / f"{id}_0_log.out"),
        nodes=options.nodes,
        ranks=options.nodes * options.tasks_per_node,
        restarts=restarts(options),
        stalled_restarts=options.stalled_restarts,
    )


def _check_writable(directories: Sequence[RunDirectory]) -> None:
    for each in directories:
        if not os.access(each.path, os.W_OK | os.X_OK):
            raise RunError(
                f"{each.path} may not be written to. A run writes its state there. Give yourself the right to, or copy "
                "the directory where you have it."
            )


def _remove_links(batch: Path) -> None:
    """Remove what submitit leaves beside each script: a link, which would lead astray when the folder is moved."""
    for link in batch.glob(".submission_file_*.sh"):
        link.unlink()


@contextmanager
def outside_of_jobs() -> Iterator[None]:
    """Submit as from a login node, even from inside of a job: a job must not inherit what another one has."""
    inside = "SLURM_JOB_ID" in os.environ
    hidden = {name: os.environ[name] for name in os.environ if inside and _is_of_job(name)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _is_of_job(name: str) -> bool:
    return name.startswith(("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_")) and name not in _KEPT
