"""Models that come with the package, one class a file; a name is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leyden.models.classifier import Classifier as Classifier
    from leyden.models.conv import ConvNet as ConvNet
    from leyden.models.mlp import MLP as MLP
    from leyden.models.transformer import CausalTransformer as CausalTransformer

_MODULES = {"CausalTransformer": "transformer", "Classifier": "classifier", "ConvNet": "conv", "MLP": "mlp"}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(_MODULES)}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
