"""What only rank 0 does or says: `lightning_utilities`, told which rank this is.

That package is no part of Lightning but a dependency of torchmetrics; others import it
directly, and expect its ``rank_zero_only.rank`` to be set.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from lightning_utilities.core.rank_zero import (
    WarningCache,
    rank_prefixed_message,
    rank_zero_debug,
    rank_zero_deprecation,
    rank_zero_info,
    rank_zero_only,
    rank_zero_warn,
)

from leyden.loggers.dummy import DummyExperiment
from leyden.warnings import rank

__all__ = [
    "LightningDeprecationWarning",
    "WarningCache",
    "rank_prefixed_message",
    "rank_zero_debug",
    "rank_zero_deprecation",
    "rank_zero_experiment",
    "rank_zero_info",
    "rank_zero_only",
    "rank_zero_warn",
    "warning_cache",
]

rank_zero_only.rank = getattr(rank_zero_only, "rank", rank())  # type: ignore[attr-defined]

warning_cache = WarningCache()


class LightningDeprecationWarning(DeprecationWarning):
    """Something that will go."""


def rank_zero_experiment(experiment: Callable[..., Any]) -> Callable[..., Any]:
    """Let a logger's property *experiment* be made on rank 0 only; the others get one that does nothing."""

    @wraps(experiment)
    def on_rank_zero(self: Any) -> Any:
        return experiment(self) if rank_zero_only.rank == 0 else DummyExperiment()  # type: ignore[attr-defined]

    return on_rank_zero
