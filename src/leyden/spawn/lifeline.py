"""A rank whose starter is gone, killed -9 say, is asked to stop, as by SIGTERM: it saves at the next step boundary.

starter ═══ writing end of a pipe (held, never written to) ═══ reading end ═══ rank: a thread that waits for its end
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "LEYDEN_LIFELINE"  # number of the reading end


class Lifeline:
    """The starter's end; it is let go of when its process ends, however it ends."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()

    def close(self) -> None:
        """Let go."""
        for end in (self.reading, self._writing):
            os.close(end)


def watch() -> None:
    """Watch the starter, in a process that has one; may be called again."""
    end = os.environ.pop(VARIABLE, None)
    if end is None:
        return
    os.set_inheritable(int(end), False)
    threading.Thread(target=_wait, args=(int(end),), daemon=True, name="leyden-lifeline").start()


def _wait(end: int) -> None:
    if os.read(end, 1) == b"":
        os.kill(os.getpid(), signal.SIGTERM)
