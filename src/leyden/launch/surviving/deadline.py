"""Stop before the time limit, whether or not the cluster announces it.

How long before is measured: what the slowest save and the slowest stretch between two batches have taken so far,
with something to spare. A save counts twice, until its file is on disk: one may have just begun, and be written beside
training, when the run has to stop, and the last one waits for it. Until something has been saved, the size of the
weights and of an optimizer's states stands in.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from leyden.callback import Callback

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer

SPARE = 5.0  # seconds for what comes after the save
_RATE = 50e6  # bytes a second that a disk takes at least
_STATES = 3  # weights, and two numbers for each that an optimizer keeps


class Deadline(Callback):
    """Ask a run to stop when the time that is left is about what it needs to stop.

    Args:
        ends: When the time is up, in seconds since 1970.
        spare: Seconds beside what was measured.
    """

    def __init__(self, ends: float, spare: float = SPARE) -> None:
        self.ends = ends
        self.spare = spare
        self._stretch = 0.0
        self._then: float | None = None
        self._guess = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Weigh what will be saved."""
        held = sum(parameter.numel() * parameter.element_size() for parameter in pl_module.parameters())
        self._guess = held * _STATES / _RATE
        self._then = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the clock."""
        now = time.monotonic()
        if self._then is not None:
            self._stretch = max(self._stretch, now - self._then)
        self._then = now
        if time.time() + self.margin(trainer) >= self.ends:
            trainer.request_stop(signal.SIGXCPU)

    def margin(self, trainer: Trainer) -> float:
        """Return how many seconds before the end the run has to stop."""
        in_flight = trainer.checkpoint_io.elapsed if trainer.checkpoint_io is not None else 0.0
        return self.spare + self._stretch + 2 * max(trainer.slowest_save or self._guess, in_flight)
