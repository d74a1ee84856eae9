"""Record every Python function called within each action, with the profiler of the standard library.

One profile runs at a time: an action that begins inside another one pauses it, and the
outer one goes on when the inner one ends. So each function is counted once, under the
innermost action, and the reports add up.
"""

from __future__ import annotations

import cProfile
import io
import os
import pstats
from collections import defaultdict
from typing import Any

from leyden.profiler import Profiler
from leyden.profilers.simple import never_started


class AdvancedProfiler(Profiler):
    """Report calls and times of Python functions for every action; slow, and long to read.

    Args:
        dirpath: Folder for the report; None means the trainer's `log_dir`.
        filename: Name of the report's file, without ending; None prints the report instead.
        line_count_restriction: How many functions to list for each action: a number (int) or a part (float).
        dump_stats: Write ``<stage>-<filename>-<action>.prof`` files, too, for a viewer such as snakeviz.
    """

    def __init__(
        self,
        dirpath: str | os.PathLike[str] | None = None,
        filename: str | None = None,
        line_count_restriction: float = 1.0,
        dump_stats: bool = False,
    ) -> None:
        super().__init__(dirpath, filename)
        self.line_count_restriction = line_count_restriction
        self.dump_stats = dump_stats
        self.profiled_actions: dict[str, cProfile.Profile] = defaultdict(cProfile.Profile)
        self._running: list[str] = []

    def start(self, action_name: str) -> None:
        """Pause the action being recorded, and record this one."""
        if self._running:
            self.profiled_actions[self._running[-1]].disable()
        self._running.append(action_name)
        self.profiled_actions[action_name].enable()

    def stop(self, action_name: str) -> None:
        """Stop recording this action, and go on with the one around it.

        Raises:
            ConfigurationError: If it was never started.
        """
        if action_name not in self._running:
            raise never_started(action_name)
        self.profiled_actions[self._running[-1]].disable()
        self._running.reverse()
        self._running.remove(action_name)  # the innermost one of that name
        self._running.reverse()
        if self._running:
            self.profiled_actions[self._running[-1]].enable()

    def summary(self) -> str:
        """Return the functions of each action, by the time spent in them and in what they call."""
        parts = []
        for action, profile in self.profiled_actions.items():
            profile.create_stats()
            if not profile.stats:
                continue
            if self.dump_stats:
                profile.dump_stats(self._file(action, ".prof"))
            text = io.StringIO()
            stats = pstats.Stats(profile, stream=text).strip_dirs().sort_stats("cumulative")
            stats.print_stats(self.line_count_restriction)
            parts.append(f"Profile of {action}\n{text.getvalue().strip()}")
        return "\n\n".join(parts)

    def teardown(self, stage: str | None) -> None:
        """Forget the stage that is over."""
        for profile in self.profiled_actions.values():
            profile.disable()
        self.profiled_actions.clear()
        self._running.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the records behind: they cannot be pickled."""
        return super().__getstate__() | {"profiled_actions": defaultdict(cProfile.Profile), "_running": []}
