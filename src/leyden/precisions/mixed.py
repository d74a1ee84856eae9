"""Weights in 32 bits, the step under autocast: P. Micikevicius et al., "Mixed Precision Training" (ICLR 2018).

bfloat16 has the range of float32 and needs nothing else. float16 needs its losses scaled,
or small gradients vanish: the gradients are scaled back before they are clipped, and an
update whose gradients overflowed is left out.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from leyden import updates
from leyden.errors import ConfigurationError
from leyden.precision import Precision

_DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class MixedPrecision(Precision):
    """Run steps under `torch.autocast`.

    Args:
        name: ``"bf16-mixed"`` or ``"16-mixed"``.
        device_type: E.g. ``"cuda"``.
        scaler: Loss scaler for ``16-mixed``; by default torch's own.
    """

    def __init__(self, name: str, device_type: str, scaler: torch.amp.GradScaler | None = None) -> None:
        self.name = name
        self.device_type = device_type
        self.dtype = _DTYPES[name]
        self.scales = name == "16-mixed"
        self._scaler = scaler
        if self.scales and scaler is None:
            self._scaler = torch.amp.GradScaler(device_type)

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """The loss scaler; None for bf16-mixed."""
        return self._scaler

    def forward_context(self) -> AbstractContextManager[Any]:
        """Autocast; weights that a step casts are cached until it ends."""
        return torch.autocast(self.device_type, dtype=self.dtype)

    def scale(self, loss: Tensor) -> Tensor:
        """Scale *loss* so that float16 gradients do not vanish."""
        return self._scaler.scale(loss) if self._scaler is not None else loss

    def unscale(self, optimizer: Optimizer) -> None:
        """Bring gradients back to their true size, before hooks see them or clipping reads them."""
        if self._scaler is None:
            return
        if self.can_clip(optimizer):
            self._scaler.unscale_(optimizer)

    def can_clip(self, optimizer: Optimizer) -> bool:
        """Say no for a fused optimizer, which unscales the gradients itself while it steps."""
        return self._scaler is None or not getattr(optimizer, "_step_supports_amp_scaling", False)

    def step(self, optimizer: Optimizer, **kwargs: Any) -> Any:
        """Update the weights, unless the gradients overflowed."""
        if self._scaler is None:
            return updates.step(optimizer, **kwargs)
        if "closure" in kwargs:
            raise ConfigurationError(
                f"{type(optimizer).__name__} evaluates the loss itself, which precision 16-mixed cannot scale. "
                "Use bf16-mixed or 32-true with it."
            )
        result = self._scaler.step(optimizer, **kwargs)
        self._scaler.update()
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return the scaler's state."""
        return self._scaler.state_dict() if self._scaler is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back the scaler's state."""
        if self._scaler is not None and state_dict:
            self._scaler.load_state_dict(state_dict)
