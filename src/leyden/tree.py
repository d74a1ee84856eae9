"""Batches are trees: tensors inside dicts, lists, tuples, named tuples, dataclasses, and whatever derives from these.

Three operations are all the engine needs: map a function over the tensors, move them to
a device, and find out how many samples there are.

A container is rebuilt as what it is, without its constructor: that has checked, scaled or
counted what it was given once, and may want other arguments than what it has become. So a
new object of the very type gets what the old one holds, its items and its attributes, each
of them mapped once. The batch itself is left as it was.
"""

from __future__ import annotations

import copy
import dataclasses
from array import array
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import MemberDescriptorType
from typing import Any

import torch
from torch import Tensor

_LEAVES = (str, bytes, bytearray, memoryview, range, array)  # sequences that hold no tensors
_CONSTANTS = (bool, int, float, complex, str, bytes, type(None))


def map_tensors(tree: Any, function: Callable[[Tensor], Any]) -> Any:
    """Apply *function* to every tensor of *tree* and rebuild the containers around it.

    Leaves that are no tensors are passed through unchanged.
    """
    if isinstance(tree, Tensor):
        return function(tree)
    return map_children(tree, lambda child: map_tensors(child, function))


def move(batch: Any, device: torch.device) -> Any:
    """Move *batch* to *device*; on the same device tensors are returned as they are.

    Copies from pinned memory to an accelerator are asynchronous. Objects with a ``to``
    method of their own (graph batches, token batches) are moved by it.
    """
    if type(batch) is list or type(batch) is tuple:  # the usual case, kept flat
        return type(batch)([move(item, device) for item in batch])
    if isinstance(batch, Tensor):
        return batch if batch.device == device else batch.to(device, non_blocking=device.type != "cpu")
    if moves_itself(batch):
        moved = batch.to(device)
        return batch if moved is None else moved  # one that moves in place may return nothing
    return map_children(batch, lambda item: move(item, device))


def moves_itself(item: Any) -> bool:
    """Whether *item*, which is no tensor, has a ``to`` method of its own; an item of that name is none."""
    owner = type(item) if _is_container(item) else item
    return callable(getattr(owner, "to", None)) and not isinstance(item, type)


def map_children(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Apply *function* to the direct children of one container; leaves are returned as they are."""
    kind = type(tree)
    if kind is dict:
        return {key: function(value) for key, value in tree.items()}
    if kind is list or kind is tuple:
        return kind([function(item) for item in tree])
    if not _is_container(tree):
        return tree
    known: dict[int, Any] = {}

    def noted(item: Any) -> Any:
        known[id(item)] = found = function(item)
        return found

    made = _with_items(tree, noted)
    _set_attributes(tree, made, lambda value: known[id(value)] if id(value) in known else function(value))
    return made


def tensors(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors of *tree*, depth first, in the order they stand."""
    if isinstance(tree, Tensor):
        yield tree
    else:
        for child in _children(tree):
            yield from tensors(child)


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


def _is_container(tree: Any) -> bool:
    if isinstance(tree, (type, Tensor, *_LEAVES)):
        return False
    return isinstance(tree, (Mapping, Sequence)) or dataclasses.is_dataclass(tree)


def _children(tree: Any) -> Iterable[Any]:
    """Return what a container holds: its items, or the fields of a dataclass; nothing of a leaf."""
    if not _is_container(tree):
        return ()
    if isinstance(tree, Mapping):
        return tree.values()
    if isinstance(tree, Sequence):
        return tree
    return [getattr(tree, field.name, None) for field in dataclasses.fields(tree)]


def _with_items(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Return a new object of the type of *tree* with its items mapped; of a dataclass, the attributes are to come."""
    kind: Any = type(tree)
    made: Any
    if isinstance(tree, dict):
        base = OrderedDict if isinstance(tree, OrderedDict) else dict
        made = base.__new__(kind)
        if isinstance(tree, defaultdict):
            object.__setattr__(made, "default_factory", tree.default_factory)
        for key, value in base.items(tree):
            base.__setitem__(made, key, function(value))
        return made
    if isinstance(tree, list):
        made = list.__new__(kind)
        list.extend(made, [function(item) for item in list.__iter__(tree)])
        return made
    if isinstance(tree, deque):
        made = deque.__new__(kind)
        deque.__init__(made, [function(item) for item in deque.__iter__(tree)], tree.maxlen)
        return made
    if isinstance(tree, tuple):
        return _with_items_of_tuple(kind, [function(item) for item in tuple.__iter__(tree)])
    if isinstance(tree, (Mapping, Sequence)) and not _attributes(tree):  # only its constructor can make one
        items = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        pairs = [(key, function(value)) for key, value in items]
        return kind(dict(pairs) if isinstance(tree, Mapping) else [value for _, value in pairs])
    try:
        return object.__new__(kind)
    except TypeError:  # it derives from an exception, say
        return copy.copy(tree)


def _with_items_of_tuple(kind: Any, items: list[Any]) -> Any:
    try:
        return tuple.__new__(kind, items)
    except TypeError:  # what torch.max(x, 0) returns, say
        return kind(items)


def _set_attributes(tree: Any, made: Any, function: Callable[[Any], Any]) -> None:
    """Give *made* the attributes of *tree*, mapped: those that are no fields as well, for they belong together."""
    if getattr(tree, "__dict__", None) is tree:  # a dict that shows its items as attributes
        object.__setattr__(made, "__dict__", made)
        return
    fields = {field.name for field in dataclasses.fields(tree)} if dataclasses.is_dataclass(tree) else set()
    place, own = getattr(made, "__dict__", {}), getattr(tree, "__dict__", {})
    for name, value in _attributes(tree).items():
        found = value if name not in fields and isinstance(value, _CONSTANTS) else function(value)
        if name in own:
            place[name] = found  # past whatever guards it: a frozen class, a property
        else:
            object.__setattr__(made, name, found)


def _attributes(tree: Any) -> dict[str, Any]:
    """Return what *tree* keeps as attributes of its own, in slots or in its dictionary; not those of its class."""
    found = {}
    for kind in type(tree).__mro__:
        for name, slot in vars(kind).items() if "__slots__" in vars(kind) else ():
            if isinstance(slot, MemberDescriptorType):
                with suppress(AttributeError):  # it has not been set
                    found[name] = slot.__get__(tree, kind)
    return {**found, **getattr(tree, "__dict__", {})}
