"""A callback with a folder of checkpoints: where it lies, what files are called, how they are written.

`ModelCheckpoint` adds when to save and what to keep. On several ranks rank 0 looks at the
disk and tells the others; writing is collective.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leyden import atomic
from leyden.callback import Checkpoint
from leyden.callbacks import checkpoint_files as files
from leyden.errors import ConfigurationError
from leyden.recency import oldest_first

if TYPE_CHECKING:
    from torch import Tensor

    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class CheckpointFolder(Checkpoint):
    """Name, write, link and delete checkpoints in one folder.

    Args:
        dirpath: Folder on a local disk; None settles it in `setup`.
        filename: Template of names; None is ``{epoch}-{step}``.
        save_weights_only: Whether to leave out everything that only a resumed run needs.
        auto_insert_metric_name: Whether values in names are preceded by ``<name>=``.
        enable_version_counter: Whether a name that is taken gets ``-v1``, ``-v2`` ... appended.

    Raises:
        ConfigurationError: If *dirpath* is not on a local disk.
    """

    CHECKPOINT_JOIN_CHAR = "-"
    CHECKPOINT_EQUALS_CHAR = "="
    CHECKPOINT_NAME_LAST = "last"
    FILE_EXTENSION = ".ckpt"
    STARTING_VERSION = 1

    def __init__(
        self,
        dirpath: str | os.PathLike[str] | None,
        filename: str | None,
        save_weights_only: bool,
        auto_insert_metric_name: bool,
        enable_version_counter: bool,
    ) -> None:
        super().__init__()
        if dirpath is not None and "://" in os.fspath(dirpath):
            raise ConfigurationError(
                f"{type(self).__name__}(dirpath={os.fspath(dirpath)!r}) is not on a local disk.\n"
                "  Expected a local or mounted folder. To have files elsewhere too, upload them from a logger's "
                "after_save_checkpoint."
            )
        self.dirpath = None if dirpath is None else os.path.realpath(os.path.expanduser(dirpath))
        self.filename = filename
        self.save_weights_only = save_weights_only
        self.auto_insert_metric_name = auto_insert_metric_name
        self._enable_version_counter = enable_version_counter
        self._last_global_step_saved = 0  # before the first step there is nothing worth saving
        self._last_checkpoint_saved = ""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Settle the folder."""
        if self.dirpath is None:
            found = files.default_directory(trainer.loggers, trainer.default_root_dir) if trainer.is_global_zero else ""
            self.dirpath = str(trainer.strategy.broadcast(found))

    def format_checkpoint_name(
        self,
        metrics: Mapping[str, Any],
        filename: str | None = None,
        ver: int | None = None,
        prefix: str | None = None,
    ) -> str:
        """Return the path of a checkpoint with these *metrics*.

        Args:
            metrics: Scalars by name, ``epoch`` and ``step`` among them; what is missing counts as 0.
            filename: Template instead of the callback's own.
            ver: Number of the version to append.
            prefix: What stands in front, joined by `CHECKPOINT_JOIN_CHAR`.
        """
        template = filename or self.filename or f"{{epoch}}{self.CHECKPOINT_JOIN_CHAR}{{step}}"
        name = files.format_name(
            template, metrics, equals=self.CHECKPOINT_EQUALS_CHAR, auto_insert=self.auto_insert_metric_name
        )
        parts = [prefix, name, None if ver is None else f"v{ver}"]
        name = self.CHECKPOINT_JOIN_CHAR.join(part for part in parts if part is not None)
        return os.path.join(self.dirpath or "", f"{name}{self.FILE_EXTENSION}")

    def find_last_checkpoints(self, trainer: Trainer) -> list[str]:
        """Return the existing ``last*.ckpt``, oldest first; may be called before `setup`."""
        folder = Path(self.dirpath or files.default_directory(trainer.loggers, trainer.default_root_dir))
        found = [path for path in folder.glob(f"{self.CHECKPOINT_NAME_LAST}*{self.FILE_EXTENSION}") if path.exists()]
        return list(map(str, oldest_first(found)))

    def _free_name(
        self,
        trainer: Trainer,
        metrics: Mapping[str, Tensor],
        template: str | None,
        *,
        replaces: str,
        planned: str = "",
    ) -> str:
        """Return the first name that is free; *replaces* counts as free, *planned* as taken.

        What this run has written behind the point it goes on from is written once more: such a name is free, too.
        """
        again = trainer.identity.ahead if trainer.identity is not None else []

        def names() -> Iterator[str]:
            yield self.format_checkpoint_name(metrics, template)
            for version in count(self.STARTING_VERSION):
                yield self.format_checkpoint_name(metrics, template, version)

        def taken(path: str) -> bool:
            return self._enable_version_counter and (path == planned or (os.path.lexists(path) and path not in again))

        name = files.first_free(names(), taken, replaces) if trainer.is_global_zero else ""
        return str(trainer.strategy.broadcast(name))

    def _write(self, trainer: Trainer, path: str) -> None:
        """Write a checkpoint and, once it is there, tell the loggers; what it says of itself holds from then on."""
        before = self._last_global_step_saved, self._last_checkpoint_saved
        self._last_global_step_saved, self._last_checkpoint_saved = trainer.global_step, path
        try:
            trainer.save_checkpoint(path, weights_only=self.save_weights_only)
        except BaseException:
            self._last_global_step_saved, self._last_checkpoint_saved = before
            raise
        if trainer.identity is not None and path in trainer.identity.ahead:
            trainer.identity.ahead.remove(path)
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                trainer.once_saved(partial(logger.after_save_checkpoint, self))

    def _link(self, trainer: Trainer, path: str, linkpath: str) -> None:
        """Let *linkpath* point at *path*, once that is there."""
        if trainer.is_global_zero:
            trainer.once_saved(lambda: files.link(path, linkpath))
        trainer.strategy.barrier()

    def _delete(self, trainer: Trainer, path: str, *keep: str) -> None:
        """Delete *path* if it is ours, and neither one of *keep* nor a file that somebody has named to go on from.

        That is done once the latest save is on disk: what *path* makes room for. A file that the run itself has chosen
        is one like the others.
        """
        chosen = trainer.identity is not None and trainer.identity.resumed == trainer.ckpt_path
        named = None if chosen else trainer.ckpt_path

        def delete() -> None:
            if files.may_delete(path, self.dirpath or "", (*keep, named)):
                atomic.remove(path)

        if path and trainer.is_global_zero:
            trainer.once_saved(delete)
