"""Launchers that are handed run directories, as Hydra plugins: a group ``hydra/launcher``, and a class each.

    basic sweeper ─► points, composed by `leyden.config.grid` ──┐
    one run ─► composed ────────────────────────────────────────┼─► Starter ─► run directories ─► launcher.start
    another sweeper ─► `LauncherPlugin.launch` composes each ───┘  (leyden.cli.launching)

Hydra's own launchers call a function in a process of theirs, which has to be pickled, and compose
there once more. A launcher of ours says what `launcher` returns and nothing else: directories are
made on this side, by the command. Every program of the environment that uses Hydra imports this
module, so that it imports next to nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from leyden.config.jobs import Job
from leyden.errors import ConfigurationError, RunError

LOCAL = "local"  # the launcher of a multirun for which none was chosen
_OF_HYDRA = ("_target_", "_recursive_", "_convert_")


class LauncherPlugin(Launcher):
    """What ``hydra.launcher._target_`` names: options in, a launcher out.

    A subclass lies in a package below ``hydra_plugins``, takes the keys of its YAML file as annotated
    arguments, against which the config is checked, and has `launcher`.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what a sweeper hands over."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    @abstractmethod
    def launcher(self, wait: bool = False, trusted: Sequence[str] = ()) -> Any:
        """Return the `leyden.launch.launcher.Launcher` that the options describe; import what it needs here.

        Args:
            wait: Its `start` has to return only when all runs have ended, whatever the options say: a
                sweeper is waiting for their results.
            trusted: What configs may name that were not composed on this command line; see ``--trust``.

        Raises:
            ConfigurationError: If the options contradict each other, or cannot be had here.
        """

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run what a sweeper asks for, and return the optimized metric of each run."""
        from leyden.config.app import Execution
        from leyden.config.grid import composed_job

        task = self.task_function
        if not isinstance(task, Execution) or task.starter is None:
            raise ConfigurationError(
                f"{type(self).__name__} starts run directories, which this program does not make; leyden train does. "
                "Choose another launcher: hydra/launcher=basic"
            )
        loader = self.hydra_context.config_loader
        jobs = [
            composed_job(loader.load_sweep_config(self.config, list(lines)), self.config, initial_job_idx + at)
            for at, lines in enumerate(job_overrides)
        ]
        return [_returned(job, result) for job, result in zip(jobs, task.starter.results(self, jobs), strict=True)]


class Starter(Protocol):
    """What makes run directories and hands them to a launcher; ``leyden train`` has one."""

    def start(self, plugin: LauncherPlugin, jobs: Sequence[Job]) -> int:
        """Start *jobs*, and return the exit code."""

    def results(self, plugin: LauncherPlugin, jobs: Sequence[Job]) -> list[float | RunError | None]:
        """Run *jobs* to their ends, and return of each the optimized metric, or why there is none."""


def plugin_of(hydra: DictConfig) -> LauncherPlugin | None:
    """Return the launcher that Hydra's part of a config describes, if it is one that is handed directories.

    Raises:
        ConfigProblems: If its options do not fit.
    """
    from leyden.config.check import check
    from leyden.config.problems import ConfigProblems, Problem
    from leyden.config.targets import locate

    node = hydra.get("launcher")
    target = None if node is None else node.get("_target_")
    if not isinstance(target, str) or not target.startswith("hydra_plugins."):
        return None
    found = locate(target)
    if not (isinstance(found, type) and issubclass(found, LauncherPlugin)):
        return None
    values: Any = OmegaConf.to_container(node, resolve=True)
    problems = [Problem(f"hydra.launcher.{each.path}", each.message, each.origin) for each in check(values)]
    if problems:
        raise ConfigProblems(problems, "the launcher")
    return found(**{key: value for key, value in values.items() if key not in _OF_HYDRA})


def _returned(job: Job, result: float | RunError | None) -> JobReturn:
    failed = isinstance(result, RunError)
    return JobReturn(
        overrides=job.context.overrides,
        cfg=job.config,
        task_name="leyden",
        status=JobStatus.FAILED if failed else JobStatus.COMPLETED,
        _return_value=result,
    )
