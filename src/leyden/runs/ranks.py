"""Who took part: rank, host and device of every process of a run."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from leyden.runs.record.liveness import this_host
from leyden.trainer import Trainer


def ranks(trainer: Trainer) -> list[dict[str, Any]]:
    """Return an entry for every rank, in their order; with several, all of them have to call this."""
    own = {
        "rank": trainer.global_rank,
        "host": this_host(),
        "device": str(trainer.strategy.root_device),
        "name": _device_name(trainer.strategy.root_device),
    }
    if trainer.world_size == 1 or not (dist.is_available() and dist.is_initialized()):
        return [own]
    found: list[Any] = [None] * trainer.world_size
    dist.all_gather_object(found, own)
    return found


def _device_name(device: torch.device) -> str | None:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else None
