"""Strategies: on which devices and in how many processes a module runs.

Those that divide a module are imported on first use (PEP 562): what they need of torch takes seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from leyden.strategies.ddp import DDPStrategy
from leyden.strategies.distributed import Distributed
from leyden.strategies.names import named
from leyden.strategies.single_device import SingleDevice

if TYPE_CHECKING:
    from leyden.strategies.deepspeed import DeepSpeedStrategy
    from leyden.strategies.fsdp import FSDPStrategy
    from leyden.strategies.model_parallel import ModelParallelStrategy

_HOMES = {"DeepSpeedStrategy": "deepspeed", "FSDPStrategy": "fsdp", "ModelParallelStrategy": "model_parallel"}

__all__ = [
    "DDPStrategy",
    "DeepSpeedStrategy",
    "Distributed",
    "FSDPStrategy",
    "ModelParallelStrategy",
    "SingleDevice",
    "named",
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
