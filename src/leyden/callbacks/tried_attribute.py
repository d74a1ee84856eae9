"""An attribute that a search sets: of the module, its hyper-parameters, or the data module and its own."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
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
    return _get(holders(trainer, name)[-1], name)


def write(trainer: Trainer, name: str, value: Any) -> None:
    """Set the attribute wherever it is."""
    for holder in holders(trainer, name):
        _set(holder, name, value)


@contextmanager
def put_back_on_failure(trainer: Trainer, name: str) -> Iterator[None]:
    """Give every holder of the attribute its own value back if the block is left by an exception."""
    before = [(holder, _get(holder, name)) for holder in holders(trainer, name)]
    try:
        yield
    except BaseException:
        for holder, value in before:
            _set(holder, name, value)
        raise


def _get(holder: Any, name: str) -> Any:
    return holder[name] if isinstance(holder, MutableMapping) else getattr(holder, name)


def _set(holder: Any, name: str, value: Any) -> None:
    if isinstance(holder, MutableMapping):
        holder[name] = value
    else:
        setattr(holder, name, value)
