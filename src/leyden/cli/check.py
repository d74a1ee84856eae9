"""``leyden train --check``: everything that would go wrong at a run's beginning, found without making one.

    compose ─► judge ─► build ─► prove ─► one batch of training, validation and test ─► who logs what is monitored

The batches are run in an experiment of its own with ``fast_dev_run``: no logger writes, nothing is saved, and what the
experiment puts into its run directory goes to a temporary folder that is removed. Several ranks are tried as one
process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from leyden.cli.making import Frozen, attempts, proven
from leyden.config.app import LAUNCHER
from leyden.config.frozen import freeze
from leyden.config.jobs import Context, Job
from leyden.config.launchers import LOCAL, LauncherPlugin
from leyden.errors import ConfigurationError, RunError
from leyden.experiment import Experiment
from leyden.runs.execution import prepare

FLAG = "--check"


def handed_over(words: Sequence[str]) -> list[str]:
    """Return the overrides of a command, with a launcher for a multirun that hands all points over at once.

    Hydra's own launchers make a folder before they run anything.
    """
    if "-m" not in words and "--multirun" not in words:
        return list(words)
    return [*(word for word in words if word.partition("=")[0] != LAUNCHER), f"{LAUNCHER}={LOCAL}"]


@dataclass(frozen=True)
class Checking:
    """Takes runs as a launcher's starter does, and checks them."""

    def start(self, plugin: LauncherPlugin, jobs: Sequence[Job]) -> int:
        """Check *jobs*, one after the other."""
        plugin.launcher()
        for number, job in enumerate(jobs):
            print(f"run {number} of {len(jobs)}: {' '.join(job.context.overrides) or 'no overrides'}")
            task(job.config, job.context)
        return 0

    def results(self, plugin: LauncherPlugin, jobs: Sequence[Job]) -> list[float | RunError | None]:
        """Refuse a sweeper that decides on runs when others have ended: there are no results."""
        raise ConfigurationError(
            f"{FLAG} looks at one run, or at a grid of them, and this sweeper needs the results of its runs. Expected "
            "another one. Check one point: leave out -m and give a value for each range."
        )


def task(config: DictConfig, context: Context) -> int:
    """Check one composed config; returns 0, as everything that is wrong is raised."""
    path, frozen = next(attempts(config, context))
    experiment = proven(path, frozen)
    wanted = dict(_monitored(experiment))
    del experiment  # the one that is tried needs the memory
    with tempfile.TemporaryDirectory(prefix="leyden-check-") as scratch:
        logged = _tried(freeze(config, Path(scratch) / "run"))
    _check_names(wanted, logged)
    print(f"nothing is wrong: built, and one batch of each stage. Logged: {', '.join(sorted(logged)) or 'nothing'}")
    return 0


def _tried(frozen: Frozen) -> dict[str, float]:
    """Run one batch of each stage of a config that nobody else uses, and return what was logged."""
    trainer = frozen.get("trainer")
    if isinstance(trainer, dict):
        trainer |= {"fast_dev_run": 1, "devices": 1, "num_nodes": 1, "strategy": "auto", "enable_progress_bar": False}
        trainer |= {"enable_model_summary": False}
    return prepare({**frozen, "optimized_metric": None}).run()


def _monitored(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Yield each name that somebody waits for, and who does."""
    if experiment.optimized_metric is not None:
        yield experiment.optimized_metric, "optimized_metric"
    for name, callback in experiment.callbacks.items():
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor not in ("step", "epoch"):
            yield monitor, f"callbacks.{name}.monitor"


def _check_names(wanted: Mapping[str, str], logged: Mapping[str, float]) -> None:
    missing = [f"{where}={name}" for name, where in wanted.items() if name not in logged]
    if missing:
        raise ConfigurationError(
            f"{', '.join(missing)}: nobody logs that in the first batches. Logged: "
            f"{', '.join(sorted(logged)) or 'nothing'}. Expected one of these names. Log it, or name one that is "
            f"logged."
        )
