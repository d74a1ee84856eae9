"""What a checkpoint holds, how it reaches the disk, and how a run goes back to it.

A checkpoint is the collection of the states of everything that changes, in Lightning's format:

| key | content |
|---|---|
| ``epoch``, ``global_step``, ``pytorch-lightning_version`` | for people and other programs |
| ``state_dict`` | weights and buffers of the module |
| ``loops`` | the position, in Lightning's counters: see `leyden.engine.lightning_format` |
| ``optimizer_states``, ``lr_schedulers``, ``callbacks`` | their states |
| name of the precision's class, name of the data module's class | their states, if they have any |
| ``hyper_parameters``, ``hparams_name``, ``datamodule_...`` | constructor arguments |
| ``leyden`` | what Lightning does not keep, see `_place` |

Objects among the hyper-parameters are sealed: see `leyden.plain`.

So either library goes on from the other's files, and ours from its own bit for bit. A checkpoint
consists of plain types and tensors, so that ``torch.load(weights_only=True)`` reads it and loading
executes nothing. It is written beside its place, flushed, and renamed.

Where a module is divided among ranks, the strategy says what is written: one file as that of a single
process, or a folder of which each rank writes a part (`leyden.sharded`). Any number of ranks goes on from either.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from leyden import __version__, rng
from leyden.contents import wrong
from leyden.engine import continuing, extent, lightning_format, setup
from leyden.engine.parts import part
from leyden.engine.rank_states import OWN, of_all_ranks, of_this_rank
from leyden.engine.schedules import restore_optimization
from leyden.errors import CheckpointError, DamagedCheckpointError
from leyden.loading import containers, load_weights
from leyden.plain import storable, without_secrets
from leyden.progress import Progress
from leyden.warnings import log

if TYPE_CHECKING:
    from leyden.engine.optimization import Optimization
    from leyden.engine.session import Session
    from leyden.module import LightningModule
    from leyden.trainer import Trainer

_NUMBERS = frozenset(  # what others put beside these may hold texts of any kind
    "epoch global_step state_dict loops leyden optimizer_states lr_schedulers hyper_parameters hparams_name "
    f"datamodule_hyper_parameters datamodule_hparams_name {lightning_format.VERSION_KEY}".split()
)


def save(trainer: Trainer, path: str | os.PathLike[str], weights_only: bool = False) -> None:
    """Write a checkpoint of *trainer* to *path*, whole or not at all.

    Raises:
        CheckpointError: If a hook put something into it that cannot be pickled, or there is no room for it.
    """
    write(trainer, path, collect(trainer, weights_only))


def write(trainer: Trainer, path: str | os.PathLike[str], checkpoint: dict[str, Any]) -> None:
    """Write what `collect` returned, whole or not at all.

    Raises:
        CheckpointError: If something in it cannot be pickled, or there is no room for it.
    """
    with explained(path):
        trainer.strategy.save(checkpoint, path)


@contextmanager
def explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say of what cannot be pickled where it comes from.

    Raises:
        CheckpointError: If something within cannot be pickled.
    """
    try:
        yield
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
    position = _position(trainer)
    checkpoint: dict[str, Any] = {
        "epoch": trainer.current_epoch,
        "global_step": trainer.global_step,
        lightning_format.VERSION_KEY: lightning_format.VERSION,
        "state_dict": trainer.strategy.module_state(module),
        "loops": _loops(trainer, position),
        "leyden": {"version": __version__},
    }
    if trainer.identity is not None:
        checkpoint["leyden"]["run"] = trainer.identity.entry()
    if not weights_only:
        checkpoint["callbacks"] = {
            callback.state_key: state for callback in trainer.callbacks if (state := callback.state_dict())
        }
        checkpoint["optimizer_states"] = [
            trainer.strategy.optimizer_state(optimizer) for optimizer in optimization.optimizers
        ]
        checkpoint["lr_schedulers"] = [config.scheduler.state_dict() for config in optimization.schedulers]
        if state := trainer.precision_plugin.state_dict():
            checkpoint[type(trainer.precision_plugin).__qualname__] = state
        checkpoint["leyden"] |= of_all_ranks(trainer, _place(trainer, position))
        if trainer._setup.record:
            checkpoint["leyden"]["settings"] = setup.written(trainer)
    owners = [(owner, prefix) for owner, prefix in ((module, ""), (datamodule, "datamodule_")) if owner is not None]
    for owner, prefix in owners:
        if owner.hparams:
            checkpoint[f"{prefix}hyper_parameters"] = dict(owner.hparams)
            checkpoint[f"{prefix}hparams_name"] = owner._hparams_name
            checkpoint["leyden"][f"{prefix}containers"] = containers(owner.hparams)
    if datamodule is not None and (state := datamodule.state_dict()):
        checkpoint[type(datamodule).__qualname__] = state
    if not weights_only:
        for callback in trainer.callbacks:
            callback.on_save_checkpoint(trainer, module, checkpoint)
    module.on_save_checkpoint(checkpoint)
    others = {key: checkpoint.pop(key) for key in list(checkpoint) if key not in _NUMBERS}
    checkpoint |= without_secrets(others, "checkpoint") if any(others.values()) else others
    for owner, prefix in owners:  # behind the hooks, which see the values themselves
        if (key := f"{prefix}hyper_parameters") in checkpoint:
            checkpoint[key] = storable(checkpoint[key], f"{type(owner).__name__}.hparams")
    if not weights_only:
        checkpoint["leyden"]["sizes"] = extent.written(checkpoint)
    trainer._metrics.hook = hook
    return checkpoint


def _position(trainer: Trainer) -> dict[str, Any]:
    """Where the loaders stand; a validation that is going on will begin anew."""
    training = trainer._train_loader.state_dict() if trainer._train_loader is not None else {}
    if trainer._validating is not None:
        return {**training, "loaders_of_validation": trainer._validating["loaders"]}
    return {**training, "loaders_of_validation": {} if trainer._loaders is None else trainer._loaders.state_dict()}


def _loops(trainer: Trainer, position: dict[str, Any]) -> dict[str, Any]:
    """The position as Lightning's loops keep it."""
    return lightning_format.loops(
        trainer._progress,
        automatic=trainer.lightning_module.automatic_optimization,
        accumulate=trainer.accumulate_grad_batches,
        position=position,
    )


def _place(trainer: Trainer, position: dict[str, Any]) -> dict[str, Any]:
    """The part that lets a run go on as if nothing had happened, half-accumulated means and gradients included.

    A validation that is going on leaves no trace in it, as a resumed run begins that one anew.
    """
    module, progress = trainer.lightning_module, trainer._progress
    progress.seconds = trainer._elapsed()
    waiting = progress.pending > 0 or not module.automatic_optimization
    before = trainer._validating or {}
    return {
        "progress": progress.state_dict() | before.get("progress", {}),
        "rng": before["rng"] if before else rng.capture(),
        "loader": position,
        "metrics": before["metrics"] if before else trainer._metrics.state_dict(module),
        "gradients": trainer.strategy.gradients(module) if waiting else {},
        "loggers": [logger.state_dict() for logger in trainer.loggers],
        "sanity_checking": trainer.sanity_checking,
    }


def load_module(trainer: Trainer, checkpoint: dict[str, Any], path: str) -> None:
    """Take back weights, and what belongs to the module, the data module and the callbacks.

    Raises:
        CheckpointError: If the weights do not fit the module.
    """
    module, datamodule = trainer.lightning_module, trainer.datamodule
    trainer._metrics.hook = "on_load_checkpoint"
    module.on_load_checkpoint(checkpoint)
    load_weights(module, checkpoint, path, module.strict_loading, trainer.strategy.load_module_state)
    if datamodule is not None and type(datamodule).__qualname__ in checkpoint:
        with part(path, type(datamodule).__qualname__):
            datamodule.load_state_dict(checkpoint[type(datamodule).__qualname__])
    states = checkpoint.get("callbacks")
    if states is not None:
        for callback in trainer.callbacks:
            callback.on_load_checkpoint(trainer, module, checkpoint)
        continuing.load_callbacks(trainer, states, path)


def restore(session: Session, optimization: Optimization, checkpoint: dict[str, Any], path: str) -> None:
    """Take back everything of a training run but what `load_module` already did."""
    trainer = session.trainer
    if "optimizer_states" not in checkpoint:
        raise DamagedCheckpointError(
            f"{path} holds weights only, so that training cannot go on from it. "
            "Load the weights with load_from_checkpoint and start a new fit, or take a full checkpoint."
        )
    if "lr_schedulers" not in checkpoint:
        raise wrong(path, "lr_schedulers", "is missing", "the states of the schedulers, or an empty list")
    place = checkpoint.get("leyden", {})
    known = "progress" in place
    progress = session.progress
    if known:
        for key in OWN:
            if key not in place:
                raise wrong(path, f"leyden.{key}", "is missing", "what the run goes on from")
        with part(path, "leyden.ranks"):
            place = of_this_rank(trainer, place, path)
    progress.load_state_dict(
        place["progress"] if known else _lightning_progress(trainer, checkpoint, path).state_dict()
    )
    trainer._setup.then = setup.read(checkpoint, path)
    continuing.check_limits(trainer, progress, path)
    continuing.take_back_stops(trainer, progress, checkpoint)
    restore_optimization(session, optimization, checkpoint, path)
    continuing.compare(trainer)
    with part(path, type(trainer.precision_plugin).__qualname__):
        _restore_precision(trainer, checkpoint)
    if not known:
        session.metrics.training.clear()
        if "loops" in checkpoint:
            trainer._resumed_loader = lightning_format.position(checkpoint["loops"])
        return
    with part(path, "leyden.metrics"):
        session.metrics.load_state_dict(place["metrics"], session.module)
    trainer._resumed_rng = place["rng"]
    trainer._resumed_loader = place["loader"]
    with part(path, "leyden.loader"):
        session.loaders.load_state_dict(place["loader"].get("loaders_of_validation", {}))
    with part(path, "leyden.gradients"):
        _check_gradients(session.module, place["gradients"], path)
        trainer.strategy.load_gradients(session.module, place["gradients"])


def _check_gradients(module: LightningModule, gradients: dict[str, Any], path: str) -> None:
    for name, parameter in module.named_parameters():
        if name in gradients and gradients[name].shape != parameter.shape:
            told = f"has the shape {tuple(gradients[name].shape)}"
            raise wrong(path, f"leyden.gradients.{name}", told, f"{tuple(parameter.shape)}")


def _restore_precision(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    precision = trainer.precision_plugin
    for key in (type(precision).__qualname__, lightning_format.SCALER_OF_LIGHTNING_1):
        if key in checkpoint:
            precision.load_state_dict(checkpoint[key])


def _lightning_progress(trainer: Trainer, checkpoint: dict[str, Any], path: str) -> Progress:
    """Where a run stood that Lightning saved; of a file older than Lightning 2, the epoch and the step."""
    try:
        progress = lightning_format.progress(checkpoint["loops"], trainer.accumulate_grad_batches)
    except (KeyError, TypeError):
        step = checkpoint.get("global_step", 0)
        log.info("%s does not tell where in an epoch it was saved: going on with a whole epoch.", path)
        return Progress(epochs=checkpoint.get("epoch", 0), updates=step, windows=step)
    plateau = [config for config in trainer.lr_scheduler_configs if config.reduce_on_plateau]
    if progress.place == "TRAINED" and any(config.interval == "step" for config in plateau):
        progress.place = "BATCH"  # what it reads was logged before the save, and is not in the file
    return progress
