"""What ``Trainer(logger=True)`` means: TensorBoard, and a CSV file beside it."""

from __future__ import annotations

from leyden.logger import Logger
from leyden.loggers.csv import CSVLogger
from leyden.loggers.folder import FolderLogger
from leyden.loggers.tensorboard import TensorBoardLogger


def default_loggers() -> list[Logger]:
    """Return a TensorBoard logger, and a CSV logger that writes to the same folder."""
    board = TensorBoardLogger()
    return [board, BesideLogger(board)]


class BesideLogger(CSVLogger):
    """Write CSV to the folder of another logger, whose version is not known before it is used.

    Args:
        other: Whose folder is shared.
    """

    def __init__(self, other: FolderLogger) -> None:
        super().__init__(name=other.name)
        self._other = other

    @property
    def version(self) -> int | str | None:
        """Version of the other logger."""
        return self._other.version
