"""Running a step in the place of a module's `forward`: hooks of the module surround whatever a call of it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn


def called(module: nn.Module, action: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what *action* returns, run as a call of *module*: inside of it, `forward` is the module's own again."""
    return called_through(module, module, action, args, kwargs)


def called_through(
    wrapper: Callable[..., Any], module: nn.Module, action: Callable[..., Any], args: Any, kwargs: Any
) -> Any:
    """Likewise, where *wrapper* is what calls *module*."""
    slots = vars(module)
    own = slots.get("forward")

    def once(*given: Any, **named: Any) -> Any:
        back()
        return action(*given, **named)

    def back() -> None:
        slots.pop("forward", None)
        if own is not None:
            slots["forward"] = own

    slots["forward"] = once
    try:
        return wrapper(*args, **kwargs)
    finally:
        back()
