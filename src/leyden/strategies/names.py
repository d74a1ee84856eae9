"""Strategies by the names people know: ``Trainer(strategy="ddp_find_unused_parameters_true")``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from leyden.errors import ConfigurationError
from leyden.strategies import deepspeed
from leyden.strategies.ddp import DDPStrategy
from leyden.strategies.distributed import Distributed


def _ddp(**options: Any) -> Callable[[], Distributed]:
    return lambda: DDPStrategy(**options)


def _model_parallel() -> Distributed:
    from leyden.strategies.model_parallel import ModelParallelStrategy

    return ModelParallelStrategy()


def _fsdp(**options: Any) -> Callable[[], Distributed]:
    def make() -> Distributed:
        from leyden.strategies.fsdp import FSDPStrategy

        return FSDPStrategy(**options)

    return make


STRATEGIES: dict[str, Callable[[], Distributed]] = {
    **dict.fromkeys(("ddp", "ddp_spawn", "ddp_fork", "ddp_notebook"), _ddp()),
    **dict.fromkeys(("fsdp", "fsdp2"), _fsdp()),
    "fsdp_cpu_offload": _fsdp(cpu_offload=True),
    "model_parallel": _model_parallel,
    **{
        f"{name}_find_unused_parameters_{word}": _ddp(find_unused_parameters=word == "true")
        for name in ("ddp", "ddp_spawn", "ddp_fork", "ddp_notebook")
        for word in ("true", "false")
    },
}


def named(name: object) -> Distributed:
    """Return the strategy called *name*.

    Raises:
        ConfigurationError: If there is none, or it is one of DeepSpeed.
    """
    make = STRATEGIES.get(name) if isinstance(name, str) else None
    if isinstance(name, str) and name in deepspeed.NAMES:
        deepspeed.refuse(name)
    if make is None:
        known = ["auto", "single_device", *STRATEGIES]
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
        raise ConfigurationError(f"Trainer(strategy={name!r}): expected a name or a Strategy. {hint}")
    return make()
