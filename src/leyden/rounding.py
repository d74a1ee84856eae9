"""Python numbers as tensors of 32 bits would hold them."""

from __future__ import annotations

from ctypes import c_float


def single(number: float) -> float:
    """Return the 32-bit float nearest to *number*; beyond the largest one, infinity.

    Sums, products and quotients of two such numbers, computed in 64 bits and rounded by this,
    are those of 32-bit arithmetic bit for bit (S. A. Figueroa, When is double rounding innocuous?,
    SIGNUM Newsletter 30, 1995).
    """
    return c_float(number).value
