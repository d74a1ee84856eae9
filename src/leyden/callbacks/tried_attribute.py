"""An attribute that a search sets: of the module, its hyper-parameters, or the data module and its own."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leyden.trainer import Trainer


def holders(trainer: Trainer, name: str) -> list[Any]:
    """Return everything that has the attribute, the one that counts last."""
    found: list[Any] = []
    for owner in (trainer.lightning_module, trainer.datamodule):
        if owner is None:
            continue
        if getattr(owner, name, None) is not None:
            found.append(owner)
        if name in owner.hparams:
            found.append(owner.hparams)
    return found


def read(trainer: Trainer, name: str) -> Any:
    """Return the value that counts."""
    holder = holders(trainer, name)[-1]
    return holder[name] if isinstance(holder, MutableMapping) else getattr(holder, name)


def write(trainer: Trainer, name: str, value: Any) -> None:
    """Set the attribute wherever it is."""
    for holder in holders(trainer, name):
        if isinstance(holder, MutableMapping):
            holder[name] = value
        else:
            setattr(holder, name, value)
