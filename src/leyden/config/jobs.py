"""One run that was asked for: its config, checked but not resolved, and how it came about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf


@dataclass(frozen=True)
class Context:
    """What a task is told beside its config.

    Args:
        config_name: Of the primary config.
        overrides: Of this job, as they were typed.
        choices: The option chosen of each group.
        job_num: Number of this job in a multirun, from 0; None in a single run.
        sweep_dir: Directory of the whole multirun; None in a single run.
    """

    config_name: str
    overrides: list[str]
    choices: dict[str, Any]
    job_num: int | None
    sweep_dir: str | None


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
        overrides=list(part.overrides.task),
        choices={str(group): option for group, option in part.runtime.choices.items()},
        job_num=part.job.num if many and not OmegaConf.is_missing(part.job, "num") else None,
        sweep_dir=str(part.sweep.dir) if many else None,
    )
