"""Label the calls of submodules in a recording of `torch.profiler`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.profiler import record_function
from torch.utils.hooks import RemovableHandle


class ModuleNames:
    """Put ``<class>: <name>`` around every call of every submodule, until removed.

    Args:
        root: The module whose submodules are labelled.
    """

    def __init__(self, root: nn.Module) -> None:
        self._handles: list[RemovableHandle] = []
        for name, module in root.named_modules():
            if name:
                before, after = _label(f"{type(module).__name__}: {name}")
                self._handles.append(module.register_forward_pre_hook(before))
                self._handles.append(module.register_forward_hook(after, always_call=True))

    def remove(self) -> None:
        """Take the labels off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def _label(name: str) -> tuple[Callable[..., None], Callable[..., None]]:
    entered: list[record_function] = []

    def before(*_: Any) -> None:
        label = record_function(name)
        label.__enter__()  # type: ignore[no-untyped-call]
        entered.append(label)

    def after(*_: Any) -> None:
        if entered:  # a call that was under way when the labels were put on
            entered.pop().__exit__(None, None, None)

    return before, after
