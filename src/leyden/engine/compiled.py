"""Compiled steps: `torch.compile` around a step that may call `self.log`.

Logging changes dictionaries that a compiled graph cannot carry. So while a compiled step runs,
`self.log` only puts its arguments on a list, which the compiler knows how to bring up to date
behind the graph; they are logged once the step is through. The graph stays in one piece.

A value of the trainer that changes from step to step, such as ``self.global_step``, is a constant
of the graph: reading it in a compiled step means compiling again and again.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch

from leyden.module import LightningModule

Compiler = Callable[[Callable[..., Any]], Callable[..., Any]]


def compiler_of(options: bool | dict[str, Any]) -> Compiler | None:
    """Return `torch.compile` with *options*: None for False, its defaults for True."""
    if options is False:
        return None
    return functools.partial(torch.compile, **({} if options is True else options))


def unwrapped(model: Any) -> tuple[Any, Compiler | None]:
    """Return the module behind ``torch.compile(module)`` and what compiles as it was told to; else *model* itself."""
    dynamo = sys.modules.get("torch._dynamo")  # who has compiled a module has imported it
    if dynamo is None or not isinstance(model, dynamo.OptimizedModule):
        return model, None
    return model._orig_mod, model.dynamo_ctx


def compiled(module: LightningModule, step: Callable[..., Any], compiler: Compiler | None) -> Callable[..., Any]:
    """Return *step* of *module*, compiled if there is a compiler."""
    if compiler is None:
        return step
    run, slots = compiler(step), vars(module)
    noted: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def note(*args: Any, **kwargs: Any) -> None:
        noted.append((args, kwargs))

    @functools.wraps(step)
    def stepped(*args: Any, **kwargs: Any) -> Any:
        usual = slots.pop("log", None)
        slots["log"] = note
        if module.device.type == "cuda":  # graphs recorded for it may use the memory of the last step again
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        try:
            output = run(*args, **kwargs)
        finally:
            del slots["log"]
            if usual is not None:
                slots["log"] = usual
        for values, options in noted:
            module.log(*values, **options)
        noted.clear()
        return output

    return stepped
