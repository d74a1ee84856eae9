"""Keep the status of a run directory true while it runs."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from leyden.callback import Callback

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.runs.directory import RunDirectory
    from leyden.trainer import Trainer

log = logging.getLogger("leyden.run")


class Heartbeat(Callback):
    """Write how far the run is to `status.json`, and a line per epoch to the log.

    Args:
        directory: Of the run.
        interval: Seconds between two writes within an epoch.
    """

    def __init__(self, directory: RunDirectory, interval: float = 10.0) -> None:
        self.directory = directory
        self.interval = interval
        self._next = 0.0
        self._trains = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where the run begins, which is not always at 0."""
        log.info("training starts at epoch %d, step %d", trainer.current_epoch, trainer.global_step)
        self.directory.update(from_step=trainer.global_step)
        self._trains = True
        self._beat(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write when it is due: a look at the clock otherwise."""
        if time.monotonic() >= self._next:
            self._beat(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's numbers to the log."""
        numbers = ", ".join(f"{name} {value:.5g}" for name, value in trainer.progress_bar_metrics.items())
        log.info(
            "epoch %d, step %d: %s", trainer.current_epoch, trainer.global_step, numbers or "no metrics on the bar"
        )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say how far it came, as the last write is a while ago."""
        if self._trains:
            with suppress(OSError):  # of a full disk, say: *exception* is what is to be told
                self._beat(trainer)

    def _beat(self, trainer: Trainer) -> None:
        self._next = time.monotonic() + self.interval
        self.directory.update(epoch=trainer.current_epoch, step=trainer.global_step)
