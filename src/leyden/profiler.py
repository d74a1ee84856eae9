"""The contract of a profiler: where the time of a run goes.

A profiler is consulted only when one was asked for: without one, no label is formed and
no context is entered anywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Profiler(ABC):
    """Measure named actions."""

    @abstractmethod
    def start(self, action_name: str) -> None:
        """An action begins."""

    @abstractmethod
    def stop(self, action_name: str) -> None:
        """An action ends."""

    def summary(self) -> str:
        """Return the report, ready to print."""
        return ""

    def describe(self, report: Callable[[str], None]) -> None:
        """Hand the report to *report* when a stage is over."""
        text = self.summary()
        if text:
            report(text)

    @contextmanager
    def profile(self, action_name: str) -> Iterator[str]:
        """Measure a block."""
        self.start(action_name)
        try:
            yield action_name
        finally:
            self.stop(action_name)

    def timed(self, action_name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return *function*, measured at every call."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            self.start(action_name)
            try:
                return function(*args, **kwargs)
            finally:
                self.stop(action_name)

        return measured
