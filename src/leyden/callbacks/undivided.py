"""What a callback needs that copies a module: the whole of it, on every rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leyden.errors import ConfigurationError

if TYPE_CHECKING:
    from leyden.callback import Callback
    from leyden.strategy import Strategy


def check_undivided(callback: Callback, strategy: Strategy) -> None:
    """Refuse to copy a module of which each rank has but a part.

    Raises:
        ConfigurationError: If the strategy divides it.
    """
    if strategy.divides:
        name = type(callback).__name__
        raise ConfigurationError(
            f"{name} keeps a copy of the whole module, but {type(strategy).__name__} divides it among ranks. Train "
            f"with strategy='ddp', or leave {name} out."
        )
