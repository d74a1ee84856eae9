"""SIGINT and SIGTERM set a flag; the loop acts on it between two batches.

Nothing is done inside a handler: it may run in the middle of anything. A second SIGINT
means "now": it raises `KeyboardInterrupt` at once, as Python does without us.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopFlag:
    """Which signal asked to stop, if one did."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def _raise_flag(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and self.signum is not None:
            raise KeyboardInterrupt
        self.signum = signum

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the signals within a block; does nothing outside of the main thread, which alone may.

        Handlers found at the start are put back at the end.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        found: dict[int, Any] = {signum: signal.getsignal(signum) for signum in WATCHED}
        for signum in WATCHED:
            signal.signal(signum, self._raise_flag)
        try:
            yield
        finally:
            for number, previous in found.items():
                signal.signal(number, previous if previous is not None else signal.SIG_DFL)
