"""Tables: fitted to a terminal and coloured there, columns between tabs in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from textwrap import wrap

from leyden import terminal
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
_GIVEN = 24  # letters that are left of the column that gives, before others are left out


def on_terminal() -> bool:
    """Tell whether a person reads along."""
    return sys.stdout.isatty()


def longest() -> int:
    """Return after how many letters a line of a file is cut: where a person reads along, not where a program does."""
    return LONGEST if on_terminal() else sys.maxsize


def coloured(text: str, code: int | None) -> str:
    """Colour *text* on a terminal; ``NO_COLOR`` is obeyed."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and on_terminal() and not os.environ.get("NO_COLOR") else text


def render(
    header: Sequence[str], rows: Sequence[Sequence[str]], give: int | None = None, spare: Sequence[int] = ()
) -> list[str]:
    """Return the lines of a table.

    Where a line would be longer than the terminal, in this order: columns without anything in them are left out, the
    folder that all names begin with and columns that are equal in all rows are told once below, the column that gives
    is cut, others are left out and named below, and only then are cells cut.

    Args:
        header: Names of the columns; the first one is that of the rows' names.
        rows: Cells, as many as there are names. One that is a word of `COLOURS`, or begins
            with one, is coloured.
        give: The column that is cut first.
        spare: Columns that may be left out, in this order.
    """
    cells = [[printable(cell) for cell in row] for row in [header, *rows]]
    if not on_terminal():
        return ["\t".join(row) for row in cells]
    width = shutil.get_terminal_size((100, 24)).columns
    chosen, notes = _columns(cells, width, give, spare)
    cells = [[row[at] for at in chosen] for row in cells]
    widths = _fitted(_widths(cells), width, None if give is None or give not in chosen else chosen.index(give))
    lines = [[_cut(cell, space) for cell, space in zip(row, widths, strict=True)] for row in cells]
    first = coloured(_GAP.join(lines[0]).rstrip(), 1)
    body = (_GAP.join(_painted(cell) for cell in line).rstrip() for line in lines[1:])
    return [first, *body, *(line for note in notes for line in wrap(note, width))]


def _columns(cells: list[list[str]], width: int, give: int | None, spare: Sequence[int]) -> tuple[list[int], list[str]]:
    """Return which columns of a table are shown, and what is said about the others; names in *cells* get shorter."""
    chosen, notes = list(range(len(cells[0]))), []

    def drop(candidates: Iterable[int]) -> list[int]:
        dropped = []
        for at in candidates:
            widths = _widths(cells)
            if give is not None:
                widths[give] = min(widths[give], _GIVEN)
            if _line([widths[each] for each in chosen]) <= width:
                break
            chosen.remove(at)
            dropped.append(at)
        return dropped

    values = [{row[at] for row in cells[1:]} for at in chosen]
    drop([at for at in (*spare, give) if at is not None and spare and values[at] <= {""}])
    folder = (
        os.path.commonpath(values[0]) if spare and len(cells) > 2 and not any(map(os.path.isabs, values[0])) else ""
    )
    if folder and folder not in values[0] and _line(_widths(cells)) > width:
        for row in cells[1:]:
            row[0] = row[0].removeprefix(f"{folder}/")
        notes.append(f"all in: {folder}")
    equal = drop([at for at in spare if at in chosen and len(cells) > 2 and len(values[at]) == 1])
    others = drop([at for at in spare if at in chosen])
    if equal:
        notes.append(f"the same for all: {', '.join(f'{cells[0][at]} {cells[1][at]}' for at in sorted(equal))}")
    if others:
        notes.append(f"no room for: {', '.join(cells[0][at] for at in sorted(others))}")
    return chosen, notes


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def _line(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _fitted(widths: list[int], width: int, give: int | None) -> list[int]:
    """Take from the column that gives, then from the widest ones, what the terminal has not; from the names last."""
    over = _line(widths) - width
    if give is not None and over > 0:
        taken = min(over, max(0, widths[give] - 4))
        widths[give] -= taken
        over -= taken
    for least, columns in ((12, range(1, len(widths))), (12, range(1)), (4, range(len(widths)))):
        while over > 0 and max((widths[at] for at in columns), default=0) > least:
            widths[max(columns, key=lambda at: widths[at])] -= 1
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
    """Write a value for a person: floats with four significant digits."""
    if isinstance(value, float):
        return terminal.number(value)
    return "" if value is None else str(value)
