"""A checkpoint of the moment in which training broke."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from leyden import atomic
from leyden.callback import Checkpoint
from leyden.errors import ConfigurationError

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class OnExceptionCheckpoint(Checkpoint):
    """Save when an exception ends training; a fit that ends well removes the file again.

    Nothing is saved before training has begun: what a fit is resumed from must not be
    overwritten by the state of one that could not even start. Nor is anything saved by
    ``fast_dev_run``.

    Args:
        dirpath: Folder of the file; made when needed.
        filename: Name of the file, without ``.ckpt``.

    Raises:
        ConfigurationError: If *filename* is empty.
    """

    FILE_EXTENSION = ".ckpt"

    def __init__(self, dirpath: str | os.PathLike[str], filename: str = "on_exception") -> None:
        super().__init__()
        if not filename:
            raise ConfigurationError(
                f"OnExceptionCheckpoint(filename={filename!r}) names no file. Expected a name without extension, "
                "such as 'on_exception'."
            )
        self.dirpath = os.fspath(dirpath)
        self.filename = filename
        self._training = False
        self._raised = False

    @property
    def ckpt_path(self) -> str:
        """Where the file is, or would be."""
        return os.path.join(self.dirpath, self.filename + self.FILE_EXTENSION)

    def find_last_checkpoints(self, trainer: Trainer) -> list[str]:
        """Return the file, if there is one."""
        return [self.ckpt_path] if os.path.exists(self.ckpt_path) else []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Nothing has happened yet."""
        self._training = self._raised = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on there is something to lose."""
        self._training = True

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save."""
        self._raised = True
        if self._training and not trainer.fast_dev_run:
            trainer.save_checkpoint(self.ckpt_path)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove what an earlier attempt left, if this one ended well."""
        if stage == "fit" and not self._raised and trainer.is_global_zero and not trainer.fast_dev_run:
            atomic.remove(self.ckpt_path)
        self._training = False
