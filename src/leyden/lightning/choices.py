"""Enumerations that scripts name where a plain text does as well."""

from __future__ import annotations

from enum import StrEnum


class Interval(StrEnum):
    """When `leyden.callbacks.Timer` looks at the clock."""

    step = "step"
    epoch = "epoch"


class GradClipAlgorithmType(StrEnum):
    """What gradients are clipped by."""

    VALUE = "value"
    NORM = "norm"

    @staticmethod
    def supported_type(val: str) -> bool:
        """Tell whether there is such an algorithm."""
        return val in GradClipAlgorithmType.supported_types()

    @staticmethod
    def supported_types() -> list[str]:
        """List the algorithms."""
        return [each.value for each in GradClipAlgorithmType]
