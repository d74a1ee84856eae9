"""Sum up how often each action ran and how long it took."""

from __future__ import annotations

import os
import time
from collections import defaultdict

from leyden.errors import ConfigurationError
from leyden.profiler import Profiler


class SimpleProfiler(Profiler):
    """Record wall time per action, over all stages, and report one table at the end of each.

    Times include the actions inside: a batch contains its training step and its hooks. The
    share is that of the time since the profiler was made.

    Args:
        dirpath: Folder for the report; None means the trainer's `log_dir`.
        filename: Name of the report's file, without ending; None prints the report instead.
        extended: Whether the table has columns for the number of calls and the share.
    """

    def __init__(
        self, dirpath: str | os.PathLike[str] | None = None, filename: str | None = None, extended: bool = True
    ) -> None:
        super().__init__(dirpath, filename)
        self.extended = extended
        self.current_actions: dict[str, list[float]] = {}
        self.recorded_durations: dict[str, list[float]] = defaultdict(list)
        self.start_time = time.perf_counter()

    def start(self, action_name: str) -> None:
        """Start a clock for an action; one that is running already gets a second one, inside of it."""
        self.current_actions.setdefault(action_name, []).append(time.perf_counter())

    def stop(self, action_name: str) -> None:
        """Stop the clock of an action.

        Raises:
            ConfigurationError: If it was never started.
        """
        now = time.perf_counter()
        begun = self.current_actions.get(action_name)
        if not begun:
            raise never_started(action_name)
        self.recorded_durations[action_name].append(now - begun.pop())

    def summary(self) -> str:
        """Return a table of actions, the most expensive first."""
        if not self.recorded_durations:
            return ""
        elapsed = time.perf_counter() - self.start_time
        rows = [(name, len(times), sum(times)) for name, times in self.recorded_durations.items()]
        rows.sort(key=lambda row: row[2], reverse=True)
        width = max(len("Action"), *(len(name) for name, _, _ in rows))
        more = f"  {'Calls':>8}  {'%':>5}" if self.extended else ""
        lines = [f"{'Action':<{width}}  {'Mean ms':>10}  {'Total s':>10}{more}"]
        for name, calls, seconds in rows:
            more = f"  {calls:>8}  {100 * seconds / elapsed:>5.1f}" if self.extended else ""
            lines.append(f"{name:<{width}}  {1e3 * seconds / calls:>10.3f}  {seconds:>10.3f}{more}")
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def never_started(action_name: str) -> ConfigurationError:
    """Build the error of an action that ends without having begun."""
    return ConfigurationError(
        f"the action {action_name!r} was stopped, but it is not running: start() was never called with that name, or "
        f"stop() was called twice. Call start({action_name!r}) first, or use profile() as a context manager."
    )
