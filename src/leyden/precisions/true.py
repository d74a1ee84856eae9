"""All weights and inputs in one number format other than 32-bit floats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from leyden.module import LightningModule
from leyden.precision import Precision
from leyden.tree import map_tensors


class TruePrecision(Precision):
    """Compute in *dtype* throughout.

    Args:
        name: Canonical spelling, e.g. ``"bf16-true"``.
        dtype: ``torch.float64``, ``torch.bfloat16`` or ``torch.float16``.
    """

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        self.name = name
        self.dtype = dtype

    def convert_module(self, module: LightningModule) -> None:
        """Cast the weights."""
        module.to(dtype=self.dtype)

    def convert_input(self, batch: Any) -> Any:
        """Cast floating-point tensors of a batch; others stay."""
        return map_tensors(batch, self._cast)

    def init_context(self) -> AbstractContextManager[Any]:
        """Create layers in this format right away."""
        return self._as_default()

    def forward_context(self) -> AbstractContextManager[Any]:
        """Make tensors that a step creates come in this format, too."""
        return self._as_default()

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    @contextmanager
    def _as_default(self) -> Iterator[None]:
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)
