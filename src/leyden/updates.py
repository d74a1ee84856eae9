"""Update and clear: what a torch optimizer does, without what torch does around it.

Torch enters each ``step`` and ``zero_grad`` into its profile and looks for hooks, profile or
not. For a small model that takes as long as the forward pass of a layer. Here it is left out
where nobody could tell: no profile is being made, there are no hooks, and the methods are
torch's own.

Torch also imports its compiler when the first optimizer is made, to keep it out of a few methods. That takes
nearly as long as importing torch, in each rank of each run. It is left out as long as nothing else imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch._compile import _disable_dynamo
from torch.autograd import profiler
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer


def _nothing(optimizer: Optimizer) -> None:
    """Be something to wrap."""


_WRAPPER = Optimizer.profile_hook_step(_nothing).__code__
_GRAD_WRAPPER = torch_optimizer._use_grad_for_differentiable(_nothing).__code__
_COMPILER = "torch._dynamo"
_KEPT_OUT = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")  # methods that it is not to look into
_MARK = "__dynamo_disable"  # by which torch finds what it is to call in their place


def step(optimizer: Optimizer, **kwargs: Any) -> Any:
    """Do what ``optimizer.step(**kwargs)`` does."""
    method: Any = type(optimizer).step
    own = vars(optimizer).get("step")
    if own is not None and hasattr(own, "_wrapped_by_lr_sched") and own.__wrapped__ is method:
        optimizer._opt_called = True  # type: ignore[attr-defined]  # all that a scheduler's wrapper is there for
        own = None
    wrapped = own is None and getattr(method, "__code__", None) is _WRAPPER
    if not wrapped or profiler._is_profiler_enabled or _hooked(optimizer):
        return optimizer.step(**kwargs)
    update = method.__wrapped__
    if _COMPILER in sys.modules or getattr(update, "__code__", None) is not _GRAD_WRAPPER:
        return update(optimizer, **kwargs)
    with torch.set_grad_enabled(optimizer.defaults["differentiable"]):
        return update.__wrapped__(optimizer, **kwargs)


def clear(optimizer: Optimizer) -> None:
    """Do what ``optimizer.zero_grad()`` does."""
    own = type(optimizer).zero_grad is not Optimizer.zero_grad or "zero_grad" in vars(optimizer)
    if own or profiler._is_profiler_enabled:
        optimizer.zero_grad()
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


class Counted:
    """A hook that counts the steps that others make; the engine, which makes its own with `step`, counts those.

    Args:
        count: Called after each step.
    """

    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count

    def __call__(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Count one step."""
        self._count()


def is_counted(optimizer: Optimizer) -> bool:
    """Whether somebody counts the steps of *optimizer* already."""
    return any(isinstance(hook, Counted) for hook in optimizer._optimizer_step_post_hooks.values())


def _hooked(optimizer: Optimizer) -> bool:
    after = optimizer._optimizer_step_post_hooks
    return bool(
        optimizer._optimizer_step_pre_hooks
        or (after and not (len(after) == 1 and is_counted(optimizer)))
        or torch_optimizer._global_optimizer_pre_hooks
        or torch_optimizer._global_optimizer_post_hooks
    )


def without_compiler() -> None:
    """Let optimizers be made, saved and loaded without torch's compiler, until something else imports it."""
    if _COMPILER in sys.modules:
        return
    for name in _KEPT_OUT:
        plain = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if plain is not None and not hasattr(plain, _MARK):
            setattr(plain, _MARK, partial(_unmarked, plain))


def _unmarked(plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call *plain*; once the compiler is there, keep it out as torch does."""
    if _COMPILER not in sys.modules:
        return plain(*args, **kwargs)
    vars(plain).pop(_MARK, None)
    return _disable_dynamo(plain)(*args, **kwargs)
