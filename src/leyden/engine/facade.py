"""What user code reaches for inside `trainer.fit_loop`, under the names it has in Lightning.

There is no such loop here: these are views of `Progress` and of the trainer's options.

    fit_loop.max_epochs, .min_epochs, .max_steps, .min_steps, .max_batches, .batch_idx, .total_batch_idx
        .epoch_progress.current.completed
        .epoch_loop.global_step, .batch_idx, .total_batch_idx, .max_steps, .min_steps
            .batch_progress.current / .total  .ready, .completed   .is_last_batch
            .val_loop.max_batches, .num_dataloaders

Inside `on_train_batch_end` a batch is *ready* but not yet *completed*, as in Lightning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leyden.trainer import Trainer


@dataclass(frozen=True)
class Count:
    """How many batches were begun, and how many are done with."""

    ready: int
    completed: int


@dataclass(frozen=True)
class BatchProgress:
    """Training batches: of this epoch (`current`), and of all (`total`)."""

    trainer: Trainer

    @property
    def current(self) -> Count:
        """Batches of this epoch; of the latest one where none is under way."""
        progress = self.trainer._progress
        if progress.batch == 0 and not self._in_step:
            return Count(progress.fetched, progress.fetched)
        return Count(progress.batch + self._in_step, progress.batch - self._ending)

    @property
    def total(self) -> Count:
        """Batches of all epochs."""
        batches = self.trainer._progress.batches
        return Count(batches + self._in_step, batches - self._ending)

    @property
    def is_last_batch(self) -> bool:
        """Whether the latest batch is the last one of its epoch."""
        progress = self.trainer._progress
        if progress.batch == 0 and not self._in_step:
            return 0 < progress.fetched == self.trainer.num_training_batches
        return self.trainer.is_last_batch

    @property
    def _in_step(self) -> bool:
        """Whether a batch has been handed out and not yet been counted."""
        progress, metrics = self.trainer._progress, self.trainer._metrics
        return self.trainer.training and metrics.batch is not None and progress.fetched > progress.batch

    @property
    def _ending(self) -> bool:
        """Whether a batch has been counted, but `on_train_batch_end` is still to come or going on."""
        return self.trainer._progress.place == "TRAINED"


class EpochCount:
    """Epochs; setting the number makes training go on from there."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    @property
    def completed(self) -> int:
        """Epochs done with: also `trainer.current_epoch`."""
        return self._trainer._progress.epochs

    @completed.setter
    def completed(self, count: int) -> None:
        self._trainer._progress.epochs = count


@dataclass(frozen=True)
class EpochProgress:
    """Epochs of the fit."""

    current: EpochCount


@dataclass(frozen=True)
class ValidationLoop:
    """The validation inside of a fit."""

    trainer: Trainer

    @property
    def max_batches(self) -> list[float]:
        """Batches of each loader."""
        trainer = self.trainer
        return trainer.num_sanity_val_batches if trainer.sanity_checking else trainer.num_val_batches

    @property
    def num_dataloaders(self) -> int:
        """Number of loaders."""
        return len(self.trainer.num_val_batches)


class EpochLoop:
    """The batches of an epoch."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.batch_progress = BatchProgress(trainer)
        self.val_loop = ValidationLoop(trainer)

    @property
    def global_step(self) -> int:
        """Optimizer steps done."""
        return self.trainer.global_step

    @property
    def batch_idx(self) -> int:
        """Index of the batch being run, in its epoch; -1 before the first one."""
        return self.batch_progress.current.ready - 1

    @property
    def total_batch_idx(self) -> int:
        """Index of the batch being run, over all epochs; -1 before the first one."""
        return self.batch_progress.total.ready - 1

    @property
    def max_steps(self) -> int:
        """Limit of the optimizer steps; -1 for none."""
        return self.trainer.max_steps

    @max_steps.setter
    def max_steps(self, steps: int) -> None:
        self.trainer.max_steps = steps

    @property
    def min_steps(self) -> int | None:
        """Optimizer steps before training may stop early."""
        return self.trainer.min_steps

    @min_steps.setter
    def min_steps(self, steps: int | None) -> None:
        self.trainer.min_steps = steps


class FitLoop:
    """The epochs of a fit.

    Args:
        trainer: Whose fit it is.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.epoch_loop = EpochLoop(trainer)
        self.epoch_progress = EpochProgress(EpochCount(trainer))

    @property
    def max_epochs(self) -> int:
        """Limit of the epochs; -1 for none. Callbacks may move it."""
        return self.trainer.max_epochs

    @max_epochs.setter
    def max_epochs(self, epochs: int) -> None:
        self.trainer.max_epochs = epochs

    @property
    def min_epochs(self) -> int:
        """Epochs before training may stop early."""
        return self.trainer.min_epochs or 0

    @min_epochs.setter
    def min_epochs(self, epochs: int) -> None:
        self.trainer.min_epochs = epochs

    @property
    def max_batches(self) -> float:
        """Training batches of an epoch; ``inf`` where the loader has no length."""
        return self.trainer.num_training_batches

    @property
    def max_steps(self) -> int:
        """Limit of the optimizer steps; -1 for none."""
        return self.trainer.max_steps

    @property
    def min_steps(self) -> int | None:
        """Optimizer steps before training may stop early."""
        return self.trainer.min_steps

    @property
    def batch_idx(self) -> int:
        """Index of the batch being run, in its epoch."""
        return self.epoch_loop.batch_idx

    @property
    def total_batch_idx(self) -> int:
        """Index of the batch being run, over all epochs."""
        return self.epoch_loop.total_batch_idx
