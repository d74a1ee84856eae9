"""Batches, samples and operations a second, on their way to the loggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from leyden import tree
from leyden.callback import Callback
from leyden.callbacks.peak_flops import peak_flops
from leyden.callbacks.throughput import Throughput
from leyden.errors import ConfigurationError
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class ThroughputMonitor(Callback):
    """Log how fast every stage is, whenever a row is due (``log_every_n_steps``).

    Keys are ``{stage}/time``, ``/batches``, ``/samples``, ``/lengths`` and, over the last
    *window_size* batches, ``{stage}/device/batches_per_sec``, ``/samples_per_sec``,
    ``/items_per_sec``, ``/flops_per_sec`` and ``/mfu`` (the share of what the device could do);
    stages are ``train``, ``validate``, ``test`` and ``predict``. A validation inside of a fit
    does not count as training time.

    Operations are counted where the module has an attribute ``flops_per_batch``.

    Args:
        batch_size_fn: Number of samples in a batch; by default the first dimension of its
            first tensor.
        length_fn: Number of items (tokens, pixels ...) in a batch; by default they are not counted.
        window_size: Batches that rates are taken over, 2 or more.
        separator: Between the parts of a key.
        available_flops: Operations a second of one device at best; by default from a table of GPUs.

    Raises:
        ConfigurationError: If *window_size* is less than 2, or a batch has no size.
    """

    def __init__(
        self,
        batch_size_fn: Callable[[Any], int] | None = None,
        length_fn: Callable[[Any], int] | None = None,
        *,
        window_size: int = 100,
        separator: str = "/",
        available_flops: float | None = None,
    ) -> None:
        super().__init__()
        if window_size < 2:
            raise ConfigurationError(
                f"ThroughputMonitor(window_size={window_size!r}) is too small: a rate takes two batches at least."
            )
        self.batch_size_fn = batch_size_fn or _first_dimension
        self.length_fn = length_fn
        self.window_size = window_size
        self.separator = separator
        self.available_flops = available_flops
        self._measured: dict[str, Throughput] = {}
        self._evaluated: dict[str, int] = {}

    # --- training ----------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the measurement."""
        if not trainer.loggers and not trainer.fast_dev_run:
            warn_once(
                "ThroughputMonitor has nowhere to log to: the trainer has no logger. Give it one, or leave it out."
            )
        self._start(trainer, "train")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch; log if it ended an update whose row is due."""
        if not self._add(trainer, pl_module, "train", batch):
            return
        ended = trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        every = trainer.log_every_n_steps
        if ended and every and ((trainer.log_step + 1) % every == 0 or trainer.should_stop):
            self._log(trainer, "train", trainer.log_step)

    # --- evaluation --------------------------------------------------------------------------

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the measurement, and let that of training wait."""
        if trainer.sanity_checking:
            return
        if trainer.state.fn == "fit" and "train" in self._measured:
            self._measured["train"].pause()
        self._start(trainer, "validate")

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch; log if it is due."""
        if not trainer.sanity_checking:
            self._evaluate(trainer, pl_module, "validate", batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on measuring training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking and "train" in self._measured:
            self._measured["train"].resume()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the measurement."""
        self._start(trainer, "test")

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch; log if it is due."""
        self._evaluate(trainer, pl_module, "test", batch)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the measurement."""
        self._start(trainer, "predict")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch; log if it is due."""
        self._evaluate(trainer, pl_module, "predict", batch)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let go of what was measured."""
        self._measured.clear()

    # --- measuring ---------------------------------------------------------------------------

    def _start(self, trainer: Trainer, stage: str) -> None:
        """Measure *stage* from here on, on rank 0."""
        if not trainer.is_global_zero:
            return
        device = trainer.strategy.root_device
        available = self.available_flops or peak_flops(device, trainer.precision)
        self._measured[stage] = Throughput(
            device, self.window_size, self.separator, available, trainer.strategy.world_size
        )
        self._evaluated[stage] = 0

    def _add(self, trainer: Trainer, pl_module: LightningModule, stage: str, batch: Any) -> bool:
        """Count a batch; returns whether *stage* is measured by this rank."""
        measured = self._measured.get(stage)
        if measured is None:
            return False
        with torch.no_grad():
            samples = self.batch_size_fn(batch)
            lengths = None if self.length_fn is None else self.length_fn(batch)
        measured.add(samples, lengths, getattr(pl_module, "flops_per_batch", None))
        return True

    def _evaluate(self, trainer: Trainer, pl_module: LightningModule, stage: str, batch: Any) -> None:
        """Count a batch of an evaluation; in a fit its row stands where the fit stands, else at its number."""
        if not self._add(trainer, pl_module, stage, batch):
            return
        self._evaluated[stage] += 1
        count = self._evaluated[stage]
        if count % trainer.log_every_n_steps == 0:
            self._log(trainer, stage, trainer.log_step if trainer.state.fn == "fit" else count)

    def _log(self, trainer: Trainer, stage: str, step: int) -> None:
        row = {f"{stage}{self.separator}{name}": value for name, value in self._measured[stage].compute().items()}
        if stage == "train":
            row["epoch"] = trainer.current_epoch
        for logger in trainer.loggers:
            logger.log_metrics(row, step=step)


def _first_dimension(batch: Any) -> int:
    """Return the number of samples in *batch*, as ``self.log`` finds it."""
    size = tree.batch_size(batch)
    if size is None:
        raise ConfigurationError(
            f"ThroughputMonitor found no tensor in the batch (a {type(batch).__name__}), so that its size cannot be "
            "told. Pass batch_size_fn."
        )
    return size
