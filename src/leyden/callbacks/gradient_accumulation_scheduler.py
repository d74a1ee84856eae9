"""Another number of micro-batches per update, from one epoch to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from leyden.callback import Callback
from leyden.errors import ConfigurationError

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class GradientAccumulationScheduler(Callback):
    """Set ``trainer.accumulate_grad_batches`` at the start of each epoch.

    Args:
        scheduling: Micro-batches per update by the epoch, counted from 0, from which on they
            are valid: ``{0: 8, 4: 4}`` takes eight in the first four epochs, then four.
            Before the first epoch named it is one. In a config keys are texts; ``"4"`` is 4.

    Raises:
        ConfigurationError: If an epoch or a number cannot be meant; when a fit opens, if the
            trainer accumulates already, or the module steps its optimizers itself.
    """

    def __init__(self, scheduling: Mapping[int, int]) -> None:
        super().__init__()
        scheduling = {_number(epoch): size for epoch, size in scheduling.items()}
        if not scheduling or not all(_whole(epoch, 0) and _whole(size, 1) for epoch, size in scheduling.items()):
            raise ConfigurationError(
                f"GradientAccumulationScheduler(scheduling={scheduling!r}) cannot be meant. Expected numbers of "
                "micro-batches, 1 or more, by epoch, 0 or more: {0: 8, 4: 4}."
            )
        self.scheduling = {0: 1, **scheduling}
        self.epochs = sorted(self.scheduling)

    def going_to_accumulate_grad_batches(self) -> bool:
        """Whether any epoch accumulates."""
        return any(size > 1 for size in self.scheduling.values())

    def get_accumulate_grad_batches(self, epoch: int) -> int:
        """Return the micro-batches per update of *epoch*, counted from 0."""
        return self.scheduling[max(start for start in self.epochs if start <= epoch)]

    def periods(self, epochs: int) -> list[tuple[int, int]]:
        """Split the first *epochs* epochs where the number changes; returns pairs of epochs and micro-batches."""
        ends = [*self.epochs[1:], max(epochs, 1)]
        pairs = [
            (min(end, max(epochs, 1)) - start, self.scheduling[start])
            for start, end in zip(self.epochs, ends, strict=True)
        ]
        return [(count, size) for count, size in pairs if count > 0]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that nobody else decides about accumulation."""
        if stage != "fit":
            return
        if not pl_module.automatic_optimization:
            raise ConfigurationError(
                f"{type(pl_module).__name__} steps its optimizers itself (automatic_optimization = False), so that "
                "GradientAccumulationScheduler has no effect. Remove the callback, or accumulate in training_step."
            )
        if trainer.accumulate_grad_batches != 1:
            raise ConfigurationError(
                f"Trainer(accumulate_grad_batches={trainer.accumulate_grad_batches}) and a "
                "GradientAccumulationScheduler contradict each other. Remove one of them."
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set it for a run that is resumed within an epoch, which gets no start of it."""
        trainer.accumulate_grad_batches = self.get_accumulate_grad_batches(trainer.current_epoch)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set it."""
        trainer.accumulate_grad_batches = self.get_accumulate_grad_batches(trainer.current_epoch)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the trainer's own value back, so that it can fit again."""
        if stage == "fit":
            trainer.accumulate_grad_batches = 1


def _number(epoch: Any) -> Any:
    return int(epoch) if isinstance(epoch, str) and epoch.isdigit() else epoch


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
