"""Reading checkpoints safely, and rebuilding modules from them.

Loading never executes what is in the file: torch's restricted unpickler is used unless
the caller says, with ``weights_only=False``, that the file can be trusted.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from inspect import Parameter, signature
from typing import IO, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from leyden.errors import CheckpointError
from leyden.warnings import warn_once

Module = TypeVar("Module", bound=nn.Module)
_LEFT_OUT: Any = object()


def read(
    path: str | os.PathLike[str] | IO[bytes], map_location: Any = "cpu", weights_only: bool | None = None
) -> dict[str, Any]:
    """Read a checkpoint file.

    Args:
        path: File, or an open binary file.
        map_location: Where tensors go, as in `torch.load`.
        weights_only: False allows arbitrary pickles, which can execute code: only for files
            you trust.

    Raises:
        CheckpointError: If there is no such file, it is damaged, or it is not safe to load.
    """
    name = getattr(path, "name", None) or (os.fspath(path) if isinstance(path, (str, os.PathLike)) else repr(path))
    safe = True if weights_only is None else weights_only
    try:
        found = torch.load(path, map_location=map_location, weights_only=safe)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no checkpoint at {name}. Check the path; relative paths start at {os.getcwd()}."
        ) from error
    except pickle.UnpicklingError as error:
        reason = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()[0]
        raise CheckpointError(
            f"{name} is not safe to load, or damaged: {reason} A checkpoint of plain types and tensors was expected. "
            "If you trust whoever wrote it, pass weights_only=False: that may execute code in the file."
        ) from error
    except (RuntimeError, EOFError, zipfile.BadZipFile, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{name} cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}. "
            "The file is damaged or no checkpoint; take an earlier one."
        ) from error
    if not isinstance(found, dict):
        raise CheckpointError(
            f"{name} holds a {type(found).__name__}, not a checkpoint. Expected a dict written by a Trainer."
        )
    return found


def load_module(
    cls: type[Module],
    path: str | os.PathLike[str] | IO[bytes],
    map_location: Any,
    hparams_file: str | None,
    strict: bool | None,
    weights_only: bool | None,
    overrides: Mapping[str, Any],
) -> Module:
    """Build a module from a checkpoint; see `LightningModule.load_from_checkpoint`."""
    checkpoint = read(path, map_location or "cpu", weights_only)
    saved = dict(checkpoint.get("hyper_parameters", {}))
    if hparams_file is not None:
        import yaml

        with open(hparams_file, encoding="utf-8") as file:
            saved.update(yaml.safe_load(file) or {})
    name = checkpoint.get("hparams_name", "kwargs")
    arguments = {**saved, **overrides} if name == "kwargs" else {name: {**saved, **overrides}}
    module = cls(**_accepted(cls, arguments))
    hook: Any = getattr(module, "on_load_checkpoint", None)
    if hook is not None:
        hook(checkpoint)
    if strict is None:
        strict = bool(getattr(module, "strict_loading", True))
    load_weights(module, checkpoint, os.fspath(path) if isinstance(path, (str, os.PathLike)) else repr(path), strict)
    return module


def load_weights(module: nn.Module, checkpoint: Mapping[str, Any], path: str, strict: bool = True) -> None:
    """Load the weights of a checkpoint, with an error that says what does not fit."""
    if "state_dict" not in checkpoint:
        raise CheckpointError(
            f"{path} holds no weights: the key 'state_dict' is missing. It holds: {', '.join(map(str, checkpoint))}. "
            "Expected a file written by a Trainer."
        )
    try:
        module.load_state_dict(checkpoint["state_dict"], strict=strict)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {path} do not fit {type(module).__name__}: {error}\n"
            "Build the module as it was when the checkpoint was written, or set strict_loading = False to load "
            "what fits."
        ) from error


def _accepted(cls: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """Drop saved values that the constructor no longer takes."""
    parameters = signature(cls).parameters
    if any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values()):
        return arguments
    return {name: value for name, value in arguments.items() if name in parameters}


def plain(value: Any, where: str) -> Any:
    """Return *value* made of plain types and tensors only; what cannot be is left out with one warning."""
    converted = _plain(value, where)
    return {} if converted is _LEFT_OUT else converted


def _plain(value: Any, where: str) -> Any:
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
        items = {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not _LEFT_OUT}
    if isinstance(value, (list, tuple, set, frozenset)) or type(value).__name__ == "ListConfig":
        listed = [item for each in value if (item := _plain(each, where)) is not _LEFT_OUT]
        return tuple(listed) if isinstance(value, tuple) else listed
    warn_once(
        f"{where} is a {type(value).__name__}, which a checkpoint cannot hold without executing code when it is "
        "loaded; "
        "it is left out. Leave it out yourself: save_hyperparameters(ignore=[...])."
    )
    return _LEFT_OUT


def _base(value: Any) -> Any:
    """Strip a subclass of a plain type (a string enum, a NumPy float) down to the plain type."""
    return next(kind(value) for kind in (bool, int, float, str) if isinstance(value, kind))
