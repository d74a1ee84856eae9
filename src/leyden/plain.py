"""Hyper-parameters in files that can be read without executing what is in them.

A file holds plain types and tensors. What is of another kind, a loss or a backbone among the
hyper-parameters, say, is pickled by itself, and the file holds the bytes, in a `Sealed`:

    torch.load(path, weights_only=True)     gives `UNREAD` in its place; the bytes are not looked into
    torch.load(path, weights_only=False)    gives the object, whoever calls it: the file is trusted

Torch's restricted unpickler calls nothing but functions it has been told of. Under the name
of `unseal` it is told of one that does nothing.
"""

from __future__ import annotations

import io
import os
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leyden import secrets
from leyden.warnings import warn_once

_LEFT_OUT: Any = object()


class Sealed:
    """An object as it is written to a file: pickled, and not to be unpickled without trust.

    Args:
        value: The object; raises what pickling it raises.
    """

    def __init__(self, value: Any) -> None:
        buffer = io.BytesIO()
        torch.save(value, buffer)
        self.content = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)

    def __reduce__(self) -> tuple[Any, ...]:
        return unseal, (self.content,)


class Unread:
    """Stands in the place of what was not unpickled."""

    def __repr__(self) -> str:
        return "<not read: that needs weights_only=False>"


UNREAD = Unread()


def unseal(content: Tensor) -> Any:
    """Unpickle what a `Sealed` holds; this may execute code."""
    return torch.load(io.BytesIO(content.cpu().numpy().tobytes()), map_location="cpu", weights_only=False)


def _leave_sealed(content: Tensor) -> Unread:
    return UNREAD


torch.serialization.add_safe_globals([(_leave_sealed, f"{unseal.__module__}.{unseal.__qualname__}")])


def plain(value: Any, where: str) -> Any:
    """Return *value* made of plain types and tensors only; what cannot be is left out with one warning."""
    converted = _converted(value, where, _leave_out)
    return {} if converted is _LEFT_OUT else converted


def storable(value: Any, where: str) -> Any:
    """Return *value* made of plain types and tensors; what cannot be is sealed, with one warning."""
    return _converted(value, where, _seal)


def without_secrets(state: Any, where: str) -> Any:
    """Return the *state* of a callback, say, without secrets, each left out with a warning; mostly it is as it was."""
    return _cleaned(state, where) if secrets.any_in(state) else state


def _cleaned(state: Any, where: str) -> Any:
    if isinstance(state, Mapping):
        kept = {key: item for key, item in state.items() if not _keeps_secret(key, item, where)}
        return {key: _cleaned(item, f"{where}.{key}") for key, item in kept.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_cleaned(item, where) for item in state) if type(state) in (list, tuple) else state
    return secrets.MASK if isinstance(state, str) and secrets.holds_secret(state) else state


def readable(value: Any) -> Any:
    """Return *value* without what was not unpickled."""
    if isinstance(value, dict) and any(_holds_unread(item) for item in value.values()):
        return {key: readable(item) for key, item in value.items() if item is not UNREAD}
    if isinstance(value, (list, tuple)) and _holds_unread(value):
        return type(value)(readable(item) for item in value if item is not UNREAD)
    return value


def _holds_unread(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_unread, value.values()))
    return value is UNREAD or (isinstance(value, (list, tuple)) and any(map(_holds_unread, value)))


def _leave_out(value: Any, where: str) -> Any:
    warn_once(
        f"{where} is a {type(value).__name__}, which is no plain type: loggers do not get it, and a checkpoint keeps "
        "it as a pickle, which load_from_checkpoint reads under weights_only=False only. Leave it out yourself: "
        "save_hyperparameters(ignore=[...])."
    )
    return _LEFT_OUT


def _seal(value: Any, where: str) -> Any:
    _leave_out(value, where)
    try:
        sealed = Sealed(value)
        if _shows_secret(sealed.content.numpy().tobytes()):
            warn_once(
                f"{where} holds what looks like a secret: it is in no checkpoint. Give it again where it is needed."
            )
            return _LEFT_OUT
        return sealed
    except Exception as error:  # an object can fail to be pickled in its own way
        warn_once(f"{where} is a {type(value).__name__}, which cannot be pickled: it is in no checkpoint ({error}).")
        return _LEFT_OUT


def _converted(value: Any, where: str, otherwise: Callable[[Any, str], Any]) -> Any:
    if value is None or isinstance(
        value, (bool, int, float, str, bytes, Tensor, torch.dtype, torch.device, torch.Size)
    ):
        return (
            value
            if type(value) in (bool, int, float, str, bytes) or not isinstance(value, (int, float, str))
            else _base(value)
        )
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        items = {
            _key(key): _converted(item, f"{where}.{key}", otherwise)
            for key, item in value.items()
            if not _keeps_secret(key, item, where)
        }
        return {key: item for key, item in items.items() if item is not _LEFT_OUT}
    if isinstance(value, (list, tuple, set, frozenset)) or type(value).__name__ == "ListConfig":
        listed = [item for each in value if (item := _converted(each, where, otherwise)) is not _LEFT_OUT]
        return tuple(listed) if isinstance(value, tuple) else listed
    return otherwise(value, where)


def _keeps_secret(key: Any, value: Any, where: str) -> bool:
    listed = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    if not any(secrets.is_secret(str(key), each) for each in listed) and not secrets.holds_secret(str(key)):
        return False
    warn_once(
        f"{where}.{key} looks like a secret: loggers and checkpoints do not get it. Give it again where it is needed, "
        f"as in load_from_checkpoint(path, {key}=...), or leave it out yourself: save_hyperparameters(ignore=[...])."
    )
    return True


def _shows_secret(content: bytes) -> bool:
    """Tell whether a secret stands in *content*, which `torch.save` has written.

    Texts are looked at as they follow one another in the pickle, the name of an attribute before its value.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        texts = ["", *(text for _, text, _ in pickletools.genops(archive.read(pickled)) if isinstance(text, str))]
    return any(secrets.is_secret(name, text) for name, text in pairwise(texts))


def _key(key: Any) -> Any:
    """Keep numbers as keys; a class index must not come back as a string."""
    return key if type(key) in (int, float, bool) else str(key)


def _base(value: Any) -> Any:
    """Strip a subclass of a plain type (a string enum, a NumPy float) down to the plain type."""
    return next(kind(value) for kind in (bool, int, float, str) if isinstance(value, kind))
