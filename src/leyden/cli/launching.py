"""Runs for a launcher: all their directories are made, nothing is built, and the launcher is given them.

    jobs ─► freeze all ─► run directories, "queued" ─► launcher.start ─► exit code
            (mistakes)    code and environment looked at once

The side that submits has neither to see the data nor to own an accelerator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from leyden.cli.making import Frozen, attempts, begun
from leyden.cli.reuse import report_identical
from leyden.config.jobs import Job
from leyden.config.launchers import LauncherPlugin
from leyden.config.parts import prove_parts
from leyden.errors import RunError
from leyden.launch.launcher import Launcher
from leyden.runs.directory import RunDirectory
from leyden.runs.manifest import Surroundings
from leyden.runs.record.state import RunState

_SIGNALLED = 128  # exit codes above are signals


@dataclass(frozen=True)
class Starting:
    """Makes run directories and hands them to a launcher.

    Args:
        reuse: Leave out runs for which an identical one has finished.
    """

    reuse: bool = False

    def start(self, plugin: LauncherPlugin, jobs: Sequence[Job]) -> int:
        """Start *jobs*, and return the exit code."""
        launcher: Launcher = plugin.launcher()
        wanted = [job for job in jobs if not (self.reuse and _is_done(job))]
        return launcher.start(make(wanted), composed=True) if wanted else 0

    def results(self, plugin: LauncherPlugin, jobs: Sequence[Job]) -> list[float | RunError | None]:
        """Run *jobs* to their ends, and return of each the optimized metric, or why there is none.

        Raises:
            SystemExit: If a signal has stopped them: it is meant for the whole sweep.
        """
        launcher: Launcher = plugin.launcher(wait=True)
        directories = make(jobs)
        code = launcher.start(directories, composed=True)
        if code > _SIGNALLED:
            raise SystemExit(code)
        return [_result(each) for each in directories]


def make(jobs: Sequence[Job]) -> list[RunDirectory]:
    """Make a directory for each of *jobs*.

    Raises:
        ConfigProblems: If one of them cannot be resolved, or a part of it cannot be built; no directory was made.
        RunError: If a directory cannot be made.
    """
    trials = [attempts(job.config, job.context) for job in jobs]
    firsts = [next(each) for each in trials]
    prove_parts([frozen for _, frozen in firsts], [job.context.overrides for job in jobs])
    surroundings = Surroundings()
    return [
        _made(job, chain([first], rest), surroundings)
        for job, first, rest in zip(jobs, firsts, trials, strict=True)
    ]  # fmt: skip


def _made(job: Job, trials: Iterator[tuple[Path, Frozen]], surroundings: Surroundings) -> RunDirectory:
    made = (begun(path, frozen, job.context, surroundings) for path, frozen in trials)
    return next(directory for directory in made if directory is not None)


def _is_done(job: Job) -> bool:
    _, frozen = next(attempts(job.config, job.context))
    return report_identical(frozen, Path(job.config.paths.output_dir))


def _result(directory: RunDirectory) -> float | RunError | None:
    status = directory.status()
    if status.state is not RunState.FINISHED:
        why = status.error or f"it is {status.state}"
        return RunError(f"{directory.path} has no result: {why}. Expected a finished run. Look at its logs/.")
    result = directory.result()
    value, name = result.get("value"), result.get("optimized_metric")
    if value is None and name is not None:
        return RunError(f"{directory.path} has not logged its optimized_metric {name}. Name a value that it logs.")
    return None if value is None else float(value)
