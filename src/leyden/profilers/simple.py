"""Sum up how often each action ran and how long it took."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

from leyden.profiler import Profiler


class SimpleProfiler(Profiler):
    """Record wall time per action, and print one table at the end of a stage.

    Times include the actions inside: a training step contains its backward hooks.

    Args:
        dirpath: Folder for the report, when it is to be written to a file.
        filename: Name of that file, without ending.
        extended: Accepted for compatibility; the table always has all columns.
    """

    def __init__(self, dirpath: str | None = None, filename: str | None = None, extended: bool = True) -> None:
        self.dirpath = dirpath
        self.filename = filename
        self.extended = extended
        self._running: dict[str, float] = {}
        self.durations: dict[str, list[float]] = defaultdict(list)

    def start(self, action_name: str) -> None:
        """Start the clock of an action."""
        self._running[action_name] = time.perf_counter()

    def stop(self, action_name: str) -> None:
        """Stop the clock of an action; one that never started is ignored."""
        begun = self._running.pop(action_name, None)
        if begun is not None:
            self.durations[action_name].append(time.perf_counter() - begun)

    def summary(self) -> str:
        """Return a table of actions, the most expensive first."""
        if not self.durations:
            return ""
        rows = sorted(
            ((name, len(times), sum(times)) for name, times in self.durations.items()), key=lambda row: -row[2]
        )
        width = max(len(name) for name, _, _ in rows)
        total = max(seconds for _, _, seconds in rows)
        head = f"{'Action':<{width}}  {'Calls':>8}  {'Mean ms':>10}  {'Total s':>10}  {'%':>5}"
        lines = [
            f"{name:<{width}}  {calls:>8}  {1e3 * seconds / calls:>10.3f}  {seconds:>10.3f}  "
            f"{100 * seconds / total:>5.1f}"
            for name, calls, seconds in rows
        ]
        text = "\n".join([head, "-" * len(head), *lines])
        if self.dirpath is not None and self.filename is not None:
            Path(self.dirpath).mkdir(parents=True, exist_ok=True)
            Path(self.dirpath, f"{self.filename}.txt").write_text(text + "\n", encoding="utf-8")
        return text
