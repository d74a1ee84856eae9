"""One run that was asked for: its config, checked but not resolved, and how it came about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from leyden.config.folder_names import no_folder
from leyden.config.problems import ConfigProblems, Problem


@dataclass(frozen=True)
class Context:
    """What a task is told beside its config.

    Args:
        config_name: Of the primary config.
        overrides: Of this job, as they were typed.
        choices: The option chosen of each group.
        job_num: Number of this job in a multirun, from 0; None in a single run.
        sweep_dir: Directory of the whole multirun; None in a single run.
        subdir: What this run is called in there; None: by its number.
    """

    config_name: str
    overrides: list[str]
    choices: dict[str, Any]
    job_num: int | None
    sweep_dir: str | None
    subdir: str | None = None


@dataclass(frozen=True)
class Job:
    """One run that was asked for.

    Args:
        config: Checked and independent of Hydra; `leyden.config.frozen.freeze` resolves it.
        context: How it came about.
    """

    config: DictConfig
    context: Context


Task = Callable[[DictConfig, Context], Any]


def context() -> Context:
    """Return the context of the job that Hydra is at."""
    part = HydraConfig.get()
    many = part.mode is RunMode.MULTIRUN
    return Context(
        config_name=str(part.job.config_name),
        overrides=typed(part, "task"),
        choices={str(group): option for group, option in part.runtime.choices.items()},
        job_num=part.job.num if many and not OmegaConf.is_missing(part.job, "num") else None,
        sweep_dir=str(part.sweep.dir) if many else None,
        subdir=_named(str(part.sweep.subdir)) if many else None,
    )


def typed(hydra: Any, part: str) -> list[str]:
    """Return the overrides that Hydra has kept, as they were typed: what they refer to is not looked up.

    Args:
        hydra: Its part of a config.
        part: ``"task"``, or ``"hydra"`` for those of its own keys.
    """
    kept: Any = OmegaConf.to_container(hydra.overrides, resolve=False)
    return [str(line) for line in kept[part]]


def _named(subdir: str) -> str | None:
    """Return the name that ``hydra.sweep.subdir`` gives a run; None where it gives none."""
    said = None if subdir == "." else no_folder(subdir)
    if said is not None:
        raise ConfigProblems([Problem("hydra.sweep.subdir", f"is {subdir!r}, {said}")], "the config of Hydra")
    return None if subdir == "." else subdir
