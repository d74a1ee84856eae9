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
    from leyden.callbacks.backbone_finetuning import BackboneFinetuning
    from leyden.callbacks.base_finetuning import BaseFinetuning
    from leyden.callbacks.base_prediction_writer import BasePredictionWriter
    from leyden.callbacks.batch_size_finder import BatchSizeFinder
    from leyden.callbacks.device_stats_monitor import DeviceStatsMonitor
    from leyden.callbacks.early_stopping import EarlyStopping, EarlyStoppingReason
    from leyden.callbacks.ema_weight_averaging import EMAWeightAveraging
    from leyden.callbacks.gradient_accumulation_scheduler import GradientAccumulationScheduler
    from leyden.callbacks.lambda_callback import LambdaCallback
    from leyden.callbacks.learning_rate_finder import LearningRateFinder
    from leyden.callbacks.learning_rate_monitor import LearningRateMonitor
    from leyden.callbacks.learning_rate_search import LearningRateSearch
    from leyden.callbacks.line_progress import LineProgress
    from leyden.callbacks.model_checkpoint import ModelCheckpoint
    from leyden.callbacks.model_summary import ModelSummary, summarize
    from leyden.callbacks.on_exception_checkpoint import OnExceptionCheckpoint
    from leyden.callbacks.progress_bar import ProgressBar
    from leyden.callbacks.progress_display import default_progress_bar
    from leyden.callbacks.rich_model_summary import RichModelSummary
    from leyden.callbacks.rich_progress_bar import RichProgressBar, RichProgressBarTheme
    from leyden.callbacks.stochastic_weight_averaging import StochasticWeightAveraging
    from leyden.callbacks.throughput_monitor import ThroughputMonitor
    from leyden.callbacks.timer import Timer
    from leyden.callbacks.tqdm_progress_bar import TQDMProgressBar
    from leyden.callbacks.weight_averaging import WeightAveraging

_HOMES = {
    "BackboneFinetuning": "backbone_finetuning",
    "BaseFinetuning": "base_finetuning",
    "BasePredictionWriter": "base_prediction_writer",
    "BatchSizeFinder": "batch_size_finder",
    "DeviceStatsMonitor": "device_stats_monitor",
    "EMAWeightAveraging": "ema_weight_averaging",
    "EarlyStopping": "early_stopping",
    "EarlyStoppingReason": "early_stopping",
    "GradientAccumulationScheduler": "gradient_accumulation_scheduler",
    "LambdaCallback": "lambda_callback",
    "LearningRateFinder": "learning_rate_finder",
    "LearningRateMonitor": "learning_rate_monitor",
    "LearningRateSearch": "learning_rate_search",
    "LineProgress": "line_progress",
    "ModelCheckpoint": "model_checkpoint",
    "ModelSummary": "model_summary",
    "OnExceptionCheckpoint": "on_exception_checkpoint",
    "ProgressBar": "progress_bar",
    "RichModelSummary": "rich_model_summary",
    "RichProgressBar": "rich_progress_bar",
    "RichProgressBarTheme": "rich_progress_bar",
    "StochasticWeightAveraging": "stochastic_weight_averaging",
    "TQDMProgressBar": "tqdm_progress_bar",
    "ThroughputMonitor": "throughput_monitor",
    "Timer": "timer",
    "WeightAveraging": "weight_averaging",
    "default_progress_bar": "progress_display",
    "summarize": "model_summary",
}

__all__ = [
    "BackboneFinetuning",
    "BaseFinetuning",
    "BasePredictionWriter",
    "BatchSizeFinder",
    "Callback",
    "Checkpoint",
    "DeviceStatsMonitor",
    "EMAWeightAveraging",
    "EarlyStopping",
    "EarlyStoppingReason",
    "GradientAccumulationScheduler",
    "LambdaCallback",
    "LearningRateFinder",
    "LearningRateMonitor",
    "LearningRateSearch",
    "LineProgress",
    "ModelCheckpoint",
    "ModelSummary",
    "OnExceptionCheckpoint",
    "ProgressBar",
    "RichModelSummary",
    "RichProgressBar",
    "RichProgressBarTheme",
    "StochasticWeightAveraging",
    "TQDMProgressBar",
    "ThroughputMonitor",
    "Timer",
    "WeightAveraging",
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
