"""What may be logged, from where, and how it is reduced: the rules of `self.log`, checked at its first call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leyden import secrets
from leyden.errors import ConfigurationError
from leyden.warnings import warn_once

_WITH_GRADIENTS = (
    "on_before_backward backward on_after_backward on_before_optimizer_step optimizer_step configure_gradient_clipping "
    "clip_gradients on_before_zero_grad optimizer_zero_grad"
).split()
TRAIN_HOOKS = frozenset(["training_step", "on_train_batch_start", "on_train_batch_end", *_WITH_GRADIENTS])
EVALUATION_HOOKS = frozenset(
    name
    for stage in ("validation", "test")
    for name in (f"{stage}_step", f"on_{stage}_batch_start", f"on_{stage}_batch_end")
)
EPOCH_HOOKS = frozenset(
    f"on_{stage}_{when}" for stage in ("train", "validation", "test") for when in ("start", "epoch_start", "epoch_end")
)
REDUCTIONS = ("mean", "sum", "min", "max")


def levels(hook: str, on_step: bool | None, on_epoch: bool | None) -> tuple[bool, bool]:
    """Fill in the defaults of *hook*, and refuse what makes no sense there."""
    if hook not in TRAIN_HOOKS and hook not in EVALUATION_HOOKS and hook not in EPOCH_HOOKS:
        raise ConfigurationError(
            f"self.log() cannot be called inside {hook or 'this place'}: its value would belong to no step and "
            "no epoch. "
            "Log in a step or in an epoch hook, or write to self.logger directly."
        )
    step = hook in TRAIN_HOOKS if on_step is None else on_step
    epoch = hook not in TRAIN_HOOKS if on_epoch is None else on_epoch
    if hook in EPOCH_HOOKS and (step or not epoch):
        raise ConfigurationError(
            f"self.log(on_step={step}, on_epoch={epoch}) cannot be called inside {hook}, which sees no step. "
            "Leave both out, or pass on_step=False, on_epoch=True."
        )
    if not step and not epoch:
        raise ConfigurationError(
            f"self.log(on_step=False, on_epoch=False) inside {hook} would log nothing. Switch on at least one."
        )
    return step, epoch


def reduction_name(name: str, reduction: Any) -> str:
    """Return the canonical name of a reduction given by name or as a function."""
    known = {
        torch.mean: "mean",
        torch.sum: "sum",
        torch.min: "min",
        torch.max: "max",
        min: "min",
        max: "max",
        sum: "sum",
    }
    found = {"avg": "mean"}.get(reduction, reduction) if isinstance(reduction, str) else known.get(reduction)
    if found not in REDUCTIONS:
        raise ConfigurationError(
            f"reduce_fx={reduction!r} of {name!r} is not known. Expected one of: {', '.join(REDUCTIONS)}. "
            "For anything else, log a torchmetrics.Metric."
        )
    return str(found)


def checked_name(name: Any) -> str:
    """Refuse what is no name of a metric; a secret in one would stand in every file, and is masked."""
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"self.log() was given the name {name!r}. Expected a non-empty string.")
    if "/dataloader_idx_" in name:
        raise ConfigurationError(
            f"self.log() was given the name {name!r}, but /dataloader_idx_<i> is added by the engine. Leave it out."
        )
    clean = secrets.masked(name)
    if clean != name:
        warn_once(f"self.log() was given a name with what looks like a secret: it is kept as {clean!r}. Leave it out.")
    return clean


def squeezed(name: str, value: Tensor) -> Tensor:
    """Return a one-element tensor without dimensions; refuse any other."""
    if value.numel() != 1:
        raise ConfigurationError(
            f"{name!r} was logged with a tensor of shape {tuple(value.shape)}. Expected one element: reduce it first, "
            "for instance with .mean()."
        )
    return value.squeeze()
