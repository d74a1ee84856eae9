"""Moving and detaching batches, with Lightning's signatures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leyden.tree import batch_size, map_tensors, move


def move_data_to_device(batch: Any, device: torch.device | str | int) -> Any:
    """Move every tensor in *batch*, and whatever has a ``to`` of its own, to *device*."""
    return move(batch, torch.device(device))


def extract_batch_size(batch: Any) -> int:
    """Return the first dimension of the first tensor in *batch*, 1 for a scalar."""
    found = batch_size(batch)
    if found is None:
        raise ValueError(f"there is no tensor in this batch of type {type(batch).__name__} to tell its size by.")
    return found


def convert_tensors_to_scalars(data: Any) -> Any:
    """Turn every tensor of one element in *data* into a number."""

    def number(tensor: Tensor) -> float | int | bool:
        if tensor.numel() != 1:
            raise ValueError(f"a tensor of shape {tuple(tensor.shape)} is not a number: expected one element.")
        return tensor.item()

    return map_tensors(data, number)


def recursive_detach(in_dict: Any, to_cpu: bool = False) -> Any:
    """Detach every tensor in *in_dict*, and bring it to the CPU if *to_cpu* says so."""
    return map_tensors(in_dict, lambda tensor: tensor.detach().cpu() if to_cpu else tensor.detach())
