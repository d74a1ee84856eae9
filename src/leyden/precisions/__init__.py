"""Precisions: `choose` turns every accepted spelling into one of them."""

from __future__ import annotations

from typing import Any

import torch

from leyden.errors import ConfigurationError
from leyden.precision import Precision
from leyden.precisions.mixed import MixedPrecision
from leyden.precisions.true import TruePrecision
from leyden.warnings import warn_once

__all__ = ["SPELLINGS", "MixedPrecision", "TruePrecision", "choose"]

SPELLINGS: dict[Any, str] = {
    None: "32-true",
    32: "32-true",
    "32": "32-true",
    "32-true": "32-true",
    64: "64-true",
    "64": "64-true",
    "64-true": "64-true",
    16: "16-mixed",
    "16": "16-mixed",
    "16-mixed": "16-mixed",
    "16-true": "16-true",
    "bf16": "bf16-mixed",
    "bf16-mixed": "bf16-mixed",
    "bf16-true": "bf16-true",
}
_TRUE = {"64-true": torch.float64, "16-true": torch.float16, "bf16-true": torch.bfloat16}


def choose(precision: int | str | Precision | None, device: torch.device) -> Precision:
    """Return the precision meant by *precision* on *device*.

    16-mixed needs loss scaling, which a CPU does not offer: there it becomes bf16-mixed,
    with a warning.

    Raises:
        ConfigurationError: If the spelling is unknown.
    """
    if isinstance(precision, Precision):
        return precision
    name = SPELLINGS.get(precision)
    if name is None:
        known = ", ".join(dict.fromkeys(SPELLINGS.values()))
        raise ConfigurationError(f"Trainer(precision={precision!r}): expected one of: {known}; or 16, 32, 64, 'bf16'.")
    if name == "32-true":
        return Precision()
    if name in _TRUE:
        return TruePrecision(name, _TRUE[name])
    if name == "16-mixed" and device.type == "cpu":
        warn_once("precision 16-mixed is not available on the CPU: using bf16-mixed.")
        name = "bf16-mixed"
    return MixedPrecision(name, device.type)
