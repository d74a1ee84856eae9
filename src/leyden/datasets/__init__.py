"""Data sets as data modules, one class a file; a name is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leyden.datasets.digits import Digits as Digits
    from leyden.datasets.fashion_mnist import FashionMNIST as FashionMNIST
    from leyden.datasets.idx import read_idx as read_idx
    from leyden.datasets.in_memory import InMemory as InMemory
    from leyden.datasets.in_memory import loader as loader
    from leyden.datasets.mnist import MNIST as MNIST
    from leyden.datasets.splits import SplitData as SplitData
    from leyden.datasets.synthetic import Synthetic as Synthetic
    from leyden.datasets.text import Text as Text
    from leyden.datasets.text import bigram_nll as bigram_nll

_MODULES = {
    "Digits": "digits",
    "FashionMNIST": "fashion_mnist",
    "InMemory": "in_memory",
    "MNIST": "mnist",
    "SplitData": "splits",
    "Synthetic": "synthetic",
    "Text": "text",
    "bigram_nll": "text",
    "loader": "in_memory",
    "read_idx": "idx",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(_MODULES)}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
