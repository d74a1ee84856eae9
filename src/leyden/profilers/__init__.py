"""Profilers: where the time of a run goes, by action, by Python function, or by operator of torch.

Names are looked up on first use (PEP 562): a run without a profiler loads none of their tools.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leyden.profiler import Profiler
    from leyden.profilers.advanced import AdvancedProfiler
    from leyden.profilers.pass_through import PassThroughProfiler
    from leyden.profilers.pytorch import PyTorchProfiler
    from leyden.profilers.simple import SimpleProfiler

__all__ = ["AdvancedProfiler", "PassThroughProfiler", "Profiler", "PyTorchProfiler", "SimpleProfiler"]

_HOME = {
    "AdvancedProfiler": "leyden.profilers.advanced",
    "PassThroughProfiler": "leyden.profilers.pass_through",
    "Profiler": "leyden.profiler",
    "PyTorchProfiler": "leyden.profilers.pytorch",
    "SimpleProfiler": "leyden.profilers.simple",
}


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in, the first time the name is asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return __all__
