"""``leyden train [overrides]``: compose, check, make the run directory, execute it here.

With ``--reuse`` a finished run with the same config and the same code stands in for a new one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from leyden.cli import startup
from leyden.cli.outcome import run_and_report
from leyden.cli.reuse import report_identical
from leyden.config.app import Context, run_app
from leyden.config.frozen import freeze
from leyden.errors import RunError
from leyden.experiment import Experiment
from leyden.runs import manifest
from leyden.runs.directory import RunDirectory, candidates, stamp
from leyden.runs.execution import prepare
from leyden.runs.witness import spared

REUSE = "--reuse"
STOPPED = 128  # exit codes above are signals
_ATTEMPTS = 1000


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    words = [word for word in argv if word != REUSE]
    return run_app("train", words, partial(task, reuse=len(words) < len(argv)))


def task(config: DictConfig, context: Context, reuse: bool = False) -> int:
    """Execute one composed and checked config; with *reuse* only if no finished run is identical."""
    if reuse and report_identical(freeze(config, next(_places(config, context))), Path(config.paths.output_dir)):
        return 0
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
        if context.job_num is None:  # of a multirun some jobs may be done
            startup.ensure(frozen.get("deterministic"))
        experiment = prepare(frozen)
        try:
            directory = RunDirectory.create(path, frozen, typed)
        except FileExistsError:
            continue
        with spared("could not be begun: execution will try again"):
            manifest.begin(directory, sys.argv, config=frozen)
        return directory, experiment
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
