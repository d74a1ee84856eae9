"""Run directories made on the command line: where they go, and what is written down before anything runs.

attempts(config, context) ─► (path, frozen config), as often as the name is taken
proven(path, frozen)      ─► the experiment, built and tried before there is a directory
begun(path, frozen, ...)  ─► the directory, "queued", its manifest begun; None if the name is taken
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from leyden.cli.disk import full
from leyden.config.frozen import freeze
from leyden.config.jobs import Context
from leyden.config.project import shown
from leyden.errors import ConfigurationError, RunError
from leyden.experiment import Experiment, check_tags
from leyden.runs import manifest, origin
from leyden.runs.directory import RunDirectory, candidates, stamp
from leyden.runs.execution import prepare
from leyden.runs.witness import spared
from leyden.runs.writable import check_writable

Frozen = dict[str, Any]
_ATTEMPTS = 1000


def attempts(config: DictConfig, context: Context) -> Iterator[tuple[Path, Frozen]]:
    """Yield where the directory may go, with the config resolved for that place.

    Raises:
        ConfigProblems: If the config cannot be resolved.
        ConfigurationError: If the one that was given is taken.
        RunError: If a thousand are.
    """
    path = None
    for path in islice(_places(config, context), _ATTEMPTS):
        frozen = freeze(config, path)
        check_tags(frozen.get("tags"), frozen.get("tags_required"))
        yield path, frozen
    if path is not None and context.job_num is None and config.paths.get("run_dir") is not None:
        raise ConfigurationError(_taken(path))
    raise RunError(f"{_ATTEMPTS} names for a run directory in {config.paths.output_dir} are taken. Clean it up.")


def proven(path: Path, frozen: Frozen) -> Experiment:
    """Build the experiment of a run that is to be made at *path*, and try what would end it at its beginning.

    Raises:
        ConfigurationError: What is wrong; nothing has been made.
    """
    experiment = prepare(frozen)
    experiment.prove()
    check_writable(experiment.trainer, path)
    return experiment


def begun(
    path: Path, frozen: Frozen, context: Context, surroundings: manifest.Surroundings | None = None
) -> RunDirectory | None:
    """Make the directory *path* and begin its manifest; returns None if the name is taken.

    Args:
        path: Of the new directory.
        frozen: Its config.
        context: How the config came about.
        surroundings: Code and environment, if other runs of this command have looked at them.
    """
    chosen = {str(group): option for group, option in context.choices.items() if not str(group).startswith("hydra/")}
    try:
        directory = RunDirectory.create(path, frozen, {"overrides": list(context.overrides), "choices": chosen})
    except FileExistsError:
        return None
    except OSError as error:
        if full(error):
            raise
        said = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        raise ConfigurationError(
            f"the run directory {path} cannot be made: {said}. Expected a folder that this process may write to. "
            "Choose another one: paths.output_dir=<folder>, or paths.run_dir=<folder>"
        ) from error
    code = None
    with spared("could not be begun: execution will try again"):
        code = manifest.begin(directory, sys.argv, config=frozen, surroundings=surroundings)["code"]
    origin.remember_run(directory.path, code)
    return directory


def _taken(path: Path) -> str:
    if (path / "config.yaml").is_file():
        return (
            f"paths.run_dir={path} is a run already, made earlier or by another start at the same moment. Expected a "
            f"name that is free. Go on with it:  leyden run {shown(path)}; or choose another name."
        )
    what = "is no run, and not empty" if path.is_dir() else "is no folder"
    return f"paths.run_dir={path} exists and {what}. Expected a name that is free. Choose another one."


def _places(config: DictConfig, context: Context) -> Iterator[Path]:
    """Yield where the run directory may go: below the multirun's, or by name and time."""
    if context.sweep_dir is not None and context.job_num is not None:
        return candidates(Path(context.sweep_dir).resolve(), context.subdir or str(context.job_num))
    given = None if OmegaConf.is_missing(config.paths, "run_dir") else config.paths.get("run_dir")
    if given is not None:
        return iter([Path(given).resolve()])
    return candidates(Path(config.paths.output_dir).resolve() / str(config.name), stamp())
