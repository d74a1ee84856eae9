"""Where callbacks that monitor a value look at it: at the end of the training epoch, or after a validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leyden.trainer import Trainer


def at_train_epoch_end(trainer: Trainer, explicit: bool | None) -> bool:
    """Whether to look at the end of the training epoch, or else after each validation.

    Unless the user said so: at the end of the epoch if validation runs once in each, at its end, or never. Only the
    float 1.0 is a whole epoch; the int 1 is a validation after every batch.
    """
    if explicit is not None:
        return explicit
    if not trainer.enable_validation or not any(trainer.num_val_batches):
        return True
    interval = trainer.val_check_interval
    return trainer.check_val_every_n_epoch == 1 and isinstance(interval, float) and interval == 1.0


def validation_follows(trainer: Trainer) -> bool:
    """Whether a validation comes before the weights change again: it is about to replace monitored values."""
    return trainer.validation_before_update and any(trainer.num_val_batches)
