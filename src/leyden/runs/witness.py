"""Tell the manifest what a run turns out to be made of, as soon as a stage shows it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from leyden.callback import Callback
from leyden.runs import manifest

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.runs.directory import RunDirectory
    from leyden.trainer import Trainer

log = logging.getLogger("leyden.run")


class Witness(Callback):
    """Look at loaders and data when training starts, before the first batch; never during a stage.

    Args:
        directory: Of the run.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self._val: Any = None
        self._writes = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the validation loaders in mind; add them where training has started without them."""
        if self._val is None:
            self._val = trainer.val_dataloaders
            if self._writes:
                with spared("does not know the validation data"):
                    manifest.add(self.directory, {"val": self._val})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write down what this attempt is made of."""
        self._writes = True
        found = {"train": trainer.train_dataloader, "val": self._val}
        with spared("does not know what this attempt is made of"):
            manifest.observe(self.directory, trainer, {kind: each for kind, each in found.items() if each is not None})


@contextmanager
def spared(what: str) -> Iterator[None]:
    """Run a block that writes the manifest; its failure is logged: a record is not worth a run."""
    try:
        yield
    except Exception:  # somebody's data set may raise anything, and so may a full disk
        log.warning("the manifest %s", what, exc_info=True)
