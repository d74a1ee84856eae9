"""Leyden: Hydra-composed experiments for PyTorch, on an engine that speaks Lightning's vocabulary.

Names are imported when they are first used, so that ``import leyden`` costs little more
than ``import torch``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Callback": "leyden.callback",
    "ConfigurationError": "leyden.errors",
    "Experiment": "leyden.experiment",
    "LightningDataModule": "leyden.datamodule",
    "LightningModule": "leyden.module",
    "Trainer": "leyden.trainer",
    "seed_everything": "leyden.rng",
}
_MODULES = frozenset({"callbacks", "loggers"})

__all__ = [
    "Callback",
    "ConfigurationError",
    "Experiment",
    "LightningDataModule",
    "LightningModule",
    "Trainer",
    "__version__",
    "callbacks",
    "loggers",
    "seed_everything",
]

if TYPE_CHECKING:
    from leyden import callbacks, loggers
    from leyden.callback import Callback
    from leyden.datamodule import LightningDataModule
    from leyden.errors import ConfigurationError
    from leyden.experiment import Experiment
    from leyden.module import LightningModule
    from leyden.rng import seed_everything
    from leyden.trainer import Trainer


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"leyden.{name}")
    raise AttributeError(f"module 'leyden' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
