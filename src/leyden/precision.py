"""The contract of a precision: in which number formats a step computes.

One context around the forward pass, and pure transforms around the update.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from leyden import updates

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.optim import Optimizer

    from leyden.module import LightningModule

_NOTHING: AbstractContextManager[None] = nullcontext()


class Precision:
    """32-bit floats throughout: nothing to do anywhere.

    Attributes:
        name: Canonical spelling, e.g. ``"bf16-mixed"``.
        scales: Whether `scale`, `unscale` and `step` do anything: fp16 needs loss scaling.
    """

    name: str = "32-true"
    scales: bool = False

    def convert_module(self, module: LightningModule) -> None:
        """Change the type of the module's weights, once, before they go to the device."""

    def convert_input(self, batch: Any) -> Any:
        """Change the type of floating-point inputs of a step."""
        return batch

    def init_context(self) -> AbstractContextManager[Any]:
        """Context in which layers are created late (``configure_model``)."""
        return _NOTHING

    def forward_context(self) -> AbstractContextManager[Any]:
        """Context around every step; reusable and cheap, as it is entered once per batch."""
        return _NOTHING

    def scale(self, loss: Tensor) -> Tensor:
        """Scale *loss* before it is differentiated."""
        return loss

    def unscale(self, optimizer: Optimizer) -> None:
        """Bring the gradients of *optimizer* back to their true size."""

    def can_clip(self, optimizer: Optimizer) -> bool:
        """Whether the gradients of *optimizer* have their true size after `unscale`."""
        return True

    def step(self, optimizer: Optimizer, **kwargs: Any) -> Any:
        """Update the weights, unless the gradients overflowed."""
        return updates.step(optimizer, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """Return what must survive a restart."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """The loss scaler, where there is one."""
        return None
