"""Update and clear: what a torch optimizer does, without what torch does around it.

Torch enters each ``step`` and ``zero_grad`` into its profile and looks for hooks, profile or
not. For a small model that takes as long as the forward pass of a layer. Here it is left out
where nobody could tell: no profile is being made, there are no hooks, and the methods are
torch's own.
"""

from __future__ import annotations

from typing import Any

from torch.autograd import profiler
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer


def _nothing(optimizer: Optimizer) -> None:
    """Be something to wrap."""


_WRAPPER = Optimizer.profile_hook_step(_nothing).__code__


def step(optimizer: Optimizer, **kwargs: Any) -> Any:
    """Do what ``optimizer.step(**kwargs)`` does."""
    method: Any = type(optimizer).step
    wrapped = getattr(method, "__code__", None) is _WRAPPER and "step" not in vars(optimizer)
    if not wrapped or profiler._is_profiler_enabled or _hooked(optimizer):
        return optimizer.step(**kwargs)
    return method.__wrapped__(optimizer, **kwargs)


def clear(optimizer: Optimizer) -> None:
    """Do what ``optimizer.zero_grad()`` does."""
    own = type(optimizer).zero_grad is not Optimizer.zero_grad or "zero_grad" in vars(optimizer)
    if own or profiler._is_profiler_enabled:
        optimizer.zero_grad()
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def _hooked(optimizer: Optimizer) -> bool:
    return bool(
        optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or torch_optimizer._global_optimizer_pre_hooks
        or torch_optimizer._global_optimizer_post_hooks
    )
