"""What of torch, torchmetrics, Leyden and Python a config may name that a stranger wrote.

A list of what is known to do nothing but compute, not one of what is dangerous: torch has
thousands of functions, and among them some that load pickles, compile C++, start programs and
write files. What is not listed can still be used: by a function of one's own project that calls it.

An object is judged by where it was defined, not by the name under which it was found:
``torch.nn.functional.importlib.import_module`` is a function of `importlib`.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PosixPath, PurePath
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch

ROOTS = ("torch", "torchmetrics", "leyden")
_TORCH = (
    "torch.nn", "torch.optim", "torch.distributions", "torch.amp", "torch.functional", "torch.utils.data.dataset",
    "torch.utils.data.sampler", "torch.utils.data.dataloader", "torch.utils.data.distributed",
)  # fmt: skip
_SINGLE = {"torch.profiler.profiler.schedule"}
_TYPES = (
    *(torch.device, torch.Generator, torch.Size, Path, PosixPath, PurePath, timedelta, OrderedDict, Decimal, Fraction),
    *(bool, int, float, complex, str, list, tuple, dict, set, frozenset, slice, range),
)
_WRITES = {"from_file"}  # among the functions of ``torch`` itself
_FETCHES = {  # modules of torchmetrics that download models, and load them
    "arniqa", "audio", "bert", "dists", "fid", "helper_embedding_metric", "inception", "infolm", "kid", "lpip", "lpips",
    "mifid", "multimodal", "perceptual_path_length", "rouge", "sacre_bleu", "utilities", "video",
}  # fmt: skip
_PACKAGES = (
    "callbacks", "loggers", "models", "datasets", "schedulers", "profilers", "precisions", "plugins", "strategies",
    "testing",
)  # fmt: skip
_CLASSES = (
    "callback", "datamodule", "experiment", "logger", "module", "precision", "profiler", "strategy", "trainer",
)  # fmt: skip
_HOMES = (
    *_TORCH, "torch.profiler.profiler", "torch.utils.data", "torchmetrics",
    *(f"leyden.{name}" for name in (*_PACKAGES, *_CLASSES)),
)  # fmt: skip


def below(name: str, prefix: str) -> bool:
    """Whether the dotted *name* is *prefix*, or begins with it."""
    return name == prefix or name.startswith(f"{prefix}.")


def leads_there(module: str) -> bool:
    """Whether *module* holds harmless objects, or lies on the way to one that does: it may be imported."""
    fetches = below(module, "torchmetrics") and not _FETCHES.isdisjoint(module.split("."))
    return not fetches and any(below(module, home) or below(home, module) for home in _HOMES)


def is_harmless(found: Any) -> bool:
    """Whether *found*, a class or a function, is on the list."""
    if any(found is each for each in _TYPES):
        return True
    if isinstance(found, BuiltinFunctionType):
        return _is_operation(found)
    module, name = str(getattr(found, "__module__", "")), str(getattr(found, "__qualname__", "."))
    if "." in name or name.startswith("_") or not isinstance(found, type | FunctionType):
        return False  # a method, or private
    if below(module, "leyden"):
        return _is_public(module, name, found)
    if below(module, "torchmetrics"):
        metric = isinstance(found, type) and issubclass(found, torch.nn.Module)
        return leads_there(module) and (metric or below(module, "torchmetrics.functional"))
    return f"{module}.{name}" in _SINGLE or any(below(module, home) for home in _TORCH)


def _is_operation(found: Any) -> bool:
    """Whether a function in C is an operation on tensors, such as `torch.relu` and `torch.tensor`."""
    name = found.__name__
    operation = found.__module__ == "torch" and hasattr(torch._C._VariableFunctions, name)
    return (operation or found.__module__ == "torch._C._nn") and not name.startswith("_") and name not in _WRITES


def _is_public(module: str, name: str, found: Any) -> bool:
    """Whether an object of ours is one that configs are made of."""
    part = module.split(".")[1] if "." in module else ""
    if part in _CLASSES:
        return isinstance(found, type)
    package = sys.modules[f"leyden.{part}"] if part in _PACKAGES else None
    return package is not None and name in getattr(package, "__all__", [name])
