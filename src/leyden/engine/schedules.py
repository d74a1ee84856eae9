"""Optimizers and schedulers on their way back from a checkpoint, with what was typed since put over them.

    schedules of other settings are stepped from their beginning to where the run stands
    ─► states of optimizers and of all other schedulers ─► options that were typed, and the rates of those schedules

From there on the rates are those of a run that had these settings from the start. Where that cannot be found out, there
is one error. The rows of `leyden.engine.continuing` say what wins.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from leyden.engine.data import INFINITE
from leyden.engine.hooks import is_overridden
from leyden.engine.parts import check_optimizer, check_scheduler, is_of_a_library, part
from leyden.engine.setup import name_of, settings
from leyden.errors import ConfigurationError, DamagedCheckpointError
from leyden.module import LightningModule
from leyden.progress import Progress

if TYPE_CHECKING:
    from leyden.engine.optimization import Optimization, SchedulerConfig
    from leyden.engine.session import Session
    from leyden.trainer import Trainer

_RATES = frozenset("lr initial_lr max_lr min_lr momentum betas max_momentum base_momentum".split())


def restore_optimization(
    session: Session, optimization: Optimization, checkpoint: Mapping[str, Any], path: str
) -> None:
    """Take back the states of optimizers and schedulers, and put what was typed since over them.

    Raises:
        ConfigurationError: If a schedule was typed that cannot be gone on with from here.
        DamagedCheckpointError: If a state does not fit.
    """
    trainer = session.trainer
    setup, then = trainer._setup, trainer._setup.then or {}
    states, schedules = checkpoint["optimizer_states"], checkpoint["lr_schedulers"]
    _check_count("optimizer", len(optimization.optimizers), len(states), path)
    optimizers_then = then.get("optimizers") or [None] * len(states)
    rebuilt = _rebuild_schedules(session, optimization, schedules, path)
    reduced = {_optimizer_of(config) for config in optimization.schedulers if config.reduce_on_plateau}
    for index, (optimizer, state) in enumerate(zip(optimization.optimizers, states, strict=True)):
        before, now = optimizers_then[index], setup.record["optimizers"][index]
        fresh = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        if before is not None and before["class"] != now["class"]:
            setup.kept.append(f"{now['class']} begins anew: the checkpoint has the state of {before['class']}")
            continue
        _load_optimizer(trainer, optimizer, state, path, index, added=_RATES if optimizer in rebuilt else frozenset())
        loaded = [group["lr"] for group in optimizer.param_groups if "lr" in group]
        typed = _typed(before, now, state, optimizer in rebuilt, optimizer in reduced, setup.kept)
        _put(optimizer, fresh, typed, rebuilt.get(optimizer))
        if optimizer in reduced and before is not None:
            _reduce_again(optimizer, typed, loaded, before)


def _load_optimizer(
    trainer: Trainer, optimizer: Optimizer, state: Any, path: str, index: int, added: frozenset[str]
) -> None:
    """Load a state, and hold it against the optimizer; what schedulers have *added* to it may be missing there."""
    name = f"optimizer_states[{index}]"
    groups = [{key: value for key, value in group.items() if key not in added} for group in optimizer.param_groups]
    with part(path, name):
        trainer.strategy.load_optimizer_state(optimizer, state)
    check_optimizer(optimizer, groups, path, name)


def _typed(
    before: dict[str, Any] | None,
    now: dict[str, Any],
    state: Mapping[str, Any],
    scheduled: bool,
    reduced: bool,
    kept: list[str],
) -> list[set[str]]:
    """Return, for each group of parameters, the options that were typed since; say which.

    Args:
        before: The optimizer's record in the checkpoint, if there is one.
        now: Its record now.
        state: Its state in the checkpoint.
        scheduled: Whether a schedule that was stepped anew says what its rates are.
        reduced: Whether a plateau scheduler changes its rates.
        kept: What is said is added here.
    """
    typed: list[set[str]] = []
    known = before["groups"] if before is not None else [settings(group) for group in state["param_groups"]]
    for index, (then, here) in enumerate(zip(known, now["groups"], strict=False)):
        changed = {key for key in here.keys() & then.keys() if then[key] != here[key]}
        unsaid = changed & _RATES if scheduled else {"initial_lr"}
        where = f"{now['class']}{f'[group {index}]' if len(now['groups']) > 1 else ''}"
        for key in sorted(changed - unsaid):
            if before is not None:
                kept.append(f"{where}: {key}={here[key]}, no longer {then[key]}")
            elif not (key in _RATES and (reduced or "initial_lr" in here)):
                kept.append(
                    f"{where}: {key}={then[key]} of the checkpoint is kept, not {here[key]}: the file does not tell "
                    "whether training has changed it or you"
                )
        typed.append(changed if before is not None else set())
    return typed


def _reduce_again(optimizer: Optimizer, typed: list[set[str]], loaded: list[Any], before: Mapping[str, Any]) -> None:
    """Reduce rates typed since by as much as a plateau scheduler had reduced those of the checkpoint."""
    for group, options, rate, then in zip(optimizer.param_groups, typed, loaded, before["groups"], strict=False):
        if "lr" in options and then.get("lr"):
            group["lr"] = group["lr"] * float(rate) / then["lr"]


def _put(
    optimizer: Optimizer, fresh: list[dict[str, Any]], typed: list[set[str]], rates: list[dict[str, Any]] | None
) -> None:
    """Put what was typed, and the rates of a schedule that was stepped anew, over the state that was loaded."""
    for index, group in enumerate(optimizer.param_groups):
        if index < len(typed):
            group.update({key: fresh[index][key] for key in typed[index] if key in fresh[index]})
        if rates is not None and index < len(rates):
            group.update(rates[index])


def _rebuild_schedules(
    session: Session, optimization: Optimization, states: list[Any], path: str
) -> dict[Optimizer, list[dict[str, Any]]]:
    """Load the schedulers whose settings are those of the checkpoint, and step the others to where the run stands.

    Returns:
        What the schedulers that were stepped have made of the groups of their optimizers.
    """
    setup, configs = session.trainer._setup, optimization.schedulers
    then = (setup.then or {}).get("schedulers")
    replaced = tuple(config.scheduler for config in configs) != setup.schedulers  # by a callback, which knows its own
    if {len(configs), len(states)} == {0, 1} and not replaced and len(optimization.optimizers) == 1:
        return _added_or_removed(session, optimization)
    _check_count("scheduler", len(configs), len(states), path)
    rebuilt: dict[Optimizer, list[dict[str, Any]]] = {}
    for index, (config, state) in enumerate(zip(configs, states, strict=True)):
        now = None if replaced else setup.record["schedulers"][index]
        before = then[index] if then is not None and index < len(then) else None
        changes = {} if now is None else _changes(before, now, config, state)
        if not changes or (config.reduce_on_plateau and "class" not in changes):
            _load_scheduler(config, state, path, index)
            if changes:
                _change_plateau(config, changes, setup.kept)
            continue
        unit = {"class", "interval", "frequency"} & changes.keys()
        steps = _steps_due(session.progress, config) if unit else _steps_done(state)
        optimizer = _optimizer_of(config)
        rates = _replayed(session, config, configs, steps)
        place = next((number for number, each in enumerate(optimization.optimizers) if each is optimizer), None)
        own = len(rates) if place is None else len(setup.record["optimizers"][place]["groups"])
        rebuilt[optimizer] = rates[:own]
        told = _told(changes)
        setup.kept.append(f"{name_of(config.scheduler)} goes on at step {steps} of the schedule given now ({told})")
        if len(rates) > own:
            _keep_added(config.scheduler, state, own)
            setup.kept.append(f"groups of parameters that were added since, from the {own + 1}. on, keep their rates")
    return rebuilt


def _keep_added(scheduler: Any, state: Mapping[str, Any], own: int) -> None:
    """Let the rates of groups that a callback has added since go on from those of the checkpoint."""
    then = state.get("base_lrs")
    if isinstance(then, list) and len(then) == len(scheduler.base_lrs):
        scheduler.base_lrs[own:] = then[own:]


def _added_or_removed(session: Session, optimization: Optimization) -> dict[Optimizer, list[dict[str, Any]]]:
    """Begin a schedule that the checkpoint does not have where the run stands; or forget one that is gone."""
    kept = session.trainer._setup.kept
    (optimizer,) = optimization.optimizers
    if not optimization.schedulers:
        kept.append("there is no scheduler any more: the rate stays as it is given now")
        fresh = [{key: group[key] for key in _RATES & group.keys()} for group in optimizer.param_groups]
        return {optimizer: fresh}
    (config,) = optimization.schedulers
    steps = _steps_due(session.progress, config)
    kept.append(f"{name_of(config.scheduler)}, which the checkpoint does not have, begins at step {steps}")
    if config.reduce_on_plateau:
        return {}
    return {optimizer: _replayed(session, config, optimization.schedulers, steps)}


def _changes(
    before: dict[str, Any] | None, now: dict[str, Any], config: SchedulerConfig, state: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return what was typed differently, each with its old and its new value."""
    if before is None:  # of Lightning, or older: a state of torch's schedulers holds its settings, too
        if not is_of_a_library(config.scheduler):
            return {}
        found, here = (json.loads(json.dumps(settings(each))) for each in (state, config.scheduler.state_dict()))
        common = found.keys() & here.keys()
        for key in common:
            if isinstance(here[key], list) and isinstance(found[key], list):
                found[key] = found[key][: len(here[key])]  # groups of parameters may have been added
        before, now = ({**now, "settings": {key: each[key] for key in common}} for each in (found, here))
    changes = {key: (before[key], now[key]) for key in ("class", "interval", "frequency") if before[key] != now[key]}
    if "class" in changes:
        return changes
    then, here = before["settings"], now["settings"]
    return changes | {key: (then.get(key), here.get(key)) for key in then | here if then.get(key) != here.get(key)}


def _load_scheduler(config: SchedulerConfig, state: Any, path: str, index: int) -> None:
    name = f"lr_schedulers[{index}]"
    if is_of_a_library(config.scheduler):
        check_scheduler(config.scheduler.state_dict(), state, path, name)
    with part(path, name):
        config.scheduler.load_state_dict(state)


def _change_plateau(config: SchedulerConfig, changes: dict[str, tuple[Any, Any]], kept: list[str]) -> None:
    """Give a plateau scheduler the settings typed since; what it has seen and counted goes on."""
    scheduler = config.scheduler
    for key, (_, new) in changes.items():
        if hasattr(scheduler, key) and key not in _RATES:
            setattr(scheduler, key, new)
    if isinstance(scheduler, ReduceLROnPlateau) and {"mode", "threshold_mode"} & changes.keys():
        scheduler._init_is_better(scheduler.mode, scheduler.threshold, scheduler.threshold_mode)
        if "mode" in changes:
            scheduler._reset()
    told = _told(changes)
    kept.append(f"{name_of(scheduler)}: {told}; what it has seen goes on")


def _replayed(
    session: Session, config: SchedulerConfig, configs: list[SchedulerConfig], steps: int | None
) -> list[dict[str, Any]]:
    """Step a schedule from its beginning; returns what it has made of each group of parameters.

    Raises:
        ConfigurationError: If that cannot be done, or the schedule is over before.
    """
    scheduler, optimizer, name = config.scheduler, _optimizer_of(config), name_of(config.scheduler)
    several = sum(_optimizer_of(each) is optimizer for each in configs) > 1
    own = is_overridden(session.module, "lr_scheduler_step", LightningModule)
    if not isinstance(scheduler, LRScheduler) or several or own or steps is None:
        reason = (
            "its optimizer has another scheduler, too" if several
            else f"{type(session.module).__name__}.lr_scheduler_step decides how it is stepped" if own
            else "only schedulers of torch can be stepped by themselves"
        )  # fmt: skip
        raise ConfigurationError(
            f"the settings of the scheduler {name} are not those of the checkpoint, and where its schedule stands now "
            f"cannot be found: {reason}. Go on with the settings of the checkpoint, or begin a new fit from its "
            "weights (load_from_checkpoint)."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the optimizer was not stepped in between
            for _ in range(steps):
                scheduler.step()
    except ValueError as error:
        raise ConfigurationError(
            f"the run has made {steps} steps of its schedule, and the schedule of {name} given now is over before: "
            f"{error}. Raise max_epochs, max_steps or what else makes the schedule longer."
        ) from error
    return [{key: group[key] for key in _RATES & group.keys()} for group in optimizer.param_groups]


def _told(changes: Mapping[str, tuple[Any, Any]]) -> str:
    """Name what was typed differently; what torch derives from it only where there is nothing else."""
    public = {key: each for key, each in changes.items() if not key.startswith("_")} or changes
    return ", ".join(f"{key}={new}, no longer {old}" for key, (old, new) in sorted(public.items()))


def _steps_done(state: Mapping[str, Any]) -> int | None:
    """How often a schedule was stepped."""
    while "last_epoch" not in state and state.get("_schedulers"):
        state = state["_schedulers"][0]
    done = state.get("last_epoch")
    return done if isinstance(done, int) and done >= 0 else None


def _steps_due(progress: Progress, config: SchedulerConfig) -> int:
    """How often a scheduler would have been stepped by now."""
    whole = progress.last and progress.fetched <= progress.batch
    done = progress.windows if config.interval == "step" else progress.epochs + whole
    return done // config.frequency


def check_length(trainer: Trainer, config: SchedulerConfig) -> None:
    """Refuse a fit that goes on beyond the end of a schedule that cannot be stepped any further.

    Raises:
        ConfigurationError: If it is torch's one-cycle schedule, and shorter than the fit.
    """
    scheduler = config.scheduler
    if not isinstance(scheduler, OneCycleLR):
        return
    by_epoch = INFINITE if trainer.max_epochs == -1 else trainer.max_epochs
    due = trainer.estimated_stepping_batches if config.interval == "step" else by_epoch
    if due != INFINITE and due // config.frequency > scheduler.total_steps:
        raise ConfigurationError(
            f"OneCycleLR has {scheduler.total_steps} steps, and stands at step {scheduler.last_epoch} of them, but "
            f"this fit is to go on to step {int(due // config.frequency)}, where it cannot be stepped. Make "
            "total_steps as long as the fit (null in a config, trainer.estimated_stepping_batches in a module), or "
            "lower max_epochs or max_steps."
        )


def _check_count(what: str, now: int, then: int, path: str) -> None:
    if now != then:
        raise DamagedCheckpointError(
            f"{path} holds the states of {then} {what}(s), but configure_optimizers returned {now}. "
            "Build the module as it was when the checkpoint was written."
        )


def _optimizer_of(config: SchedulerConfig) -> Any:
    return getattr(config.scheduler, "optimizer", None)
