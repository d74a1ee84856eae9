"""Evaluate or predict with what a run left behind; nothing in its directory is changed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from leyden.config.overrides import apply_overrides
from leyden.errors import RunError
from leyden.experiment import Experiment
from leyden.runs import checkpoints
from leyden.runs.archive import is_checkpoint, outline
from leyden.runs.directory import RunDirectory
from leyden.runs.execution import enter, prepare
from leyden.runs.guard import admitted

Which = Literal["best", "last"]


@dataclass(frozen=True)
class Trained:
    """A trained experiment, found again.

    Attributes:
        directory: Of the run.
        checkpoint: Whose weights are used.
        experiment: Built from the run's config, without loggers and callbacks of its own.
    """

    directory: RunDirectory
    checkpoint: Path
    experiment: Experiment


def find(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), which: Which = "best", trusted: Sequence[str] = ()
) -> Trained:
    """Find the run and the checkpoint meant by *path*, and build the experiment again.

    Args:
        path: A run directory, or a checkpoint inside of one.
        overrides: Changes to the saved config, such as ``data.batch_size=256``.
        which: Which checkpoint of a directory to take.
        trusted: Packages, folders and URLs that the saved config may name, beside those of the project.

    Raises:
        RunError: If there is no run or no checkpoint.
        ConfigurationError: If an override does not fit the config, or the config names what may not be called.
    """
    given = Path(path).resolve()
    directory = _run_of(given)
    saved = admitted(directory, trusted, without=("logger", "callbacks"))
    checkpoint = given if is_checkpoint(given) else choose(directory, which)
    checkpoints.check_own(directory, checkpoint)
    config = apply_overrides({**saved, "trainer": _on_one_device(saved["trainer"])}, list(overrides))
    config["logger"], config["callbacks"] = {}, {}
    config["trainer"] = {**config["trainer"], "enable_checkpointing": False, "enable_model_summary": False}
    enter(config["paths"].get("work_dir"))
    return Trained(directory, checkpoint, prepare(config, composed=False))


def _on_one_device(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trainer's config for one device: outputs come in the order of the data, and all of them.

    Overrides may ask for more again: ``trainer.devices=4``.
    """
    devices = trainer.get("devices")
    one = devices[:1] if isinstance(devices, list) else 1
    return {**trainer, "devices": one, "num_nodes": 1, "strategy": "auto"}


def _run_of(given: Path) -> RunDirectory:
    """Return the run directory that *given* is, or lies in."""
    if not given.exists():
        raise RunError(f"{given} does not exist. Expected a run directory, or a checkpoint inside of one.")
    for folder in (given, *given.parents):
        if (folder / "config.yaml").is_file():
            return RunDirectory(folder)
    raise RunError(
        f"{given} lies in no run directory: no config.yaml beside or above it says how to build the model. "
        "For a bare checkpoint use YourModule.load_from_checkpoint in Python."
    )


def choose(directory: RunDirectory, which: Which) -> Path:
    """Return the best or the last checkpoint of a run.

    The best is what the run's own checkpoint callback calls so, in its latest state.

    Raises:
        RunError: If there is none, or one of them belongs to another run.
    """
    last = checkpoints.choose(directory, resumable=False).newest
    if last is None:
        raise RunError(
            f"{directory.path} holds no checkpoint from which weights could be taken. Train it first: leyden run."
        )
    if which == "last":
        return last
    states: dict[str, Any] = outline(last).get("callbacks", {})
    best = [state.get("best_model_path") for state in states.values() if isinstance(state, dict)]
    named = [Path(path).name for path in best if isinstance(path, str) and path]
    found = [path for name in named for path in directory.checkpoints.rglob("*") if path.name == name]
    return found[0] if found else last
