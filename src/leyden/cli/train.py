"""``leyden train [overrides]``: compose, check, make the run directory, execute it here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from leyden.cli.outcome import run_and_report
from leyden.config.app import Context, run_app
from leyden.config.frozen import freeze
from leyden.errors import RunError
from leyden.experiment import Experiment
from leyden.runs.directory import RunDirectory, candidates, stamp
from leyden.runs.execution import prepare

STOPPED = 128  # exit codes above are signals
_ATTEMPTS = 1000


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    return run_app("train", argv, task)


def task(config: DictConfig, context: Context) -> int:
    """Execute one composed and checked config."""
    directory, experiment = create(config, context)
    code = run_and_report(directory, experiment)
    if context.job_num is not None and code > STOPPED:
        raise SystemExit(code)  # a signal is meant for the whole multirun, not for one of its jobs
    return code


def create(config: DictConfig, context: Context) -> tuple[RunDirectory, Experiment]:
    """Build the experiment and make its directory, in this order: what cannot be built leaves nothing behind."""
    chosen = {str(group): option for group, option in context.choices.items() if not str(group).startswith("hydra/")}
    typed: dict[str, Any] = {"overrides": list(context.overrides), "choices": chosen}
    for path in islice(_places(config, context), _ATTEMPTS):
        frozen = freeze(config, path)
        experiment = prepare(frozen)
        try:
            return RunDirectory.create(path, frozen, typed), experiment
        except FileExistsError:
            continue
    raise RunError(f"{_ATTEMPTS} names for a run directory in {config.paths.output_dir} are taken. Clean it up.")


def _places(config: DictConfig, context: Context) -> Any:
    """Yield where the run directory may go: below the multirun's, or by name and time."""
    if context.sweep_dir is not None and context.job_num is not None:
        return candidates(Path(context.sweep_dir).resolve(), str(context.job_num))
    given = config.paths.get("run_dir") if not _missing(config) else None
    if given is not None:
        return iter([Path(given).resolve()])
    return candidates(Path(config.paths.output_dir).resolve() / str(config.name), stamp())


def _missing(config: DictConfig) -> bool:
    from omegaconf import OmegaConf

    return OmegaConf.is_missing(config.paths, "run_dir")
