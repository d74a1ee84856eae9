"""The optimizer as a module sees it in manual optimisation, or in an overridden `optimizer_step`.

``step`` goes through the engine, so that hooks, loss scaling and counters are right;
everything else falls through to the torch optimizer inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

StepFunction = Callable[..., Any]


class LightningOptimizer:
    """Wrap a torch optimizer.

    Args:
        optimizer: The optimizer inside.
        on_step: Called as ``on_step(optimizer, closure, **kwargs)`` to do the update.
        toggled: Context manager that lets gradients flow only into this optimizer's parameters.
    """

    def __init__(
        self, optimizer: Optimizer, on_step: StepFunction, toggled: Callable[[Any], Any] | None = None
    ) -> None:
        self._optimizer = optimizer
        self._on_step = on_step
        self._toggled = toggled

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """Pass for the optimizer inside: torch's schedulers ask with ``isinstance``."""
        return type(self._optimizer)

    @property
    def optimizer(self) -> Optimizer:
        """The torch optimizer inside."""
        return self._optimizer

    def step(self, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """Update the weights; *closure* recomputes the loss where the optimizer needs that."""
        return self._on_step(self._optimizer, closure, **kwargs)

    @contextmanager
    def toggle_model(self, sync_grad: bool = True) -> Iterator[None]:
        """Let gradients flow only into this optimizer's parameters within a block."""
        if self._toggled is None:
            yield
        else:
            with self._toggled(self):
                yield

    def __getattr__(self, name: str) -> Any:
        return getattr(self._optimizer, name)

    def __repr__(self) -> str:
        return f"Lightning{self._optimizer!r}"
