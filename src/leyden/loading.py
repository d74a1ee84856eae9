"""Reading checkpoints safely, and rebuilding modules and data modules from them: ours and Lightning's.

Loading never executes what is in the file: torch's restricted unpickler is used unless
the caller says, with ``weights_only=False``, that the file can be trusted.
"""

from __future__ import annotations

import ast
import csv
import os
import pickle
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from leyden import sharded
from leyden.contents import check
from leyden.errors import CheckpointError, ConfigurationError, DamagedCheckpointError, UnsafeCheckpointError
from leyden.hyperparameters import AttributeDict
from leyden.integrity import check_kind, check_whole
from leyden.plain import readable

Module = TypeVar("Module", bound=nn.Module)
Owner = TypeVar("Owner")
Method = TypeVar("Method")
Source: TypeAlias = str | os.PathLike[str] | IO[bytes]
_OF_A_COMMAND_LINE = ("_instantiator", "_class_path")  # LightningCLI's marks among the hyper-parameters


def read(
    path: Source,
    map_location: Any = "cpu",
    weights_only: bool | None = None,
    whole: bool = True,
    mapped: bool = False,
) -> dict[str, Any]:
    """Read a checkpoint, and compare it with its checksums before that.

    Args:
        path: File, or an open binary file; or the folder of a checkpoint that several ranks have written.
        map_location: Where tensors go, as in `torch.load`; those of a folder go to the CPU.
        weights_only: False allows arbitrary pickles, which can execute code: only for files
            you trust.
        whole: Whether to read the tensors of a folder; else there is a `leyden.sharded.Stored` for each.
        mapped: Leave tensors on the disk until something looks at them, and checksums alone: for a look at the rest.

    Raises:
        CheckpointError: If there is no such file, it is damaged, or it is not safe to load.
    """
    name = name_of(path)
    safe = True if weights_only is None else bool(weights_only)
    try:
        if isinstance(path, (str, os.PathLike)):
            check_kind(path)
            if not mapped:
                check_whole(path)
        if sharded.is_folder(path):
            found = sharded.read(name, safe)
            found = sharded.in_memory(found) if whole else found
        else:
            found = torch.load(path, map_location=map_location, weights_only=safe, mmap=mapped or None)
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise DamagedCheckpointError(
            f"there is no checkpoint at {name}. Check the path; relative paths start at {os.getcwd()}."
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise _unreadable(name, error, safe) from error
    if not isinstance(found, dict):
        raise DamagedCheckpointError(
            f"{name} holds a {type(found).__name__}, not a checkpoint. Expected a dict written by a Trainer."
        )
    check(found, name)
    for key in ("hyper_parameters", "datamodule_hyper_parameters"):
        if key in found:
            found[key] = readable(found[key])
    return found


def _unreadable(name: str, error: Exception, safe: bool) -> CheckpointError:
    """Tell a file that would execute something from one that is damaged or no checkpoint at all."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    refused = next((line for line in lines if "nsupported" in line), "")
    told = refused or next((line for line in lines if "WeightsUnpickler error: " in line), lines[0])
    reason = told.rpartition("WeightsUnpickler error: ")[-1].strip().rstrip(".")
    if safe and refused and isinstance(error, pickle.UnpicklingError):
        return UnsafeCheckpointError(
            f"{name} is not safe to load: {reason}. Nothing in it was executed. A checkpoint of plain types and "
            "tensors was expected. If you trust whoever wrote it, pass weights_only=False: that may execute code "
            "in the file."
        )
    return DamagedCheckpointError(
        f"{name} cannot be read: {reason} ({type(error).__name__}). The file is damaged, or no checkpoint. Take an "
        "earlier one."
    )


def name_of(path: Source) -> str:
    """Return how to call a file in a message."""
    if isinstance(path, (str, os.PathLike)):
        return os.fspath(path)
    return str(getattr(path, "name", None) or repr(path))


def load_module(
    cls: type[Module],
    path: Source,
    map_location: Any,
    hparams_file: str | os.PathLike[str] | None,
    strict: bool | None,
    weights_only: bool | None,
    overrides: Mapping[str, Any],
) -> Module:
    """Build a module from a checkpoint; see `LightningModule.load_from_checkpoint`."""
    checkpoint = read(path, map_location or _where_it_was, weights_only)
    module: Any = build(cls, checkpoint, "", hparams_file, overrides)
    if strict is None:
        strict = bool(module.strict_loading)
    module.configure_model()
    module.on_load_checkpoint(checkpoint)
    load_weights(module, checkpoint, name_of(path), strict)
    weights = (value for value in checkpoint["state_dict"].values() if isinstance(value, Tensor))
    first = next(weights, None)
    return module if first is None else module.to(first.device)  # type: ignore[no-any-return]


def load_datamodule(
    cls: type[Owner],
    path: Source,
    map_location: Any,
    hparams_file: str | os.PathLike[str] | None,
    weights_only: bool | None,
    overrides: Mapping[str, Any],
) -> Owner:
    """Build a data module from a checkpoint; see `LightningDataModule.load_from_checkpoint`."""
    checkpoint = read(path, map_location or _where_it_was, weights_only)
    datamodule: Any = build(cls, checkpoint, "datamodule_", hparams_file, overrides)
    if cls.__qualname__ in checkpoint:
        datamodule.load_state_dict(checkpoint[cls.__qualname__])
    return datamodule  # type: ignore[no-any-return]


def build(
    cls: type[Owner],
    checkpoint: Mapping[str, Any],
    prefix: str,
    hparams_file: str | os.PathLike[str] | None,
    overrides: Mapping[str, Any],
) -> Owner:
    """Call a constructor with the hyper-parameters of a checkpoint.

    Args:
        cls: What to build.
        checkpoint: What `read` returned.
        prefix: ``""`` for a module's hyper-parameters, ``"datamodule_"`` for a data module's.
        hparams_file: YAML or CSV file to take instead of the checkpoint's.
        overrides: Arguments that win over both.
    """
    saved: Any = checkpoint.get(f"{prefix}hyper_parameters", {})
    saved = dict(vars(saved) if isinstance(saved, Namespace) else saved)
    for key in checkpoint.get("leyden", {}).get(f"{prefix}containers", ()):
        if key in saved:
            saved[key] = with_attributes(saved[key])
    if hparams_file is not None:
        saved = read_hparams(hparams_file)
    values = {**saved, **overrides}
    for key in _OF_A_COMMAND_LINE:
        values.pop(key, None)
    name, kind = checkpoint.get(f"{prefix}hparams_name"), checkpoint.get(f"{prefix}hparams_type")
    if name in signature(cls).parameters and name != "kwargs":
        whole = kind(values) if callable(kind) else with_attributes(values)
        values = {name: whole, **overrides}
    return cls(**_accepted(cls, values))


def read_hparams(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read hyper-parameters from a YAML file, or from a CSV file with the columns key and value.

    Raises:
        ConfigurationError: If the file is of another kind, or is not plain.
    """
    if Path(path).suffix.lower() == ".csv":
        with open(path, encoding="utf-8", newline="") as table:
            return {row[0]: _literal(row[1]) for row in list(csv.reader(table))[1:]}
    if Path(path).suffix.lower() not in (".yaml", ".yml"):
        raise ConfigurationError(f"hparams_file={os.fspath(path)!r} is of no known kind. Expected .yaml, .yml or .csv.")
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"hparams_file={os.fspath(path)!r} cannot be read: {error}. Expected a YAML mapping of plain values."
        ) from error
    if not isinstance(found, dict):
        raise ConfigurationError(
            f"hparams_file={os.fspath(path)!r} holds a {type(found).__name__}. Expected a mapping of arguments."
        )
    return found


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _where_it_was(storage: Any, location: str) -> Any:
    """Keep a tensor on the device it was saved on, if this machine has it; else take the CPU."""
    gone = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available(), "xla": True}
    return storage.cpu() if gone.get(location.partition(":")[0], False) else None


def load_weights(
    module: nn.Module,
    checkpoint: Mapping[str, Any],
    path: str,
    strict: bool = True,
    load: Callable[[Any, Any, bool], Any] | None = None,
) -> None:
    """Load the weights of a checkpoint, with an error that says what does not fit.

    Args:
        module: Into which.
        checkpoint: What `read` returned.
        path: Where it lies.
        strict: Whether all have to be there, and no others.
        load: Called with the module, the weights, and *strict*, in the place of the module's own method.
    """
    if "state_dict" not in checkpoint:
        raise DamagedCheckpointError(
            f"{path} holds no weights: the key 'state_dict' is missing. It holds: {', '.join(map(str, checkpoint))}. "
            "Expected a file written by a Trainer."
        )
    try:
        if load is None:
            module.load_state_dict(checkpoint["state_dict"], strict=strict)
        else:
            load(module, checkpoint["state_dict"], strict)
    except RuntimeError as error:
        raise DamagedCheckpointError(
            f"the weights in {path} do not fit {type(module).__name__}: {error}\n"
            "Build the module as it was when the checkpoint was written, or set strict_loading = False "
            "(load_from_checkpoint: strict=False) to load what fits."
        ) from error


def _accepted(cls: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """Drop saved values that the constructor no longer takes."""
    parameters = signature(cls).parameters
    if any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values()):
        return arguments
    return {name: value for name, value in arguments.items() if name in parameters}


class ClassOnly:
    """A class method that refuses to be called on an instance, which it would not change."""

    def __init__(self, method: Any) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: Any, owner: type) -> Any:
        """Bind to the class; through an instance, to what raises when it is called."""
        if instance is None:
            return self._method.__get__(None, owner)
        return partial(_refuse, owner.__name__, self._method.__func__.__name__)


def class_only(method: Method) -> Method:
    """Make a class method one of the class only."""
    return ClassOnly(method)  # type: ignore[return-value]


def _refuse(owner: str, name: str, *args: Any, **kwargs: Any) -> None:
    raise TypeError(
        f"{owner}.{name} was called on an instance, which it would not change: it returns a new one. "
        f"Call it on the class: module = {owner}.{name}(...)."
    )


def containers(hparams: Any) -> list[str]:
    """Name the hyper-parameters that are OmegaConf containers: code that takes them reads their keys as attributes."""
    values = hparams.items() if isinstance(hparams, Mapping) and not _is_container(hparams) else ()
    return [str(key) for key, value in values if _is_container(value)]


def _is_container(value: Any) -> bool:
    return type(value).__name__ in ("DictConfig", "ListConfig")


def with_attributes(value: Any) -> Any:
    """Return *value* with every mapping in it readable by attribute."""
    if isinstance(value, Mapping):
        return AttributeDict({key: with_attributes(item) for key, item in value.items()})
    return [with_attributes(item) for item in value] if isinstance(value, list) else value
