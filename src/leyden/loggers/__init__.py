"""The loggers: where rows of metrics and the hyper-parameters of a run go.

Names are looked up on first use (PEP 562), so that importing this package loads none of
TensorBoard, W&B and MLflow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leyden.logger import Logger
    from leyden.loggers.csv import CSVLogger
    from leyden.loggers.default import default_loggers
    from leyden.loggers.dummy import DummyExperiment, DummyLogger
    from leyden.loggers.mlflow import MLFlowLogger
    from leyden.loggers.tensorboard import TensorBoardLogger
    from leyden.loggers.wandb import WandbLogger

__all__ = [
    "CSVLogger",
    "DummyExperiment",
    "DummyLogger",
    "Logger",
    "MLFlowLogger",
    "TensorBoardLogger",
    "WandbLogger",
    "default_loggers",
]

_HOME = {
    "CSVLogger": "leyden.loggers.csv",
    "DummyExperiment": "leyden.loggers.dummy",
    "DummyLogger": "leyden.loggers.dummy",
    "Logger": "leyden.logger",
    "MLFlowLogger": "leyden.loggers.mlflow",
    "TensorBoardLogger": "leyden.loggers.tensorboard",
    "WandbLogger": "leyden.loggers.wandb",
    "default_loggers": "leyden.loggers.default",
}


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in, the first time the name is asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return __all__
