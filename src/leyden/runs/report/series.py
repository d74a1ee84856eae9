"""The numbers of ``metrics.csv``, and as many of them as a screen can show.

A curve is thinned out by keeping the smallest and the largest value of each stretch, so that
no spike is lost. A noisy one gets a calm companion: the mean of each stretch.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
LONGEST_LINE = 1_000_000  # characters
MOST_COLUMNS = 2_000
_NOISY_FROM = 240  # points
_STRETCHES = 100


@dataclass(frozen=True)
class Series:
    """One column over the steps.

    Attributes:
        x: Steps, not decreasing, shape ``(N,)``.
        y: Finite values, shape ``(N,)``.
        odd: How many values were left out because they are no finite numbers.
        first_odd: The step of the first of them.
    """

    x: Floats
    y: Floats
    odd: int = 0
    first_odd: float | None = None

    def thinned(self, most: int) -> Series:
        """Return at most about *most* points that look the same: both ends, and the extremes between."""
        if len(self.x) <= most:
            return self
        edges = np.linspace(0, len(self.x), max(2, most // 2) + 1).astype(int)
        parts = [(first, self.y[first:last]) for first, last in pairwise(edges)]
        kept = {0, len(self.x) - 1}
        kept |= {int(first + place) for first, part in parts for place in (part.argmin(), part.argmax())}
        chosen = sorted(kept)
        return Series(self.x[chosen], self.y[chosen], self.odd, self.first_odd)

    def calm(self) -> Series | None:
        """Return the means of its stretches; None for a curve that is calm itself."""
        if len(self.x) < _NOISY_FROM or np.abs(np.diff(self.y)).sum() <= 4 * np.ptp(self.y):
            return None
        edges = np.linspace(0, len(self.x), _STRETCHES + 1).astype(int)
        sizes = np.diff(edges)
        x, y = (np.add.reduceat(values, edges[:-1]) / sizes for values in (self.x, self.y))
        return Series(x, y)


def series(x: Any, y: Any) -> Series:
    """Make a series of steps and values, in the order of the steps."""
    steps, values = np.asarray(x, np.float64), np.asarray(y, np.float64)
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    fine = np.isfinite(values) & (np.abs(values) < 1e200)
    odd = steps[~fine]
    return Series(steps[fine], values[fine], len(odd), float(odd[0]) if len(odd) else None)


def columns(file: IO[str]) -> dict[str, Series]:
    """Read a ``metrics.csv``: for each column its values over the column ``step``.

    A cell that is no number is passed over, and so is a torn line at the end.

    Raises:
        ValueError: If a line is longer than any that Leyden writes, or the file is no CSV.
    """
    try:
        rows = csv.reader(_lines(file))
        names = next(rows, [])[:MOST_COLUMNS]
        found = _collect(names, rows)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return {name: series(*pair) for name, pair in found.items() if len(pair[0]) and name != "step"}


def _collect(names: list[str], rows: Iterator[list[str]]) -> dict[str, tuple[array[float], array[float]]]:
    found: dict[str, tuple[array[float], array[float]]] = {name: (array("d"), array("d")) for name in names}
    pairs = [found[name] for name in names]
    at = names.index("step") if "step" in names else None
    for number, row in enumerate(rows):
        step = float(number) if at is None else _number(row[at] if at < len(row) else "")
        if step is None or not abs(step) < 1e18:
            continue
        for cell, (x, y) in zip(row, pairs, strict=False):
            value = _number(cell) if cell else None
            if value is not None:
                x.append(step)
                y.append(value)
    return found


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _lines(file: IO[str]) -> Iterator[str]:
    """Yield whole lines; what stands after the last line break is still being written."""
    for line in iter(lambda: file.readline(LONGEST_LINE), ""):
        if not line.endswith("\n"):
            if len(line) >= LONGEST_LINE:
                raise ValueError(f"a line has more than {LONGEST_LINE} characters")
            return
        yield line.replace("\0", "")
