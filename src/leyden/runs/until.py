"""Stop a run after so many training steps: enough to compare its beginning with that of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leyden.callback import Callback
from leyden.errors import StageEnded

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class Until(Callback):
    """End the fit after *steps* training steps (micro-batches) of this process.

    Args:
        steps: How many.
    """

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count down."""
        self.left -= 1
        if self.left <= 0:
            raise StageEnded("as many steps as were asked for have been trained")
