"""Hydra's own keys, as far as they mean something here: obeyed, or refused with what to write instead.

    hydra.run.dir        where the run goes: paths.run_dir
    hydra.sweep.dir      where the runs of a multirun go
    hydra.sweep.subdir   what each of them is called in there
    hydra.job.env_set    variables of the environment
    hydra.launcher       whoever starts the runs; a run that is executed right here has none

Hydra takes all of its keys without a word. One that nothing reads here would leave its owner believing something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from leyden.config.compose import Composed
from leyden.config.jobs import typed
from leyden.config.overrides import read
from leyden.config.problems import ConfigProblems, Problem
from leyden.config.variables import referred_to

SUBJECT = "the config of Hydra"
_HERE = "."  # the folder that means: none was given


@dataclass(frozen=True)
class Use:
    """What is to be done with a config.

    Args:
        many: A multirun.
        launched: A launcher is handed run directories; otherwise everything is executed in this process.
    """

    many: bool
    launched: bool


def settle_hydra_keys(composed: Composed, use: Use) -> None:
    """Give Hydra's keys their meaning.

    ``hydra.run.dir`` becomes ``paths.run_dir`` of the config, in place.

    Args:
        composed: The config of one run, or what the points of a multirun have in common.
        use: What is to be done with it.

    Raises:
        ConfigProblems: All that mean nothing here.
    """
    problems = [*_typed(composed, use), *_set(composed)]
    if not use.many:
        problems += _run_dir(composed)
    if problems:
        raise ConfigProblems(problems, SUBJECT)


def _typed(composed: Composed, use: Use) -> Iterator[Problem]:
    for override in read(typed(composed.hydra, "hydra"))[0]:
        key = override.key_or_group.replace("/", ".")
        said = _unread(key, composed, use)
        if said is not None:
            yield Problem(override.input_line or key, f"has no effect: {said}")


def _unread(key: str, composed: Composed, use: Use) -> str | None:
    """Say why nothing reads *key*; None if something does."""
    if key == "hydra.launcher" or _below(key, *_ALWAYS) or key in _JUDGED_BY_VALUE:
        return None
    if _below(key, "hydra.run"):
        return "the runs of a multirun go to hydra.sweep.dir. Set that" if use.many else None
    if _below(key, "hydra.sweep", "hydra.sweeper"):
        return None if use.many else "this is one run. Add -m for several, or say where it goes: paths.run_dir"
    if _below(key, "hydra.launcher"):
        started = use.many or use.launched
        return None if started else "this run is executed right here. Choose who starts it: hydra/launcher=<launcher>"
    if _below(key, "hydra.verbose", "hydra.job_logging", "hydra.callbacks"):
        return (
            "runs are started by a launcher, in processes of their own. Choose hydra/launcher=basic"
            if use.launched
            else None
        )
    name = key.removeprefix("hydra.")
    if any(each in (name, key) for each in referred_to(_written(composed))):
        return None
    return f"nothing here reads {key}. Leave it out"


_ALWAYS = (
    *("hydra.mode", "hydra.searchpath", "hydra.help", "hydra.hydra_help", "hydra.hydra_logging"),
    *("hydra.job.env_set", "hydra.job.config"),
)
_JUDGED_BY_VALUE = ("hydra.job.chdir", "hydra.output_subdir")


def _set(composed: Composed) -> Iterator[Problem]:
    """Find what is switched on, by whoever it was, and does not happen."""
    if composed.hydra.job.chdir:
        said = "has no effect: a run stays where its command was given, and writes to ${paths.run_dir}. Leave it out"
        yield Problem("hydra.job.chdir", said)
    if composed.hydra.output_subdir is not None:
        said = "has no effect: the config and the overrides lie in the run directory itself. Leave it out"
        yield Problem("hydra.output_subdir", f"is {composed.hydra.output_subdir}, and {said}")


def _run_dir(composed: Composed) -> Iterator[Problem]:
    given = str(HydraConfig.get().run.dir)
    paths = OmegaConf.to_container(composed.config, resolve=False).get("paths")  # type: ignore[union-attr]
    if given == _HERE or not isinstance(paths, dict):
        return
    if paths.get("run_dir") not in (None, "???", given):
        said = f"is {given}, but paths.run_dir is {paths['run_dir']}, and both say where it goes. Leave one out"
        yield Problem("hydra.run.dir", said)
        return
    instance: Any = HydraConfig.instance()
    for whole in (composed.config, composed.whole, instance.cfg):
        _set_run_dir(whole, given)


def _set_run_dir(config: DictConfig, given: str) -> None:
    with read_write(config), open_dict(config):
        if "paths" in config:
            config.paths.run_dir = given
        if "hydra" in config:
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.run.dir = _HERE  # Hydra makes that folder itself, before the config is checked


def _below(key: str, *parents: str) -> bool:
    return any(key == parent or key.startswith(f"{parent}.") for parent in parents)


def _written(composed: Composed) -> Any:
    return OmegaConf.to_container(composed.whole, resolve=False)
