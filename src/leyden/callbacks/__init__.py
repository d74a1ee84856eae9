"""The callbacks that come with Leyden, one class a file.

Names are imported on first use (PEP 562), so that a run pays only for the callbacks it
has. Whatever stands here is built on `leyden.callback.Callback` alone: a callback of your
own can do everything these can.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from leyden.callback import Callback, Checkpoint

if TYPE_CHECKING:
    from leyden.callbacks.default_progress_bar import default_progress_bar
    from leyden.callbacks.early_stopping import EarlyStopping, EarlyStoppingReason
    from leyden.callbacks.learning_rate_monitor import LearningRateMonitor
    from leyden.callbacks.line_progress import LineProgress
    from leyden.callbacks.model_checkpoint import ModelCheckpoint
    from leyden.callbacks.model_summary import ModelSummary, summarize
    from leyden.callbacks.progress_bar import ProgressBar
    from leyden.callbacks.rich_progress_bar import RichProgressBar, RichProgressBarTheme

_HOMES = {
    "EarlyStopping": "early_stopping",
    "EarlyStoppingReason": "early_stopping",
    "LearningRateMonitor": "learning_rate_monitor",
    "LineProgress": "line_progress",
    "ModelCheckpoint": "model_checkpoint",
    "ModelSummary": "model_summary",
    "ProgressBar": "progress_bar",
    "RichProgressBar": "rich_progress_bar",
    "RichProgressBarTheme": "rich_progress_bar",
    "default_progress_bar": "default_progress_bar",
    "summarize": "model_summary",
}

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "EarlyStoppingReason",
    "LearningRateMonitor",
    "LineProgress",
    "ModelCheckpoint",
    "ModelSummary",
    "ProgressBar",
    "RichProgressBar",
    "RichProgressBarTheme",
    "default_progress_bar",
    "summarize",
]


def __getattr__(name: str) -> Any:
    """Import the module that defines *name*, and keep the name here."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
