"""Strategies by the names people know: ``Trainer(strategy="ddp_find_unused_parameters_true")``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from leyden.errors import ConfigurationError
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


def _deepspeed(**options: Any) -> Callable[[], Distributed]:
    def make() -> Distributed:
        from leyden.strategies.deepspeed import DeepSpeedStrategy

        return DeepSpeedStrategy(**options)

    return make


def _on_nvme() -> Distributed:
    raise ConfigurationError(
        "Trainer(strategy='deepspeed_stage_3_offload_nvme') keeps parameters on NVMe, which is not supported. Use "
        "'deepspeed_stage_3_offload', which keeps them in the computer's memory."
    )


STRATEGIES: dict[str, Callable[[], Distributed]] = {
    **dict.fromkeys(("ddp", "ddp_spawn", "ddp_fork", "ddp_notebook"), _ddp()),
    **dict.fromkeys(("fsdp", "fsdp2"), _fsdp()),
    "fsdp_cpu_offload": _fsdp(cpu_offload=True),
    "model_parallel": _model_parallel,
    "deepspeed": _deepspeed(),
    **{f"deepspeed_stage_{stage}": _deepspeed(stage=stage) for stage in (1, 2, 3)},
    **{f"deepspeed_stage_{stage}_offload": _deepspeed(stage=stage, offload_optimizer=True) for stage in (1, 2)},
    "deepspeed_stage_3_offload": _deepspeed(stage=3, offload_optimizer=True, offload_parameters=True),
    "deepspeed_stage_3_offload_nvme": _on_nvme,
    **{
        f"{name}_find_unused_parameters_{word}": _ddp(find_unused_parameters=word == "true")
        for name in ("ddp", "ddp_spawn", "ddp_fork", "ddp_notebook")
        for word in ("true", "false")
    },
}


def named(name: object) -> Distributed:
    """Return the strategy called *name*.

    Raises:
        ConfigurationError: If there is none, or it needs what is not installed.
    """
    make = STRATEGIES.get(name) if isinstance(name, str) else None
    if make is None:
        known = ["auto", "single_device", *STRATEGIES]
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
        raise ConfigurationError(f"Trainer(strategy={name!r}): expected a name or a Strategy. {hint}")
    return make()
