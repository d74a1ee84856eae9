"""What somebody can see of something that was done: results to the last bit and stride, or the exception."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch


def seen(value: Any) -> Any:
    """Describe *value* so that two descriptions are equal only if nobody can tell the values apart."""
    if isinstance(value, torch.Tensor):
        bits = value.detach().resolve_conj().resolve_neg().clone()
        layout = (value.layout, value.stride() if value.layout is torch.strided and value.numel() else None)
        content = bits.to_dense() if value.layout is not torch.strided else bits
        raw = content.contiguous().view(-1).view(torch.uint8).tolist() if content.numel() else []
        return (type(value).__name__, str(value.dtype), tuple(value.shape), layout, raw, value.requires_grad)
    if isinstance(value, np.ndarray):
        return ("ndarray", str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, dict):
        return (type(value).__name__, [(key, seen(item)) for key, item in value.items()])
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [seen(item) for item in value])
    return (type(value).__name__, value)


def of(items: Callable[[], Iterable[Any]], most: int = 200) -> tuple[list[Any], Any]:
    """Return what *items* yields and how it ends: the exception's type and message, or None."""
    found: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about the inputs
        try:
            for item in items():
                found.append(seen(item))
                if len(found) >= most:
                    break
        except Exception as error:  # whatever it is: the plain way's is the same
            return found, (type(error).__name__, str(error))
    return found, None
