"""What a fit says about itself, once: that nothing is learned, that rows are not written, that processes are too many.

None of it is a mistake for certain, so nothing is refused; but whoever waits for a result should know it after the
first epoch, not after the last one.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from torch import Tensor

from leyden.combined_loader import flatten
from leyden.ranks import processors
from leyden.strategy import Strategy
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from leyden.engine.session import Session


def losses(outputs: Any) -> list[Tensor]:
    """Return the losses among what a step has returned, of each of several optimizers; none for a batch left out."""
    found = outputs if isinstance(outputs, list) else [outputs]
    return [each["loss"] for each in found if each and "loss" in each]


def about_losses(session: Session, first: list[Tensor], outputs: Any) -> None:
    """Say of an epoch of training that no batch had a loss, or that the first and the last one are not a number.

    Args:
        session: At the end of the epoch, before its hooks.
        first: The first losses of the epoch; empty if there were none at all.
        outputs: What the step has returned for the last batch; None if there was no batch.
    """
    name = f"{type(session.module).__name__}.training_step"
    if outputs is None or session.trainer.forward_only:
        return
    if not first:
        if session.module.automatic_optimization:
            warn_once(
                f"{name} returned None for every batch of an epoch: nothing has been learned. Return the loss, a "
                "tensor, or a dict whose key 'loss' holds it; None leaves a batch out."
            )
        return
    last = losses(outputs)
    if last and all(bool(loss.isnan().any()) for loss in (*first, *last)):
        warn_once(
            f"the loss of {name} is nan, in the first batch of an epoch and in the last one: nothing can be "
            "learned from that. Look at the data and the learning rate; Trainer(detect_anomaly=True) finds the "
            "operation, and EarlyStopping(check_finite=True) ends such a fit."
        )


def about_rows(session: Session) -> None:
    """Say after the first epoch that what is logged for each step will not be written, as no row is due in this fit."""
    trainer, progress = session.trainer, session.progress
    if progress.epochs or not trainer.loggers or trainer.fast_dev_run or trainer.max_epochs == 0:
        return
    every, names = (
        trainer.log_every_n_steps,
        sorted({entry.name for entry in session.metrics.training.entries.values() if entry.on_step and entry.logger}),
    )
    planned = _planned(progress.windows, trainer.max_epochs, trainer.max_steps)
    if names and 0 < planned < every:
        warn_once(
            f"this fit has {planned:.0f} training steps, fewer than Trainer(log_every_n_steps={every}): no row of "
            f"{', '.join(names)} is written for a step. Set log_every_n_steps to at most {progress.windows}, or log "
            "with on_epoch=True."
        )


def _planned(steps: int, max_epochs: int, max_steps: int) -> float:
    """Return the steps of a whole fit, of which the first epoch had *steps*."""
    planned = math.inf if max_epochs == -1 else steps * max_epochs
    return planned if max_steps == -1 else min(planned, max_steps)


def about_processes(strategy: Strategy, loaders: Any) -> None:
    """Say that the ranks of this machine and their loaders' workers are more than its processors.

    Of the workers of a process alone, torch says it.
    """
    ranks = strategy.num_processes
    if ranks == 1:
        return
    workers = max((getattr(each, "num_workers", 0) for each in flatten(loaders)), default=0)
    available = int(os.environ.get("SLURM_CPUS_ON_NODE", "0")) or processors()  # a rank of SLURM may see its own alone
    on_processors = ranks if strategy.root_device.type == "cpu" else 0
    if max(on_processors, ranks * workers) > available:
        warn_once(
            f"{ranks} ranks with {workers} loader workers each share {available} processors: they wait for one "
            f"another. Use fewer devices, or at most num_workers={max(0, available // ranks - 1)}."
        )
