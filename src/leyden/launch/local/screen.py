"""What a queue shows: a table that is kept up to date on a terminal, a line an event elsewhere; a table at the end."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from leyden.config.project import shown
from leyden.errors import RunError
from leyden.launch.local.standing import Standing
from leyden.runs.directory import RunDirectory
from leyden.runs.listing import one
from leyden.runs.record.state import RunState
from leyden.runs.sweep import Point, best, conclusions, point, swept
from leyden.terminal import printable

if TYPE_CHECKING:
    from rich.table import Table

_EVERY = 0.5  # seconds between two drawings
_ORDER = (  # what is looked at first, first
    RunState.RUNNING, RunState.FAILED, RunState.DEAD, RunState.INTERRUPTED, RunState.SILENT, RunState.UNKNOWN,
    RunState.QUEUED, RunState.FINISHED,
)  # fmt: skip
_COUNTED = (RunState.FINISHED, RunState.RUNNING, RunState.QUEUED, RunState.INTERRUPTED, *_ORDER[1:3], *_ORDER[4:6])
_COLOURS = {
    RunState.FINISHED: "green", RunState.RUNNING: "cyan", RunState.INTERRUPTED: "yellow", RunState.FAILED: "red",
    RunState.DEAD: "red",
}  # fmt: skip
_ASKED = (
    "{name}: every run saves at the next step and stops (once more: at once)",
    "{name}: every run stops at once",
    "{name}: every run is killed",
)

Rows = Sequence[tuple[RunDirectory, Standing]]


class Screen:
    """Shows a queue.

    Args:
        live: Whether a person reads along; by default whether the output is a terminal.
    """

    def __init__(self, live: bool | None = None) -> None:
        self.live = sys.stdout.isatty() if live is None else live
        self._drawing: Any = None
        self._points: dict[Path, Point] = {}
        self._stack = ExitStack()
        self._asked = 0
        self._next = 0.0

    def __enter__(self) -> Self:
        if self.live:
            from rich.live import Live

            self._drawing = self._stack.enter_context(Live(auto_refresh=False, transient=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._drawing = None

    def say(self, line: str) -> None:
        """Print a line, above the table if there is one; runs do not end because nobody reads any more."""
        shown_line = "\t".join(map(printable, line.split("\t")))
        with suppress(OSError):
            if self._drawing is not None:
                self._drawing.console.print(shown_line, markup=False, highlight=False, soft_wrap=True)
            else:
                sys.stdout.write(f"{shown_line}\n")
                sys.stdout.flush()

    @staticmethod
    def shown(path: Path) -> str:
        """Write *path* as a person would."""
        return shown(path)

    def started(self, directory: RunDirectory, devices: Sequence[str]) -> None:
        """Say that a run was started; the table of a terminal shows it anyway."""
        if not self.live:
            self.say(f"started      {shown(directory.path)}" + (f"  on GPU {','.join(devices)}" if devices else ""))

    def found(self, directory: RunDirectory) -> None:
        """Say that a run was under way already."""
        self.say(f"under way    {shown(directory.path)}")

    def passed_over(self, directory: RunDirectory, standing: Standing) -> None:
        """Say that a run is not started."""
        why = "is finished" if standing.state is RunState.FINISHED else "was taken out of the queue"
        self.say(f"passed over  {shown(directory.path)}: it {why}")

    def ended(self, directory: RunDirectory, standing: Standing) -> None:
        """Say how a run has ended."""
        if not self.live:
            rest = "  ".join(part for part in (standing.metric or standing.reason, _span(standing.spent)) if part)
            self.say(f"{standing.state:<11}  {shown(directory.path)}  {rest}".rstrip())

    def stopping(self, signum: int) -> int:
        """Say what a signal does; returns how many there have been."""
        self._asked += 1
        self.say(_ASKED[min(self._asked, len(_ASKED)) - 1].format(name=signal.Signals(signum).name))
        return self._asked

    def show(self, standings: Callable[[], Rows], slots: int | None = None) -> None:
        """Draw the table of a terminal again, when it is time; only then *standings* are looked up."""
        if self._drawing is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY
        rows = standings()
        height = max(3, self._drawing.console.height - 6)
        first = sorted(rows, key=lambda row: _ORDER.index(row[1].state))[:height]
        drawn = [row for row in rows if row in first]
        table = _table(drawn, swept([self._point(row).typed for row in drawn]))
        more = f"{len(rows) - len(first)} not shown" if len(rows) > len(first) else ""
        table.caption = "; ".join(filter(None, [counted(rows), f"{slots} at a time" if slots else "", more]))
        with suppress(OSError):
            self._drawing.update(table, refresh=True)

    def summary(self, rows: Rows, deleted: Sequence[Path] = ()) -> None:
        """Print how all runs stand, and in the last line how many stand how, and which are not there any more."""
        rows = [row for row in rows if row[0].path not in deleted]
        self._points.clear()  # the runs have results by now
        points = [self._point(row) for row in rows]
        words = swept([point.typed for point in points])
        if self.live:
            from rich.console import Console

            Console().print(_table(rows, words, best(points)[1]))
        else:
            self.say("")
            for (directory, each), own in zip(rows, words, strict=True):
                cells = (each.state, each.metric or each.reason, _span(each.spent), shown(directory.path))
                self.say("\t".join([*cells, *([" ".join(own)] if own else [])]))
        shared = self.live and _folder(rows) is not None
        for line in conclusions([replace(each, name=Path(each.name).name) for each in points] if shared else points):
            self.say(line)
        gone = f"{len(deleted)} deleted: {', '.join(map(shown, deleted))}" if deleted else ""
        failed = next((each.path for each, standing in rows if standing.state is RunState.FAILED), None)
        if failed is not None:
            self.say(f"what has failed, with its frames:  leyden jobs why {shown(failed)}")
        self.say("; ".join(filter(None, [counted(rows) if rows or not gone else "", gone])))

    def _point(self, row: tuple[RunDirectory, Standing]) -> Point:
        """Return a run as a point of its grid; what was typed for it is read once."""
        path = row[0].path
        if path not in self._points:
            try:
                self._points[path] = replace(point(one(path, path.parent)), name=shown(path))
            except RunError:  # it has been deleted, or was never a whole run
                self._points[path] = Point(shown(path), (), {})
        return self._points[path]


def counted(rows: Rows) -> str:
    """Return how many runs stand how: ``5 finished, 1 failed``."""
    numbers = Counter(standing.state for _, standing in rows)
    return ", ".join(f"{numbers[state]} {state}" for state in _COUNTED if numbers[state]) or "no runs"


def _table(rows: Rows, words: Sequence[Sequence[str]], marked: int | None = None) -> Table:
    """Return a table of runs: what was swept, how each stands, what it came to; the one that is *marked* is best."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    told = any(words)
    folder = _folder(rows)
    if folder is not None:
        table.title, table.title_justify = Text(f"in {shown(folder)}"), "left"
    for name in ("run", *(["swept"] if told else []), "state", "result", "time"):
        wide = name in ("run", "swept")
        table.add_column(name, overflow="fold" if wide else "ellipsis", no_wrap=name in ("state", "time"))
    for at, (directory, each) in enumerate(rows):
        detail = each.metric or each.reason or (each.progress if each.state is not RunState.QUEUED else "")
        state = Text(each.state, style=_COLOURS.get(each.state, ""))
        result = Text(printable(detail) + (" best" if at == marked else ""), style="bold" if at == marked else "")
        name = printable(directory.path.name) if folder is not None else shown(directory.path)
        own = [Text(printable(" ".join(words[at])))] if told else []
        table.add_row(Text(name), *own, state, result, _span(each.spent))
    return table


def _folder(rows: Rows) -> Path | None:
    """Return the folder that several runs lie in, if it is one."""
    folders = {directory.path.parent for directory, _ in rows}
    return folders.pop() if len(folders) == 1 and len(rows) > 1 else None


def _span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
