"""Tensors of which every rank holds a part: torch's `DTensor` and parameters of DeepSpeed's, seen from outside.

    whole           all parts, put together on every rank
    part            what this rank holds
    divided_like    a whole tensor, divided as another one is
    clip_norm       gradients, by their norm over all ranks; clip_value, by each element

Where nobody has imported DTensors there are none, so that asking costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


def is_divided(tensor: Any) -> bool:
    """Whether this rank holds but a part of *tensor*."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def in_zero(tensor: Any) -> bool:
    """Whether *tensor* is a parameter that DeepSpeed has divided (ZeRO, stage 3): no DTensor, and empty to look at."""
    return "deepspeed" in sys.modules and "ds_tensor" in vars(tensor)


def size(tensor: Tensor) -> int:
    """Return how many elements all parts of *tensor* have."""
    return int(vars(tensor)["ds_numel"]) if in_zero(tensor) else tensor.numel()


def _gathered(parameter: Tensor) -> Tensor:
    from deepspeed.runtime.zero import GatheredParameters

    with GatheredParameters([parameter]):
        return parameter.detach().clone()


def whole(tensor: Tensor) -> Tensor:
    """Put all parts of *tensor* together; every rank that holds one calls this, in the same order.

    Returns:
        A plain tensor, on the device of the ranks; one that is not divided as it is.
    """
    if in_zero(tensor):
        return _gathered(tensor)
    if not is_divided(tensor):
        return tensor
    divided: Any = tensor
    kind = divided.device_mesh.device_type
    if divided.device.type != kind:  # parked on the CPU
        divided = divided.to(kind)
    found: Tensor = divided.full_tensor()
    return found


def part(tensor: Tensor) -> Tensor:
    """Return what this rank holds of *tensor*: of one that is not divided everything."""
    divided: Any = tensor
    found: Tensor = divided.to_local() if is_divided(tensor) else tensor
    return found


def divided_like(value: Any, other: Any) -> Any:
    """Return *value* divided as *other* is, without asking another rank: all have the whole of it.

    Args:
        value: What is no tensor, and a number among the states of an optimizer, is returned as it is.
        other: A parameter. Where *value* has another shape, every rank keeps the whole of it.
    """
    if not is_divided(other) or not isinstance(value, Tensor) or is_divided(value) or not value.ndim:
        return value
    from torch.distributed.tensor import Replicate, distribute_tensor

    mesh = other.device_mesh
    placements = other.placements if value.shape == other.shape else [Replicate()] * mesh.ndim
    divided = distribute_tensor(value.to(mesh.device_type), mesh, placements, src_data_rank=None)
    return divided.to(other.device)


def clip_norm(parameters: Iterable[Tensor], largest: float) -> None:
    """Scale gradients in place so that their total 2-norm, over the parts of all ranks, is at most *largest*.

    No rank waits for its accelerator.
    """
    groups = _alike([_settled(each) for each in parameters if each.grad is not None])
    squares = []
    for parts, mesh, dimensions in groups:
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(parts, 2.0)).float(), 2.0)
        squares.append(_summed(norm**2, mesh, dimensions))
    if not squares:
        return
    total = torch.stack([square.to(squares[0].device) for square in squares]).sum().sqrt()
    factor = torch.clamp(largest / (total + 1e-6), max=1.0)
    for parts, _, _ in groups:
        torch._foreach_mul_(parts, factor.to(parts[0].device))


def clip_value(parameters: Iterable[Tensor], largest: float) -> None:
    """Bring every element of the gradients between -*largest* and *largest*, in place."""
    for gradient in [_settled(each) for each in parameters if each.grad is not None]:
        part(gradient).clamp_(-largest, largest)


def _settled(parameter: Tensor) -> Tensor:
    """Return the gradient of *parameter*; one of which every rank holds a summand is added up first."""
    gradient: Any = parameter.grad
    if is_divided(gradient) and any(placement.is_partial() for placement in gradient.placements):
        parameter.grad = gradient = gradient.redistribute(placements=parameter.placements)  # type: ignore[attr-defined]
    found: Tensor = gradient
    return found


def _alike(gradients: Sequence[Tensor]) -> list[tuple[list[Tensor], Any, tuple[int, ...]]]:
    """Sort the parts of gradients by device, type, and the dimensions of the mesh over which they are divided."""
    found: dict[Any, tuple[list[Tensor], Any, tuple[int, ...]]] = {}
    for gradient in gradients:
        divided: Any = gradient
        mesh: Any = None
        dimensions: tuple[int, ...] = ()
        if is_divided(gradient):
            mesh = divided.device_mesh
            dimensions = tuple(at for at, each in enumerate(divided.placements) if not each.is_replicate())
        own = part(gradient)
        found.setdefault((own.device, own.dtype, mesh, dimensions), ([], mesh, dimensions))[0].append(own)
    return list(found.values())


def _summed(square: Tensor, mesh: Any, dimensions: tuple[int, ...]) -> Tensor:
    """Add up what the ranks along *dimensions* of *mesh* have found."""
    for dimension in dimensions:
        square = square.to(mesh.device_type)
        torch.distributed.all_reduce(square, group=mesh.get_group(dimension))
    return square
