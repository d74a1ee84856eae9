"""From what the caller logs to a row of plain Python numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from torch import Tensor

from leyden import secrets
from leyden.errors import ConfigurationError

JOIN = "-"
"""What stands between a logger's prefix and a metric's name, as in Lightning."""


def prefixed(metrics: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return *metrics* with ``<prefix>-`` before each name, or as they are for an empty prefix."""
    return {_name(prefix, name): value for name, value in metrics.items()}


@lru_cache(maxsize=4096)
def _name(prefix: str, name: str) -> str:
    """Return the name that is written: it may hold what somebody has looked up, and no secret."""
    return secrets.masked(f"{prefix}{JOIN}{name}" if prefix else name)


def number(name: str, value: Any) -> int | float:
    """Return *value* as an exact int or float: nothing is rounded on the way to the file.

    Args:
        name: Name of the metric, for the message.
        value: A number, or a tensor or array with one element.

    Raises:
        ConfigurationError: If *value* is none of these.
    """
    if type(value) is float or type(value) is int:
        return value
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and np.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, (bool, int)):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise ConfigurationError(
        f"metric {name!r} is no number but a {type(value).__name__}: {value!r:.80}. It was passed to log_metrics. "
        "A row holds numbers, and tensors or arrays with one element. Reduce it first (mean, max ...), or log it "
        "through logger.experiment."
    )
