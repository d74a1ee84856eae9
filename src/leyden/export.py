"""A trained module for use elsewhere: TorchScript, ONNX, and checkpoints in one file.

TorchScript and ONNX are written from a copy-free view of the module: in evaluation mode, without gradients,
and without the trainer, which neither format could hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from leyden import atomic, sharded
from leyden.errors import CheckpointError, ConfigurationError
from leyden.tree import move

if TYPE_CHECKING:
    from leyden.module import LightningModule


def consolidate(folder: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Write the checkpoint of several ranks as one file, as a single process would have written it.

    Args:
        folder: What `FSDPStrategy(state_dict_type="sharded")` or `ModelParallelStrategy` has saved.
        path: The file. Everything that is loaded from *folder* is loaded from it, too, without Leyden as well.

    Raises:
        CheckpointError: If there is no such checkpoint, or it is damaged.
    """
    if not sharded.is_folder(folder):
        raise CheckpointError(
            f"{os.fspath(folder)} is no checkpoint that several ranks have written: there is no {sharded.META} in it. "
            "Expected a folder; a checkpoint of one file can be used as it is."
        )
    found = sharded.in_memory(sharded.read(folder))
    atomic.write(path, lambda file: torch.save(found, file))


def to_torchscript(
    module: LightningModule,
    path: str | os.PathLike[str] | None,
    method: str | None,
    example: Any,
    options: dict[str, Any],
) -> Any:
    """See `LightningModule.to_torchscript`."""
    if method not in ("script", "trace"):
        raise ConfigurationError(
            f"to_torchscript(method={method!r}): expected 'script', which compiles forward, or 'trace', which follows "
            "one call of it."
        )
    if method == "script":
        with _bare(module):
            compiled = torch.jit.script(module, **options)
    else:
        inputs = _example(module, example, "example_inputs", "to_torchscript(method='trace')")
        with _bare(module):
            compiled = torch.jit.trace(module, example_inputs=inputs, **options)  # type: ignore[no-untyped-call]
    if path is not None:
        torch.jit.save(compiled, os.fspath(path))
    return compiled


def to_onnx(module: LightningModule, path: Any, example: Any, options: dict[str, Any]) -> Any:
    """See `LightningModule.to_onnx`."""
    if find_spec("onnx") is None:
        raise ConfigurationError(
            "to_onnx needs the package onnx, which is not installed here: there is no module 'onnx'. "
            "Install it with pip install onnx onnxscript."
        )
    inputs = _example(module, example, "input_sample", "to_onnx()")
    with _bare(module):
        return torch.onnx.export(module, inputs, os.fspath(path) if isinstance(path, os.PathLike) else path, **options)


def to_tensorrt(module: LightningModule) -> NoReturn:
    """See `LightningModule.to_tensorrt`."""
    raise ConfigurationError(
        f"{type(module).__name__}.to_tensorrt() was called, but Leyden does not write TensorRT engines. Write the "
        "module with to_onnx, which TensorRT reads, or give module.eval() to torch_tensorrt.compile."
    )


def _example(module: LightningModule, given: Any, argument: str, where: str) -> Any:
    """Return an input for `forward`, brought to the device as a batch would be."""
    found = module.example_input_array if given is None else given
    if found is None:
        raise ConfigurationError(
            f"{where} of {type(module).__name__} needs an input to follow, and there is none: {argument} is None, and "
            f"so is example_input_array. Pass {argument}=..., or set example_input_array in the constructor."
        )
    return move(found, module.device)


@contextmanager
def _bare(module: LightningModule) -> Iterator[None]:
    """Take the module out of its run for a moment."""
    flags = {child: child.training for child in module.modules()}
    kept: dict[str, Any] = {
        name: vars(module).pop(name) for name in ("_trainer", "_metrics", "_device") if name in vars(module)
    }
    vars(module)["_trainer"] = object()  # torch reads every property; without any trainer, one of them raises
    try:
        module.eval()
        with torch.no_grad():
            yield
    finally:
        del vars(module)["_trainer"]
        vars(module).update(kept)
        for child, flag in flags.items():
            child.training = flag
