"""A callback put together from functions, for the few lines that need no class."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from leyden.callback import Callback
from leyden.errors import ConfigurationError

HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_") or name in ("setup", "teardown"))


class LambdaCallback(Callback):
    """Call each given function as the hook it is named after.

    Args:
        hooks: Functions by the name of a hook of `leyden.Callback`; each is called with the
            arguments of that hook, without ``self``. None leaves a hook out.

    Raises:
        ConfigurationError: If a name is not that of a hook, or a value cannot be called.

    Example:
        >>> announce = LambdaCallback(on_train_start=lambda trainer, module: print("off we go"))
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        for name, function in hooks.items():
            if name not in HOOKS:
                close = difflib.get_close_matches(name, HOOKS, n=1)
                hint = f"Did you mean {close[0]!r}?" if close else f"Hooks are: {', '.join(HOOKS)}."
                raise ConfigurationError(
                    f"LambdaCallback({name}=...) is not a hook, so it would never be called. {hint}"
                )
            if function is None:
                continue
            if not callable(function):
                raise ConfigurationError(
                    f"LambdaCallback({name}={function!r:.80}) was given a {type(function).__name__}. "
                    f"Expected a function with the arguments of Callback.{name}, without self."
                )
            setattr(self, name, function)
