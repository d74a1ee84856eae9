"""Batches are trees: tensors inside dicts, lists, tuples, named tuples and dataclasses.

Three operations are all the engine needs: map a function over the tensors, move them to
a device, and find out how many samples there are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def map_tensors(tree: Any, function: Callable[[Tensor], Any]) -> Any:
    """Apply *function* to every tensor of *tree* and rebuild the containers around it.

    Leaves that are no tensors are passed through unchanged.
    """
    if isinstance(tree, Tensor):
        return function(tree)
    return map_children(tree, lambda child: map_tensors(child, function))


def _rebuild_mapping(tree: Mapping[Any, Any], mapped: dict[Any, Any]) -> Any:
    """Return *mapped* as the type of *tree* (an OrderedDict, a defaultdict, a BatchEncoding ...)."""
    default = getattr(tree, "default_factory", None)
    return type(tree)(default, mapped) if default is not None else type(tree)(mapped)  # type: ignore[call-arg]


def move(batch: Any, device: torch.device) -> Any:
    """Move *batch* to *device*; on the same device tensors are returned as they are.

    Copies from pinned memory to an accelerator are asynchronous. Objects with a ``to``
    method of their own (graph batches, token batches) are moved by it.
    """
    if type(batch) is list or type(batch) is tuple:  # the usual case, kept flat
        return type(batch)([move(item, device) for item in batch])
    if isinstance(batch, Tensor):
        return batch if batch.device == device else batch.to(device, non_blocking=device.type != "cpu")
    if hasattr(batch, "to") and callable(batch.to) and not isinstance(batch, type):
        return batch.to(device)
    return map_children(batch, lambda item: move(item, device))


def map_children(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Apply *function* to the direct children of one container; leaves are returned as they are."""
    if isinstance(tree, Mapping):
        mapped = {key: function(value) for key, value in tree.items()}
        return mapped if type(tree) is dict else _rebuild_mapping(tree, mapped)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(function(value) for value in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)(function(value) for value in tree)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = [field.name for field in dataclasses.fields(tree) if field.init]
        return dataclasses.replace(tree, **{name: function(getattr(tree, name)) for name in names})
    return tree


def tensors(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors of *tree*, depth first, in the order they stand."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from tensors(value)
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for field in dataclasses.fields(tree):
            yield from tensors(getattr(tree, field.name))


def batch_size(batch: Any) -> int | None:
    """Number of samples in *batch*: the first dimension of its first tensor, 1 for a scalar.

    Returns None where there is no tensor: neither the length of a text nor that of a list tells.
    """
    first = next(tensors(batch), None)
    return None if first is None else first.shape[0] if first.ndim else 1


def batch_sizes(batch: Any) -> list[int]:
    """Return the first dimension of each tensor in *batch*, 1 for a scalar; they agree in most batches."""
    sizes = []
    for item in batch if type(batch) is list or type(batch) is tuple else (batch,):  # the usual case, kept flat
        if isinstance(item, Tensor):
            sizes.append(item.shape[0] if item.ndim else 1)
        else:
            sizes.extend(tensor.shape[0] if tensor.ndim else 1 for tensor in tensors(item))
    return sizes
