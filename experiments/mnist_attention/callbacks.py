"""A callback of one's own, the smallest there is."""

from __future__ import annotations

from leyden import Callback, LightningModule, Trainer


class PrintingCallback(Callback):
    """Say when training starts and ends."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first epoch."""
        parameters = sum(weight.numel() for weight in pl_module.parameters())
        trainer.print(f"Training starts: {parameters / 1e6:.1f} million parameters.")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the last epoch."""
        trainer.print(f"Training ends after {trainer.global_step} updates.")
