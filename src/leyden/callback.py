"""The contract of a callback: something that listens to a training run.

A hook is called only where it is overridden, on the class or on the instance, and is
resolved once, when a stage opens: an idle callback costs nothing per step. Every hook
receives the trainer and the module first. The full order of events is drawn in
`leyden.engine.fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from leyden.module import LightningModule
    from leyden.progress import Place
    from leyden.trainer import Trainer


class Callback:
    """Listen to a run by overriding any of the hooks below.

    ``log`` and ``log_dict`` of the running module are lent to the callback while a stage
    is open, so ``self.log("name", value)`` works inside hooks.

    Attributes:
        monitors: True for callbacks that read ``trainer.callback_metrics`` at the end of
            an epoch: their ``on_train_epoch_end`` runs after the module's, so that values
            logged there can be monitored.
        runs_last: True for callbacks moved behind all others, in the order given:
            checkpoints must see what everyone else did.
        reads_batch_indices: True for callbacks that read ``trainer.predict_loop``'s indices of
            the samples of a batch: nobody notes them unless they are asked for.
        reads_predictions: True for callbacks that read ``trainer.predict_loop.predictions`` at
            the end of a prediction; they are then kept even if the caller wants none.
    """

    monitors: ClassVar[bool] = False
    runs_last: ClassVar[bool] = False
    reads_batch_indices: ClassVar[bool] = False
    reads_predictions: bool = False

    @property
    def state_key(self) -> str:
        """Key of this callback's state in a checkpoint; two of one class need different keys."""
        return type(self).__qualname__

    def _generate_state_key(self, **kwargs: Any) -> str:
        """Format a key as Lightning does: the class name followed by the given arguments."""
        return f"{type(self).__qualname__}{kwargs!r}"

    def state_dict(self) -> dict[str, Any]:
        """Return what must survive a restart; plain types and tensors only."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""

    def _adopts(self, states: Mapping[str, Any]) -> str | None:
        """Return the key of the state that this callback goes on from, where none has its own key.

        Args:
            states: The states in a checkpoint that belong to no callback that is there.
        """
        return None

    def _under_these_settings(self, key: str, state_dict: Mapping[str, Any]) -> list[str]:
        """Say what becomes of a state that was saved under other settings; called before `load_state_dict`."""
        return []

    def _still_stops(self) -> bool:
        """Whether a stop that this callback had asked for is one under its settings now; its state is back by then."""
        return True

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add to *checkpoint* before it is written."""

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read from *checkpoint* before states are restored."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """A stage opens; *stage* is ``fit``, ``validate``, ``test`` or ``predict``."""

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """A stage closes; called after an exception, too."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Optimizers exist; nothing has been restored yet."""

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training is over and the module is back on the CPU."""

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The short validation before training begins."""

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The short validation before training is done; its metrics are dropped."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Everything is restored; the first epoch comes next."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last epoch is done."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An epoch begins."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An epoch ends; with ``monitors = True`` this runs after the module's own hook."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The batch is on the device."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """*outputs* is ``{"loss": detached, ...}``: what the step returned."""

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The module is in evaluation mode and gradients are off."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Epoch metrics have been reduced and sent to the loggers."""

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first validation batch."""

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the last validation batch."""

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Before one validation batch."""

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """After one validation batch."""

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As `on_validation_start`, for a test run."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As `on_validation_end`, for a test run."""

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first test batch."""

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the last test batch."""

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Before one test batch."""

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """After one test batch."""

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A prediction run begins."""

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A prediction run ends."""

    def on_predict_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first prediction batch."""

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the last prediction batch."""

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Before one prediction batch."""

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """After one prediction batch."""

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Gradients are about to be cleared."""

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """The loss is about to be differentiated."""

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gradients are there, not yet unscaled or clipped."""

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Gradients are unscaled, not yet clipped."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Something was raised, an interruption included; it is raised again afterwards."""

    # Lent by the engine while a stage is open.
    def log(self, name: str, value: Any, **options: Any) -> None:
        """Log a value as `LightningModule.log` does; only while a stage is open."""
        raise RuntimeError(
            f"{type(self).__name__}.log({name!r}, ...) was called outside of a run. "
            "A callback can log only inside hooks of a running trainer."
        )

    def log_dict(self, dictionary: Mapping[str, Any], **options: Any) -> None:
        """Log several values as `LightningModule.log_dict` does; only while a stage is open."""
        raise RuntimeError(
            f"{type(self).__name__}.log_dict(...) was called outside of a run. "
            "A callback can log only inside hooks of a running trainer."
        )


class Checkpoint(Callback):
    """Base of callbacks that save checkpoints: run last, and after the module at an epoch's end."""

    monitors = True
    runs_last = True

    def find_last_checkpoints(self, trainer: Trainer) -> list[str]:
        """Return what ``ckpt_path="last"`` may mean for this callback, oldest first."""
        return []

    def catch_up(self, trainer: Trainer, pl_module: LightningModule, place: Place) -> None:
        """Do what a killed attempt at a run had still to do; called when the next one has all of its state back.

        Args:
            trainer: The trainer.
            pl_module: Its module.
            place: Where in the loop the checkpoint was written; see `leyden.progress`.
        """
