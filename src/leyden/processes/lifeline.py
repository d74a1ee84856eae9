"""A child process whose starter has ended, killed -9 for instance, is asked to stop, as by SIGTERM.

    starter ═══ writing end of a pipe (held, never written to) ═══ reading end ═══ child: a thread that waits for EOF

The child saves at its next step boundary and ends. One that has not ended after the grace period is killed, with what
it has started: no starter is left that would do so.
"""

from __future__ import annotations

import os
import signal
import threading
import time

VARIABLE = "LEYDEN_LIFELINE"  # of a child: number of the reading end, and seconds of grace, "7:300.0"


class Lifeline:
    """The starter's end of the pipe; the system closes it when the process of the starter ends.

    Args:
        grace: Seconds a child has for saving once its starter has ended.
    """

    def __init__(self, grace: float) -> None:
        self.reading, self._writing = os.pipe()
        self.variables = {VARIABLE: f"{self.reading}:{grace}"}

    def close(self) -> None:
        """Close both ends; children that still run are asked to stop."""
        for end in (self.reading, self._writing):
            os.close(end)


def watch() -> None:
    """Watch the starter of this process, if it has one with a lifeline; may be called again."""
    end, _, grace = os.environ.pop(VARIABLE, "").partition(":")
    if not end:
        return
    os.set_inheritable(int(end), False)
    threading.Thread(target=_wait, args=(int(end), float(grace)), daemon=True, name="leyden-lifeline").start()


def _wait(end: int, grace: float) -> None:
    if os.read(end, 1) != b"":
        return
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    if os.getpgrp() == os.getpid():  # the supervisor makes every child the leader of a session
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
