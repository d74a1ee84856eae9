"""One answer for all ranks to a question each of them answered for itself.

Ranks that disagree about whether to save or to stop end up in different collectives, and
hang. On a single rank nothing is sent and no tensor is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from leyden.strategy import Strategy


def all_ranks(strategy: Strategy, decision: bool) -> bool:
    """Whether *decision* is true on every rank."""
    return _reduce(strategy, decision, "min")


def any_rank(strategy: Strategy, decision: bool) -> bool:
    """Whether *decision* is true on at least one rank."""
    return _reduce(strategy, decision, "max")


def _reduce(strategy: Strategy, decision: bool, op: str) -> bool:
    """Reduce a truth value over all ranks."""
    if strategy.world_size == 1:
        return decision
    return bool(strategy.reduce(torch.tensor(float(decision), device=strategy.root_device), op))
