"""Signals that arrive before training listens to them.

A job of SLURM may be told that its time is up while Python is still importing: the default action of that signal
ends the process, and the run with it. So the first thing an executing process does is to take note of it.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

_noted: list[int] = []


def listen() -> None:
    """Take note of the signals that a cluster announces the end with; does nothing outside of a job of SLURM."""
    if "SLURM_JOB_ID" in os.environ:
        for signum in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(signum, note)


def leave() -> None:
    """Let the program that replaces this process live through the signals until it listens itself.

    What is ignored stays ignored across ``exec``, and what is handled does not.
    """
    if "SLURM_JOB_ID" in os.environ:
        for signum in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(signum, signal.SIG_IGN)


def noted() -> int | None:
    """Return the signal that has arrived so far, if one has."""
    return _noted[0] if _noted else None


def note(signum: int, frame: FrameType | None) -> None:
    """Keep *signum* in mind."""
    _noted.append(signum)
