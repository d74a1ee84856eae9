"""Number formats under DeepSpeed, which computes in them, scales losses and updates by itself.

bf16-mixed, 16-mixed    parameters are in 16 bits on the device, their 32-bit originals with the optimizer
bf16-true, 16-true      likewise: the module has 16 bits before and after, too
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from leyden.errors import ConfigurationError
from leyden.module import LightningModule
from leyden.precision import Precision
from leyden.tree import map_tensors

_HALF = {
    "bf16-mixed": torch.bfloat16, "bf16-true": torch.bfloat16, "16-mixed": torch.float16, "16-true": torch.float16
}  # fmt: skip


class DeepSpeedPrecision(Precision):
    """Leave number formats, loss scaling and the update to DeepSpeed.

    Args:
        name: Canonical spelling of the precision.
        update: Updates the weights.
        late: Makes the context in which ``configure_model`` is run.
        scaling: Returns what scales losses in fp16, DeepSpeed's own.

    Raises:
        ConfigurationError: If DeepSpeed does not compute in this precision.
    """

    def __init__(
        self,
        name: str,
        update: Callable[[], None],
        late: Callable[[], AbstractContextManager[Any]],
        scaling: Callable[[], Any],
    ) -> None:
        if name != "32-true" and name not in _HALF:
            raise ConfigurationError(
                f"Trainer(precision={name!r}, strategy='deepspeed'): DeepSpeed does not compute in it. Expected "
                f"32-true, {', '.join(_HALF)}; or use strategy='ddp'."
            )
        self.name = name
        self.half: torch.dtype | None = _HALF.get(name)
        self._update = update
        self._late = late
        self._scaling = scaling

    def convert_module(self, module: LightningModule) -> None:
        """Cast the weights, where the module is to have them in 16 bits."""
        if self.name.endswith("-true") and self.half is not None:
            module.to(dtype=self.half)

    def convert_input(self, batch: Any) -> Any:
        """Cast floating-point tensors of a batch to what the parameters are in."""
        return batch if self.half is None else map_tensors(batch, self._cast)

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.half) if tensor.is_floating_point() else tensor

    @contextmanager
    def init_context(self) -> Iterator[None]:
        """Make layers in the format of the weights, and divided as they are made."""
        before = torch.get_default_dtype()
        if self.name.endswith("-true") and self.half is not None:
            torch.set_default_dtype(self.half)
        try:
            with self._late():
                yield
        finally:
            torch.set_default_dtype(before)

    def step(self, optimizer: Optimizer, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """Update the weights, unless the gradients overflowed."""
        result = closure() if closure is not None else None
        self._update()
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return the loss scale and what it is adapted by; nothing but in fp16."""
        if self.half is not torch.float16:
            return {}
        return {name: value for name, value in vars(self._scaling()).items() if isinstance(value, (bool, int, float))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        if self.half is torch.float16:
            vars(self._scaling()).update(state_dict)
