"""Log messages while a bar is drawn: handlers that write to the terminal themselves write above the bar instead.

A `logging.StreamHandler` keeps the stream that it was given when it was made, Hydra's handler the standard output of
before the bar: what it writes stands in the middle of the bar's line, and the next picture of the bar overwrites it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

_STREAMS = {1: "stdout", 2: "stderr"}  # descriptors, and what `sys` calls them


class LogLines:
    """Leads log messages to another stream than the terminal, until it is closed.

    Args:
        above: Returns what stands for a stream of the terminal while the bar is drawn; by default what has its name in
            `sys`.
    """

    def __init__(self, above: Callable[[Any], Any] | None = None) -> None:
        self._led: list[tuple[logging.StreamHandler[Any], Any, Any]] = []
        for handler in _handlers():
            name = _STREAMS.get(_descriptor(handler.stream), "")
            if not name or not handler.stream.isatty():
                continue
            current = getattr(sys, name) if above is None else above(handler.stream)
            if current is not handler.stream:
                self._led.append((handler, handler.stream, current))
                handler.setStream(current)

    def close(self) -> None:
        """Let them write to the terminal themselves again, unless somebody has given them another stream."""
        while self._led:
            handler, before, given = self._led.pop()
            if handler.stream is given:
                handler.setStream(before)


def _handlers() -> Iterator[logging.StreamHandler[Any]]:
    """Yield every handler of any logger that writes to a stream."""
    loggers = [logging.getLogger(), *(each for each in logging.root.manager.loggerDict.values())]
    seen = {id(handler): handler for each in loggers if isinstance(each, logging.Logger) for handler in each.handlers}
    yield from (handler for handler in seen.values() if isinstance(handler, logging.StreamHandler))


def _descriptor(stream: Any) -> int:
    """Return the descriptor that *stream* writes to; -1 where it has none."""
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError, TypeError):  # it is closed, in memory, or somebody's own
        return -1
