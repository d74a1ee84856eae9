"""Optimizers and schedulers: every form `configure_optimizers` may return, made one.

The forms are Lightning's:

    optimizer
    [optimizer, ...]
    [optimizer, ...], [scheduler, ...]
    {"optimizer": ..., "lr_scheduler": ..., "monitor": ...}
    [{"optimizer": ..., "lr_scheduler": ..., "frequency": ...}, ...]
    None
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from leyden.errors import ConfigurationError
from leyden.warnings import warn, warn_once

if TYPE_CHECKING:
    from leyden.engine.session import Session


@dataclass
class SchedulerConfig:
    """One scheduler and when it is stepped.

    Attributes:
        scheduler: The scheduler.
        interval: ``"epoch"`` or ``"step"``.
        frequency: Every how many epochs, or updates of the weights, of the whole fit.
        monitor: Name of the metric a plateau scheduler reads.
        strict: Whether a missing metric is an error, or a warning and no step.
        reduce_on_plateau: Whether the scheduler takes the metric.
        name: Name of its learning rate in logs.
    """

    scheduler: Any
    interval: str = "epoch"
    frequency: int = 1
    monitor: str | None = None
    strict: bool = True
    reduce_on_plateau: bool = False
    name: str | None = None


class Optimization(NamedTuple):
    """What a module is trained with."""

    optimizers: tuple[Optimizer, ...]
    schedulers: list[SchedulerConfig]
    frequencies: tuple[int, ...] = ()


def parse(returned: Any) -> Optimization:
    """Bring what `configure_optimizers` returned into one form.

    Raises:
        ConfigurationError: If it is of no accepted form.
    """
    if returned is None:
        warn_once("configure_optimizers returned None: this fit will run without an optimizer.")
        return Optimization((NoOptimizer(),), [])
    if isinstance(returned, Optimizer):
        return Optimization((returned,), [])
    if isinstance(returned, Mapping):
        return _from_dicts([returned])
    if isinstance(returned, (list, tuple)):
        if len(returned) == 2 and isinstance(returned[0], (list, tuple)):
            optimizers, schedulers = returned
            listed = list(schedulers) if isinstance(schedulers, (list, tuple)) else [schedulers]
            return Optimization(_checked(optimizers), [_config(item, None) for item in listed])
        if returned and all(isinstance(item, Mapping) for item in returned):
            return _from_dicts(list(returned))
        if returned and all(isinstance(item, Optimizer) for item in returned):
            return Optimization(_checked(returned), [])
    raise ConfigurationError(
        f"configure_optimizers returned {returned!r:.120} of type {type(returned).__name__}. Expected an "
        "optimizer, a list "
        "of them, ([optimizers], [schedulers]), a dict with the key 'optimizer', a list of such dicts, or None."
    )


def _from_dicts(items: list[Mapping[str, Any]]) -> Optimization:
    known = {"optimizer", "lr_scheduler", "monitor", "frequency"}
    for item in items:
        if "optimizer" not in item:
            raise ConfigurationError(
                f"configure_optimizers returned a dict with the keys {', '.join(map(str, item))}, but without "
                "'optimizer'."
            )
        if unknown := set(item) - known:
            warn_once(f"configure_optimizers returned unknown keys, which are ignored: {', '.join(sorted(unknown))}.")
    schedulers = [
        _config(item["lr_scheduler"], item.get("monitor")) for item in items if item.get("lr_scheduler") is not None
    ]
    frequencies = tuple(int(item["frequency"]) for item in items if "frequency" in item)
    if frequencies and len(frequencies) != len(items):
        raise ConfigurationError(
            "configure_optimizers gave a 'frequency' for some optimizers but not for all. Give one for each, "
            "or for none."
        )
    return Optimization(_checked([item["optimizer"] for item in items]), schedulers, frequencies)


def _checked(optimizers: Any) -> tuple[Optimizer, ...]:
    for item in optimizers:
        if not isinstance(item, Optimizer):
            raise ConfigurationError(
                f"configure_optimizers returned {item!r:.80} of type {type(item).__name__} where a torch optimizer was "
                "expected."
            )
    return tuple(optimizers)


def _config(item: Any, monitor: str | None) -> SchedulerConfig:
    if not isinstance(item, Mapping):
        plateau = isinstance(item, ReduceLROnPlateau)
        if plateau and monitor is None:
            raise ConfigurationError(
                "configure_optimizers returned a ReduceLROnPlateau scheduler, but no metric for it. Return a dict with "
                "the keys 'lr_scheduler' and 'monitor': the name of a logged value, for instance 'val_loss'."
            )
        return SchedulerConfig(item, monitor=monitor if plateau else None, reduce_on_plateau=plateau)
    known = {field.name for field in fields(SchedulerConfig)}
    if unknown := set(item) - known:
        warn_once(f"a scheduler dict holds unknown keys, which are ignored: {', '.join(sorted(map(str, unknown)))}.")
    if item.get("scheduler") is None:
        raise ConfigurationError(
            f"a scheduler dict must hold the key 'scheduler'; it holds: {', '.join(map(str, item)) or 'nothing'}."
        )
    config = SchedulerConfig(**{key: value for key, value in item.items() if key in known})
    if isinstance(config.scheduler, ReduceLROnPlateau):
        config.reduce_on_plateau = True
    if config.reduce_on_plateau and config.monitor is None:
        raise ConfigurationError(
            "a scheduler dict with a ReduceLROnPlateau scheduler must hold the key 'monitor': the name of a "
            "logged value, "
            "for instance 'val_loss'."
        )
    if config.interval not in ("epoch", "step"):
        raise ConfigurationError(
            f"interval={config.interval!r} of a scheduler dict is not known. Expected 'epoch' or 'step'."
        )
    if isinstance(config.frequency, bool) or not isinstance(config.frequency, int) or config.frequency < 1:
        raise ConfigurationError(
            f"frequency={config.frequency!r} of a scheduler dict must be a whole number from 1 on."
        )
    return config


def use_fused(optimizers: tuple[Optimizer, ...]) -> None:
    """Let optimizers that have a fused kernel use it, unless their author has decided otherwise.

    One kernel updates all weights of a group: up to a quarter off a step on a CPU. Results
    differ from the plain update's in the last bits.
    """
    for optimizer in optimizers:
        undecided = [group for group in optimizer.param_groups if group.get("fused", False) is None]
        for group in undecided:
            if not group.get("foreach") and not group.get("differentiable"):
                group["fused"] = all(_fusable(parameter) for parameter in group["params"])
        if undecided and all(group["fused"] for group in undecided):
            vars(optimizer)["_step_supports_amp_scaling"] = True  # as their constructor does for fused=True


def _fusable(parameter: Any) -> bool:
    return parameter.is_floating_point() and parameter.layout is torch.strided


def step_schedulers(session: Session, interval: str, *, plateau: bool) -> None:
    """Step the schedulers that are due at the end of a batch or an epoch.

    Args:
        session: The fit.
        interval: ``"step"`` or ``"epoch"``.
        plateau: Whether it is the turn of those that read a metric, or of all others.
    """
    progress = session.progress
    done = progress.windows if interval == "step" else progress.epochs + 1
    for config in session.schedulers:
        if config.interval != interval or config.reduce_on_plateau != plateau or done % config.frequency:
            continue
        value = None
        if plateau:
            value = session.metrics.callback.get(config.monitor or "")
            if value is None:
                if not session.trainer.validation_to_come:
                    _missing(config, list(session.metrics.callback))
                continue
        session.metrics.hook = "lr_scheduler_step"
        try:
            session.module.lr_scheduler_step(config.scheduler, value)
        except ValueError:  # of a schedule that was planned for the number of updates that the loader had announced
            if not _has_more_than_announced(session):
                raise
            warn_once(
                f"{type(config.scheduler).__name__} has come to its end, but the training loader yields more batches "
                "than it has announced with len(). The learning rate stays as it is."
            )


def _has_more_than_announced(session: Session) -> bool:
    progress = session.progress
    return progress.batches > (progress.epochs + 1) * session.trainer.num_training_batches


def _missing(config: SchedulerConfig, available: list[str]) -> None:
    message = (
        f"ReduceLROnPlateau monitors {config.monitor!r}, which was not logged. Logged so far: "
        f"{', '.join(available) or 'nothing'}. Set the key 'monitor' of the scheduler dict to one of them"
    )
    if config.strict:
        raise ConfigurationError(message + ", or 'strict' to False.")
    warn(message + ". The learning rate stays as it is.", RuntimeWarning)


class NoOptimizer(Optimizer):
    """Stands in where `configure_optimizers` returned None; steps run the closure and change nothing."""

    def __init__(self) -> None:
        super().__init__([torch.zeros(1)], {})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Stay empty."""

    def step(self, closure: Any = None) -> Any:
        """Run *closure*, if there is one."""
        return closure() if closure is not None else None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing."""
