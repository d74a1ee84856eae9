"""The contract of a data module: data sets, their preparation and their loaders in one object."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from leyden.hyperparameters import AttributeDict, call_arguments, select
from leyden.tree import move

if TYPE_CHECKING:
    import torch

    from leyden.trainer import Trainer


class LightningDataModule:
    """Bundle everything about data that a run needs; every method may be overridden.

    Order of calls in a fit: `prepare_data` (one process only; download here, set no
    state), `setup` (every process), loaders, `teardown`.
    """

    name: str | None = None
    prepare_data_per_node: bool = True

    trainer: Trainer | None = None

    def prepare_data(self) -> None:
        """Download or preprocess, in one process; do not assign state here."""

    def setup(self, stage: str) -> None:
        """Build the data sets for *stage*: ``fit``, ``validate``, ``test`` or ``predict``."""

    def teardown(self, stage: str) -> None:
        """Release what `setup` built."""

    def train_dataloader(self) -> Any:
        """Return an iterable of training batches."""
        raise NotImplementedError

    def val_dataloader(self) -> Any:
        """Return an iterable of validation batches, or several in a list or dict."""
        raise NotImplementedError

    def test_dataloader(self) -> Any:
        """Return an iterable of test batches, or several in a list or dict."""
        raise NotImplementedError

    def predict_dataloader(self) -> Any:
        """Return an iterable of prediction batches, or several in a list or dict."""
        raise NotImplementedError

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change *batch* before it goes to the device; returns the batch."""
        return batch

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move *batch* to *device*; override for batch types of your own."""
        return move(batch, device)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change *batch* on the device (augmentation on a GPU, say); returns the batch."""
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return what must survive a restart; plain types and tensors only."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""

    def on_exception(self, exception: BaseException) -> None:
        """Something was raised during the run; it is raised again afterwards."""

    def save_hyperparameters(
        self, *args: Any, ignore: Iterable[str] | str | None = None, frame: Any = None, logger: bool = True
    ) -> None:
        """Keep the constructor's arguments as `hparams`; call it inside ``__init__``.

        Args:
            *args: Names of arguments to keep, or one mapping that holds all; none keeps all.
            ignore: Names of arguments to leave out.
            frame: Frame of the constructor, when called from elsewhere.
            logger: Whether the loggers get these values.
        """
        caller = frame or sys._getframe(1)
        self._hparams, self._hparams_name = select(call_arguments(caller, LightningDataModule), args, ignore)
        self._log_hyperparams = logger

    @property
    def hparams(self) -> Any:
        """Arguments kept by `save_hyperparameters`, as keys and as attributes."""
        if not hasattr(self, "_hparams"):
            self._hparams = AttributeDict()
        return self._hparams
