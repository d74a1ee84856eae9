"""What a checkpoint holds, how it reaches the disk, and how a run goes back to it.

A checkpoint is the collection of the states of everything that changes:

| key | content |
|---|---|
| ``epoch``, ``global_step``, ``leyden_version`` | for people and other programs |
| ``state_dict`` | weights and buffers of the module |
| ``optimizer_states``, ``lr_schedulers``, ``callbacks``, ``precision`` | their states |
| ``hyper_parameters``, ``datamodule_hyper_parameters`` | constructor arguments |
| ``datamodule`` | the data module's own state |
| ``leyden`` | progress, random numbers, position in the data, half-accumulated metrics and gradients, rows written |

It consists of plain types and tensors, so that ``torch.load(weights_only=True)`` reads it
and loading executes nothing. It is written beside its place, flushed, and renamed.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from leyden import __version__, atomic, rng
from leyden.callback import Callback
from leyden.engine.hooks import is_overridden
from leyden.errors import CheckpointError
from leyden.loading import load_weights, plain

if TYPE_CHECKING:
    from leyden.engine.optimization import Optimization
    from leyden.engine.session import Session
    from leyden.trainer import Trainer


def save(trainer: Trainer, path: str | os.PathLike[str], weights_only: bool = False) -> None:
    """Write a checkpoint of *trainer* to *path*, whole or not at all.

    Raises:
        CheckpointError: If a hook put something into it that loading would have to execute.
    """
    checkpoint = collect(trainer, weights_only)
    if not trainer.strategy.is_global_zero:
        return
    try:
        atomic.write(path, lambda file: torch.save(checkpoint, file))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise CheckpointError(
            f"the checkpoint {os.fspath(path)} cannot be written: {error}. Something a hook put into it (state_dict, "
            "on_save_checkpoint) cannot be pickled. Store plain types and tensors; the earlier checkpoints are "
            "untouched."
        ) from error


def collect(trainer: Trainer, weights_only: bool = False) -> dict[str, Any]:
    """Gather the states of everything that changes, with the hooks of a save."""
    module, datamodule, optimization = trainer.lightning_module, trainer.datamodule, trainer._optimization
    hook, trainer._metrics.hook = trainer._metrics.hook, "on_save_checkpoint"
    checkpoint: dict[str, Any] = {
        "epoch": trainer.current_epoch,
        "global_step": trainer.global_step,
        "leyden_version": __version__,
        "state_dict": module.state_dict(),
    }
    if not weights_only:
        checkpoint["callbacks"] = {
            callback.state_key: state for callback in trainer.callbacks if (state := callback.state_dict())
        }
        checkpoint["optimizer_states"] = [optimizer.state_dict() for optimizer in optimization.optimizers]
        checkpoint["lr_schedulers"] = [config.scheduler.state_dict() for config in optimization.schedulers]
        checkpoint["precision"] = trainer.precision_plugin.state_dict()
        checkpoint["leyden"] = _place(trainer)
    for owner, prefix in ((module, ""), (datamodule, "datamodule_")):
        if owner is not None and owner.hparams:
            checkpoint[f"{prefix}hyper_parameters"] = plain(owner.hparams, f"{type(owner).__name__}.hparams")
            checkpoint[f"{prefix}hparams_name"] = owner._hparams_name
    if datamodule is not None and (state := datamodule.state_dict()):
        checkpoint["datamodule"] = state
    if not weights_only:
        for callback in trainer.callbacks:
            callback.on_save_checkpoint(trainer, module, checkpoint)
    module.on_save_checkpoint(checkpoint)
    trainer._metrics.hook = hook
    return checkpoint


def _place(trainer: Trainer) -> dict[str, Any]:
    """The part that lets a run go on as if nothing had happened."""
    module, progress = trainer.lightning_module, trainer._progress
    progress.seconds = trainer._elapsed()
    waiting = progress.pending > 0 or not module.automatic_optimization
    gradients = {
        name: parameter.grad.detach()
        for name, parameter in module.named_parameters()
        if waiting and parameter.grad is not None
    }
    return {
        "progress": progress.state_dict(),
        "rng": rng.capture(),
        "loader": trainer._train_loader.state_dict() if trainer._train_loader is not None else {},
        "metrics": trainer._metrics.state_dict(module),
        "gradients": gradients,
        "loggers": [logger.state_dict() for logger in trainer.loggers],
    }


def load_module(trainer: Trainer, checkpoint: dict[str, Any], path: str) -> None:
    """Take back weights, and what belongs to the module, the data module and the callbacks.

    Raises:
        CheckpointError: If the weights do not fit the module.
    """
    module, datamodule = trainer.lightning_module, trainer.datamodule
    trainer._metrics.hook = "on_load_checkpoint"
    module.on_load_checkpoint(checkpoint)
    load_weights(module, checkpoint, path, module.strict_loading)
    if datamodule is not None and "datamodule" in checkpoint:
        datamodule.load_state_dict(checkpoint["datamodule"])
    states = checkpoint.get("callbacks", {})
    if states:
        for callback in trainer.callbacks:
            callback.on_load_checkpoint(trainer, module, checkpoint)
        for callback in trainer.callbacks:
            if callback.state_key in states and is_overridden(callback, "load_state_dict", Callback):
                callback.load_state_dict(states[callback.state_key])


def restore(session: Session, optimization: Optimization, checkpoint: dict[str, Any], path: str) -> None:
    """Take back everything of a training run but what `load_module` already did."""
    trainer = session.trainer
    if "optimizer_states" not in checkpoint:
        raise CheckpointError(
            f"{path} holds weights only, so that training cannot go on from it. "
            "Load the weights with load_from_checkpoint and start a new fit, or take a full checkpoint."
        )
    _check_count("optimizer", optimization.optimizers, checkpoint["optimizer_states"], path)
    _check_count("scheduler", optimization.schedulers, checkpoint["lr_schedulers"], path)
    for optimizer, state in zip(optimization.optimizers, checkpoint["optimizer_states"], strict=True):
        optimizer.load_state_dict(state)
    for config, state in zip(optimization.schedulers, checkpoint["lr_schedulers"], strict=True):
        config.scheduler.load_state_dict(state)
    trainer.precision_plugin.load_state_dict(checkpoint.get("precision", {}))
    place = checkpoint.get("leyden")
    if place is None:
        session.progress.epochs = checkpoint.get("epoch", 0)
        session.progress.updates = session.progress.windows = checkpoint.get("global_step", 0)
        return
    session.progress.load_state_dict(place["progress"])
    session.metrics.load_state_dict(place["metrics"], session.module)
    trainer._resumed_rng = place["rng"]
    trainer._resumed_loader = place["loader"]
    _restore_gradients(session, place["gradients"])


def _restore_gradients(session: Session, gradients: Mapping[str, Tensor]) -> None:
    parameters = dict(session.module.named_parameters())
    for name, gradient in gradients.items():
        parameters[name].grad = gradient.to(parameters[name].device, copy=True)


def _check_count(what: str, now: Any, then: Any, path: str) -> None:
    if len(now) != len(then):
        raise CheckpointError(
            f"{path} holds the states of {len(then)} {what}(s), but configure_optimizers returned {len(now)}. "
            "Build the module as it was when the checkpoint was written."
        )
