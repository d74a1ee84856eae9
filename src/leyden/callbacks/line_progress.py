"""Progress in single lines, for log files and batch jobs.

A bar that redraws itself fills a log file with garbage. This writes one line per epoch,
and in a long epoch one line now and then, so that a look at the file says how far it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from leyden.callbacks.progress_bar import ProgressBar, epoch_title

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class LineProgress(ProgressBar):
    """Write a line at the end of each epoch, and within a stage at most one every so often.

    ``Epoch 3/9 | step 1200 | 12.3 s | loss 0.123, val_loss 0.321``

    Args:
        every: Least time between two lines within an epoch, in seconds.
    """

    def __init__(self, every: float = 30.0) -> None:
        super().__init__()
        self._every = every
        self._enabled = True
        self._started = 0.0
        self._due = math.inf
        self._batches = 0

    def enable(self) -> None:
        """Write lines from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Write nothing more."""
        self._enabled = False
        self._due = math.inf

    # --- fit ---------------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: a run resumed within an epoch gets no start of it."""
        self._start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a line if the last one is long ago."""
        if time.monotonic() < self._due:
            return
        done = _of(batch_idx + 1, self.total_train_batches)
        self._write(epoch_title(trainer), done, f"step {trainer.global_step}", self._metrics(trainer, pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the line of the epoch."""
        self._write(epoch_title(trainer), f"step {trainer.global_step}", self._metrics(trainer, pl_module))

    # --- evaluation --------------------------------------------------------------------------

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of a validation of its own; one inside a fit is part of its epoch."""
        if trainer.state.fn != "fit":
            self._start()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._start()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._start()

    def on_validation_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Write a line if the last one is long ago."""
        self._batches += 1
        if time.monotonic() >= self._due and trainer.state.fn != "fit":
            self._write(self.validation_description, _of(self._batches, sum(trainer.num_val_batches)))

    def on_test_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Write a line if the last one is long ago."""
        self._batches += 1
        if time.monotonic() >= self._due:
            self._write(self.test_description, _of(self._batches, sum(trainer.num_test_batches)))

    def on_predict_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Write a line if the last one is long ago."""
        self._batches += 1
        if time.monotonic() >= self._due:
            self._write(self.predict_description, _of(self._batches, sum(trainer.num_predict_batches)))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the line of a validation of its own."""
        if trainer.state.fn != "fit":
            done = _of(self._batches, sum(trainer.num_val_batches))
            self._write(self.validation_description, done, self._metrics(trainer, pl_module))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the line of the test run."""
        done = _of(self._batches, sum(trainer.num_test_batches))
        self._write(self.test_description, done, self._metrics(trainer, pl_module))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the line of the prediction run."""
        self._write(self.predict_description, _of(self._batches, sum(trainer.num_predict_batches)))

    # --- a line ------------------------------------------------------------------------------

    def _start(self) -> None:
        self._started = time.monotonic()
        self._batches = 0
        self._due = self._started + self._every if self._enabled else math.inf

    def _write(self, title: str, *parts: str) -> None:
        """Write one line, with the time since the start after the counts."""
        if not self._enabled:
            return
        now = time.monotonic()
        self._due = now + self._every
        counts, metrics = (parts[:-1], parts[-1:]) if len(parts) > 1 else (parts, ())
        self.print(" | ".join(filter(None, (title, *counts, f"{now - self._started:.1f} s", *metrics))), flush=True)

    def _metrics(self, trainer: Trainer, pl_module: LightningModule) -> str:
        """Return what was logged to the bar, or all there is if nothing was."""
        shown: Mapping[str, Any] = self.get_metrics(trainer, pl_module)
        shown = {name: value for name, value in shown.items() if name != "v_num"} or trainer.callback_metrics
        return ", ".join(f"{name} {_written(value)}" for name, value in shown.items())


def _of(done: int, total: int | float) -> str:
    """Return ``batch 3/10``, or ``batch 3`` where nobody knows the end."""
    return f"batch {done}/{total}" if math.isfinite(total) else f"batch {done}"


def _written(value: Any) -> str:
    return value if isinstance(value, str) else f"{float(value):.4g}"
