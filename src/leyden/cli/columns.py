"""Tables: fitted to a terminal and coloured there, columns between tabs in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from leyden.runs.record.state import RunState
from leyden.terminal import LONGEST, printable

COLOURS: dict[str, int] = {
    RunState.FINISHED: 32,
    RunState.RUNNING: 36,
    RunState.QUEUED: 36,
    RunState.INTERRUPTED: 33,
    RunState.SILENT: 33,
    RunState.FAILED: 31,
    RunState.DEAD: 31,
}
_GAP = "  "


def on_terminal() -> bool:
    """Tell whether a person reads along."""
    return sys.stdout.isatty()


def longest() -> int:
    """Return after how many letters a line of a file is cut: where a person reads along, not where a program does."""
    return LONGEST if on_terminal() else sys.maxsize


def coloured(text: str, code: int | None) -> str:
    """Colour *text* on a terminal; ``NO_COLOR`` is obeyed."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and on_terminal() and not os.environ.get("NO_COLOR") else text


def render(header: Sequence[str], rows: Sequence[Sequence[str]], give: int | None = None) -> list[str]:
    """Return the lines of a table.

    Args:
        header: Names of the columns.
        rows: Cells, as many as there are names. One that is a word of `COLOURS`, or begins
            with one, is coloured.
        give: The column that is cut first where a line would be longer than the terminal.
    """
    cells = [[printable(cell) for cell in row] for row in [header, *rows]]
    if not on_terminal():
        return ["\t".join(row) for row in cells]
    width = shutil.get_terminal_size((100, 24)).columns
    widths = _fitted([max(map(len, column)) for column in zip(*cells, strict=True)], width, give)
    lines = [[_cut(cell, space) for cell, space in zip(row, widths, strict=True)] for row in cells]
    first = coloured(_GAP.join(lines[0]).rstrip(), 1)
    return [first, *(_GAP.join(_painted(cell) for cell in line).rstrip() for line in lines[1:])]


def _fitted(widths: list[int], width: int, give: int | None) -> list[int]:
    """Take from the column that gives, then from the widest ones, what the terminal has not."""
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    if give is not None and over > 0:
        taken = min(over, max(0, widths[give] - 4))
        widths[give] -= taken
        over -= taken
    while over > 0 and max(widths) > 12:
        widths[widths.index(max(widths))] -= 1
        over -= 1
    return widths


def _cut(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def _painted(cell: str) -> str:
    return coloured(cell, COLOURS.get(cell.strip().partition(" ")[0]))


def aligned(rows: Sequence[tuple[str, str]], indent: str = "  ") -> list[str]:
    """Return lines of names and values, the values below each other; nothing is cut."""
    width = max((len(printable(name)) for name, _ in rows), default=0)
    return [f"{indent}{printable(name):<{width}}  {printable(value)}".rstrip() for name, value in rows]


def span(seconds: float | None) -> str:
    """Write a span of time in its largest unit: ``3 s``, ``12 min``, ``5 h``, ``2 d``."""
    if seconds is None:
        return ""
    for unit, length, limit in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < length * limit:
            return f"{max(0, int(seconds // length))} {unit}"
    return f"{int(seconds // 86_400)} d"


def number(value: object) -> str:
    """Write a value for a person: floats with six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
