"""The contract of a data module: data sets, their preparation and their loaders in one object."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any, Self

from leyden.dataset_loaders import around
from leyden.hyperparameters import AttributeDict, initial, keep
from leyden.loading import class_only, load_datamodule
from leyden.tree import move

if TYPE_CHECKING:
    import torch

    from leyden.trainer import Trainer


class LightningDataModule:
    """Bundle everything about data that a run needs; every method may be overridden.

    Order of calls in a fit: `prepare_data` (one process only; download here, set no
    state), `setup` (every process), loaders, `teardown`.
    """

    # Keys under which a checkpoint holds the constructor's arguments.
    CHECKPOINT_HYPER_PARAMS_KEY = "datamodule_hyper_parameters"
    CHECKPOINT_HYPER_PARAMS_NAME = "datamodule_hparams_name"
    CHECKPOINT_HYPER_PARAMS_TYPE = "datamodule_hparams_type"

    name: str | None = None
    prepare_data_per_node: bool = True
    allow_zero_length_dataloader_with_multiple_devices: bool = False

    trainer: Trainer | None = None
    _hparams_name: str | None = None

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
        keep(self, LightningDataModule, frame or sys._getframe(1), args, ignore)
        self._log_hyperparams = logger

    @property
    def hparams(self) -> Any:
        """Arguments kept by `save_hyperparameters`, as keys and as attributes."""
        if not hasattr(self, "_hparams"):
            self._hparams = AttributeDict()
        return self._hparams

    @property
    def hparams_initial(self) -> Any:
        """A copy of the arguments as `save_hyperparameters` found them, whatever became of `hparams` since."""
        return initial(self)

    @classmethod
    def from_datasets(
        cls,
        train_dataset: Any = None,
        val_dataset: Any = None,
        test_dataset: Any = None,
        predict_dataset: Any = None,
        batch_size: int = 1,
        num_workers: int = 0,
        **datamodule_kwargs: Any,
    ) -> Self:
        """Build a data module around data sets; each may be several, in a list or dict.

        Args:
            train_dataset: Shuffled each epoch, unless it is iterable only.
            val_dataset: For validation.
            test_dataset: For tests.
            predict_dataset: For prediction.
            batch_size: Samples in a batch; given to the constructor, too, if it takes it.
            num_workers: Processes that load; given to the constructor, too, if it takes it.
            **datamodule_kwargs: Further arguments of the constructor.
        """
        given = {"train": train_dataset, "val": val_dataset, "test": test_dataset, "predict": predict_dataset}
        return around(cls, given, {"batch_size": batch_size, "num_workers": num_workers}, datamodule_kwargs)

    @class_only
    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | IO[bytes],
        map_location: Any = None,
        hparams_file: str | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Build a data module from the hyper-parameters and the state in a checkpoint.

        Args:
            checkpoint_path: File written by a trainer.
            map_location: Where tensors go, as in `torch.load`.
            hparams_file: YAML or CSV file with hyper-parameters to take instead of the checkpoint's.
            weights_only: False allows arbitrary pickles, which can execute code: only for
                files you trust. Default True.
            **kwargs: Constructor arguments that win over the saved ones.
        """
        return load_datamodule(cls, checkpoint_path, map_location, hparams_file, weights_only, kwargs)
