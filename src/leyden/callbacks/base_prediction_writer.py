"""Predictions to wherever they are wanted, batch by batch or all at once."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from leyden.callback import Callback
from leyden.errors import ConfigurationError

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class WriteInterval(StrEnum):
    """When predictions are written."""

    BATCH = "batch"
    EPOCH = "epoch"
    BATCH_AND_EPOCH = "batch_and_epoch"

    @property
    def on_batch(self) -> bool:
        """Whether after every batch."""
        return self is not WriteInterval.EPOCH

    @property
    def on_epoch(self) -> bool:
        """Whether at the end."""
        return self is not WriteInterval.BATCH


class BasePredictionWriter(Callback):
    """Derive from this and override one of the two ``write_`` methods, or both.

    Which samples a batch consists of is read off the loader's batch sampler, without a
    change to their order. Where there is none to read (an iterable data set, something
    that is no `torch.utils.data.DataLoader`) indices are empty.

    Args:
        write_interval: ``"batch"`` calls `write_on_batch_end` after every batch; ``"epoch"``
            calls `write_on_epoch_end` once at the end, for which all predictions are kept in
            memory; ``"batch_and_epoch"`` does both.

    Raises:
        ConfigurationError: If *write_interval* is unknown.
    """

    reads_batch_indices = True

    def __init__(self, write_interval: Literal["batch", "epoch", "batch_and_epoch"] = "batch") -> None:
        if write_interval not in list(WriteInterval):
            raise ConfigurationError(
                f"{type(self).__name__}(write_interval={write_interval!r}) is unknown. "
                "Expected 'batch', 'epoch' or 'batch_and_epoch'."
            )
        self.interval = WriteInterval(write_interval)
        self.reads_predictions = self.interval.on_epoch

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one batch.

        Args:
            trainer: Who predicts.
            pl_module: With what.
            prediction: What `predict_step` returned.
            batch_indices: Indices in the data set of the samples of *batch*, in their order.
            batch: What `predict_step` was given.
            batch_idx: Number of the batch.
            dataloader_idx: Number of its loader.
        """
        raise NotImplementedError(f"{type(self).__name__}.write_on_batch_end is missing; write_interval asks for it.")

    def write_on_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        """Write everything.

        Args:
            trainer: Who predicts.
            pl_module: With what.
            predictions: What `predict_step` returned, on the CPU: one item per batch, in one
                list for each loader if there are several.
            batch_indices: Indices of the samples: ``batch_indices[loader][batch]``, also where
                there is one loader.
        """
        raise NotImplementedError(f"{type(self).__name__}.write_on_epoch_end is missing; write_interval asks for it.")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the batch, if that is the interval."""
        if self.interval.on_batch:
            indices = trainer.predict_loop.current_batch_indices
            self.write_on_batch_end(trainer, pl_module, outputs, indices, batch, batch_idx, dataloader_idx)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write everything, if that is the interval."""
        if self.interval.on_epoch:
            found = trainer.predict_loop
            self.write_on_epoch_end(trainer, pl_module, found.predictions, found.epoch_batch_indices)
