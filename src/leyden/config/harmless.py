"""What of torch, torchmetrics, Leyden and Python a config may name that a stranger wrote: an allow list, by kinds.

    torch           modules, losses and activations; optimizers and schedulers; distributions; data sets and samplers;
                    operations on tensors, and the functions listed one by one
    torchmetrics    metrics and their functions, but none that downloads a model
    leyden          the public classes that configs are made of
    Python          plain types

A list of what is known to do nothing but compute, not one of what is dangerous: torch has thousands of functions,
and among them some that load pickles, import modules, compile C++, start programs and write files. What is not listed
can still be used: by a function of one's own project that calls it.

An object has to pass twice. The name in the config must be public: no part of it begins with an underscore. And the
object is judged by where it was defined, which must be public as well: what a public module of torch has imported
from `importlib`, or from a private module of torch, is not let through under the name it has there.

`tests/hostile/test_allow_list.py` goes through every public object below torch, torchmetrics and leyden, and asserts
that none of those that pass takes a path, an address, the name of a module or a callable without being reviewed.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path, PosixPath, PurePath
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch

ROOTS = ("torch", "torchmetrics", "leyden")
_TYPES = (
    *(torch.device, torch.Generator, torch.Size, Path, PosixPath, PurePath, timedelta, OrderedDict, Decimal, Fraction),
    *(bool, int, float, complex, str, list, tuple, dict, set, frozenset, slice, range),
)
_FUNCTIONS_OF = ("torch.functional", "torch.nn.functional", "torch.nn.init")  # all public functions of these modules
_FUNCTIONS = {  # by the module they are defined in
    "torch.distributions.kl": {"kl_divergence"},
    "torch.nn.utils.clip_grad": {"clip_grad_norm_", "clip_grad_value_"},
    "torch.nn.utils.convert_parameters": {"parameters_to_vector", "vector_to_parameters"},
    "torch.nn.utils.parametrizations": {"orthogonal", "spectral_norm", "weight_norm"},
    "torch.nn.utils.rnn": {
        *("pack_padded_sequence", "pack_sequence", "pad_packed_sequence", "pad_sequence", "unpack_sequence"),
        "unpad_sequence",
    },
    "torch.nn.utils.spectral_norm": {"spectral_norm"},
    "torch.nn.utils.weight_norm": {"weight_norm"},
    "torch.optim.swa_utils": {
        *("get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn"),
    },
    "torch.profiler.profiler": {"schedule"},
    "torch.utils.data.dataset": {"random_split"},
    "leyden.callbacks.progress_display": {"default_progress_bar"},
    "leyden.loggers.default": {"default_loggers"},
    "leyden.schedulers": {"cosine_warmup"},
}
_CLASSES = {  # beside those of a kind below
    "torch.amp.autocast_mode": {"autocast"},
    "torch.amp.grad_scaler": {"GradScaler"},
    "torch.nn.parameter": {"Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"},
    "torch.optim.swa_utils": {"AveragedModel"},
    "torch.utils.data.dataloader": {"DataLoader"},
    "torchmetrics.collections": {"MetricCollection"},
    "leyden.callbacks.rich_progress_bar": {"RichProgressBarTheme"},
    "leyden.experiment": {"Experiment"},
    "leyden.plugins.io": {"AsyncCheckpointIO"},
    "leyden.schedulers": {"WarmupCosine"},
    "leyden.trainer": {"Trainer"},
}
_FETCHES = {  # modules of torchmetrics that download models, and load them
    "arniqa", "audio", "bert", "dists", "fid", "helper_embedding_metric", "inception", "infolm", "kid", "lpip", "lpips",
    "mifid", "multimodal", "perceptual_path_length", "rouge", "sacre_bleu", "utilities", "video",
}  # fmt: skip
_WRITES = {"from_file"}  # among the functions of ``torch`` itself
_LEYDEN = (
    "callback", "callbacks", "datamodule", "datasets", "experiment", "logger", "loggers", "models", "module", "plugins",
    "precision", "precisions", "profiler", "profilers", "schedulers", "strategies", "strategy", "testing", "trainer",
)  # fmt: skip
_HOMES = (
    *_FUNCTIONS_OF, *(name for name in (*_FUNCTIONS, *_CLASSES) if name.startswith("torch.")),
    "torch.nn.modules", "torch.optim", "torch.distributions", "torch.utils.data.dataset", "torch.utils.data.sampler",
    "torch.utils.data.distributed", "torchmetrics", *(f"leyden.{name}" for name in _LEYDEN),
)  # fmt: skip


def below(name: str, prefix: str) -> bool:
    """Whether the dotted *name* is *prefix*, or begins with it."""
    return name == prefix or name.startswith(f"{prefix}.")


def is_public(name: str) -> bool:
    """Whether no part of the dotted *name* is private."""
    return not any(part.startswith("_") for part in name.split("."))


def leads_there(module: str) -> bool:
    """Whether *module* holds harmless objects, or lies on the way to one that does: it may be imported."""
    fetches = below(module, "torchmetrics") and not _FETCHES.isdisjoint(module.split("."))
    leads = any(below(module, home) or below(home, module) for home in _HOMES)
    return leads and not fetches and is_public(module)


def is_harmless(found: Any) -> bool:
    """Whether *found*, a class or a function, is on the list."""
    if any(found is each for each in _TYPES):
        return True
    if isinstance(found, BuiltinFunctionType):
        return _is_operation(found)
    module, name = str(getattr(found, "__module__", "")), str(getattr(found, "__qualname__", "."))
    if not isinstance(found, type | FunctionType) or not (is_public(module) and is_public(name)) or "." in name:
        return False  # a method, or private
    if not leads_there(module) or getattr(sys.modules.get(module), name, None) is not found:
        return False  # it only says that it is from there
    if isinstance(found, FunctionType):
        functions = below(module, "torchmetrics.functional") or module in _FUNCTIONS_OF
        return functions or name in _FUNCTIONS.get(module, ())
    if name in _CLASSES.get(module, ()):
        return True
    assert isinstance(found, type)
    kind = any(below(module, home) and issubclass(found, kinds) for home, kinds in _kinds())
    return kind and (not below(module, "leyden") or _is_exported(module, name))


def _is_exported(module: str, name: str) -> bool:
    """Whether a class of ours is one that its package offers."""
    package = sys.modules[".".join(module.split(".")[:2])]
    return name in getattr(package, "__all__", [name])


def _is_operation(found: Any) -> bool:
    """Whether a function in C is an operation on tensors, such as `torch.relu` and `torch.tensor`."""
    name = found.__name__
    operation = found.__module__ == "torch" and getattr(torch._C._VariableFunctions, name, None) is found
    operation |= found.__module__ == "torch._C._nn" and getattr(torch._C._nn, name, None) is found
    return operation and is_public(name) and name not in _WRITES


@lru_cache(maxsize=1)
def _kinds() -> tuple[tuple[str, tuple[type, ...]], ...]:
    """Return where classes are defined that may be named, and what they have to be."""
    from torch.distributions import Distribution, Transform
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from torch.utils.data import Dataset, Sampler

    from leyden.callback import Callback
    from leyden.datamodule import LightningDataModule
    from leyden.logger import Logger
    from leyden.module import LightningModule
    from leyden.precision import Precision
    from leyden.profiler import Profiler
    from leyden.strategy import Strategy

    ours = (Callback, LightningDataModule, LightningModule, Logger, Precision, Profiler, Strategy, Dataset)
    return (
        ("torch.nn.modules", (torch.nn.Module,)),
        ("torch.optim", (Optimizer, LRScheduler)),
        ("torch.distributions", (Distribution, Transform)),
        ("torch.utils.data.dataset", (Dataset,)),
        ("torch.utils.data.sampler", (Sampler,)),
        ("torch.utils.data.distributed", (Sampler,)),
        ("torchmetrics", (torch.nn.Module,)),
        *((f"leyden.{name}", ours) for name in _LEYDEN),
    )
