"""Lightning's classes of precisions: the same as ours, made with other arguments."""

from __future__ import annotations

import torch

from leyden.precisions import mixed, true


class MixedPrecision(mixed.MixedPrecision):
    """``MixedPrecision("16-mixed", "cuda")``."""

    def __init__(self, precision: str, device: str, scaler: torch.amp.GradScaler | None = None) -> None:
        super().__init__(precision, torch.device(device).type, scaler)


class HalfPrecision(true.TruePrecision):
    """``HalfPrecision("bf16-true")``."""

    def __init__(self, precision: str = "16-true") -> None:
        super().__init__(precision, torch.float16 if precision.startswith("16") else torch.bfloat16)


class DoublePrecision(true.TruePrecision):
    """``DoublePrecision()``."""

    def __init__(self) -> None:
        super().__init__("64-true", torch.float64)
