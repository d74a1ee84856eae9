"""Hyper-parameters on their way to a logger: plain data, whatever they were before.

Numbers, text, lists and dicts stay what they are. Classes and functions become their
dotted name, because their repr contains an address that differs from run to run; any
other live object becomes ``str(object)``, and what looks like a secret is covered.
"""

from __future__ import annotations

import dataclasses
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
from torch import Tensor

from leyden import atomic, secrets


def plain_params(params: Mapping[str, Any] | Namespace | None) -> dict[str, Any]:
    """Return *params* as a dict of plain data with string keys; empty for None."""
    plain: dict[str, Any] = {} if params is None else secrets.masked_values(plain_value(params))
    return plain


def plain_value(value: Any) -> Any:
    """Return *value* made of None, bool, int, float, str, list and dict only."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Namespace):
        value = vars(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, (Sequence, AbstractSet)) and not isinstance(value, (str, bytes)):
        return [plain_value(item) for item in value]
    return _plain_leaf(value)


def _plain_leaf(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and value.ndim == 0:
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        return f"{value.__module__}.{value.__qualname__}"
    for kind in (int, float, str):  # subclasses, such as a str with extra methods
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def flat_params(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Spread nested dicts, and lists of dicts, over keys joined by ``/``; other values stay whole."""
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, dict):
            flat |= flat_params(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def write_params(path: str, plain: Mapping[str, Any]) -> None:
    """Write ``hparams.yaml``: plain YAML that any safe loader reads."""
    import yaml

    atomic.write_text(path, yaml.safe_dump(dict(plain), sort_keys=False, allow_unicode=True))
