"""Measure nothing: what a trainer has for a profiler when none was asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from leyden.profiler import Profiler


class PassThroughProfiler(Profiler):
    """Let ``with trainer.profiler.profile("name")`` stand in a module at no cost worth mentioning."""

    measures = False

    def start(self, action_name: str) -> None:
        """Do nothing."""

    def stop(self, action_name: str) -> None:
        """Do nothing."""

    def profile(self, action_name: str) -> AbstractContextManager[str]:  # type: ignore[override]
        """Enter and leave a block without looking at it."""
        return nullcontext(action_name)
