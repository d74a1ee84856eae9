"""Rows of numbers on their way to the loggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from leyden.metrics import numbers

if TYPE_CHECKING:
    from leyden.engine.session import Session


def write_row(session: Session, values: dict[str, Tensor], step: int | None = None, flush: bool = True) -> None:
    """Send one row to all loggers; nothing is sent, or read from the device, when there is nothing to say.

    A value logged under the name ``step`` becomes the row's position; ``epoch`` is added to
    rows that stand on the run's own axis.

    Args:
        session: The stage.
        values: One-element tensors by name.
        step: Position of the row; by default that of the latest update, and one further outside of a fit.
        flush: Whether the row should reach the disk now; rows of single steps may wait.
    """
    loggers = session.trainer.loggers
    if not values or not loggers:
        return
    session.metrics._logged.update(values)
    row = numbers(values)
    if "step" in row:
        step = int(row.pop("step"))
    if step is None:
        step = session.progress.log_step if session.stage == "fit" else session.progress.windows
        row.setdefault("epoch", session.progress.epochs)
    if session.trainer.row_listener is not None:
        session.trainer.row_listener(row, step)
    for logger in loggers:
        logger.log_metrics(row, step=step)
        if flush:
            logger.save()
