"""Axes: where the ticks go, and what stands beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from leyden.runs.report.series import Floats

_TINY = 1e-200  # as good as 0: nothing is divided by what is smaller
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Axis:
    """A scale from one value to another.

    Attributes:
        low: At its beginning, or the logarithm thereof.
        high: At its end, likewise.
        ticks: Place of each tick between 0 and 1, and its label.
        logarithmic: Whether equal distances are equal ratios.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def place(self, values: Floats) -> Floats:
        """Return where *values* are, between 0 and 1."""
        found = np.log10(values) if self.logarithmic else values
        placed: Floats = (found - self.low) / (self.high - self.low)
        return placed


def linear(low: float, high: float, wanted: int = 5) -> Axis:
    """Return a linear axis that begins and ends with a tick, about *wanted* of them."""
    low, high = _apart(low, high)
    step = _round_step((high - low) / wanted)
    return _ticked(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step)


def steps(low: float, high: float, wanted: int = 5) -> Axis:
    """Return an axis of whole numbers from exactly *low*, or 0 if that is near, to exactly *high*."""
    low = 0.0 if 0 < low < 0.2 * high else low
    low, high = (low, high) if high > low else (low - 1, high + 1)
    return _ticked(low, high, max(1.0, _round_step((high - low) / wanted)))


def _ticked(begin: float, end: float, step: float) -> Axis:
    first, last = math.floor(begin / step), math.ceil(end / step)
    values = [number * step for number in range(first, last + 1)]
    shown = [value for value in values if begin - step * 1e-6 <= value <= end + step * 1e-6]
    labels = _labels(shown, step)
    placed = tuple(((value - begin) / (end - begin), text) for value, text in zip(shown, labels, strict=True))
    return Axis(begin, end, placed)


def logarithmic(low: float, high: float, wanted: int = 6) -> Axis:
    """Return a logarithmic axis over *low* to *high*, both above 0."""
    begin, end = math.log10(low), math.log10(high)
    if end - begin < 0.05:
        begin, end = begin - 0.1, end + 0.1
    pad = (end - begin) * 0.03
    begin, end = begin - pad, end + pad
    factors = _factors(end - begin)
    every = max(1, math.ceil((end - begin) / wanted)) if len(factors) == 1 else 1
    decades = [power for power in range(math.floor(begin), math.ceil(end) + 1) if power % every == 0]
    values = [factor * 10.0**power for power in decades for factor in factors]
    placed = tuple(
        ((math.log10(value) - begin) / (end - begin), short(value))
        for value in values
        if value > 0 and begin <= math.log10(value) <= end
    )
    return Axis(begin, end, placed, logarithmic=True)


def short(value: float) -> str:
    """Write a number in few characters: 12k, 0.25, 3e-05."""
    if value == 0:
        return "0"
    for size, unit in _UNITS:
        if size <= abs(value) < 1e12:
            return f"{value / size:.4g}{unit}".replace("-", "\N{MINUS SIGN}")
    text = f"{value:.4g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("-", "\N{MINUS SIGN}")


def _factors(decades: float) -> tuple[float, ...]:
    """Return which multiples of a power of ten get a tick, on a logarithmic axis of so many decades."""
    if decades < 0.7:
        return 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9
    return (1, 2, 5) if decades < 2.5 else (1,)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Give a single value some room."""
    if high - low > max(abs(low), abs(high), _TINY) * 1e-9:
        return low, high
    room = abs(low) * 0.1 if abs(low) > _TINY else 1.0
    return low - room, high + room


def _round_step(size: float) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten, not below *size*."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= size * (1 - 1e-9))


def _labels(values: list[float], step: float) -> list[str]:
    """Write ticks with as many decimals as their distance needs."""
    values = [0.0 if abs(value) < step * 1e-6 else value for value in values]
    largest = max(map(abs, values), default=0.0)
    if not 1e-3 <= largest < 1e12:
        return [short(value) for value in values]
    size, unit = next(((size, unit) for size, unit in _UNITS if largest >= max(size, 10_000)), (1.0, ""))
    decimals = _decimals(step / size)
    texts = [f"{value / size:.{decimals}f}{unit}".replace("-", "\N{MINUS SIGN}") for value in values]
    return [text if value else "0" for value, text in zip(values, texts, strict=True)]


def _decimals(step: float) -> int:
    scaled = (step * 10.0**count for count in range(9))
    return next((count for count, value in enumerate(scaled) if round(value) and abs(value - round(value)) < 1e-6), 9)
