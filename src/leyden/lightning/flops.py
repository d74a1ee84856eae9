"""Counting the operations of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


def measure_flops(
    model: nn.Module, forward_fn: Callable[[], Any], loss_fn: Callable[[Any], Tensor] | None = None
) -> int:
    """Return the floating-point operations of *forward_fn*, which runs *model*.

    Args:
        model: The model; on the device ``meta`` nothing is computed.
        forward_fn: Runs it on a batch.
        loss_fn: Makes a loss of what that returned; the backward pass then counts, too.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        output = forward_fn()
        if loss_fn is not None:
            loss_fn(output).backward()  # type: ignore[no-untyped-call]
    return counter.get_total_flops()
