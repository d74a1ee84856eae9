"""What a process forked from this one does not keep: its locks, and a life that is longer than this one's.

A forked child has every open file of its parent. A lock lasts until every process that has its file open has closed
it, so a loader's worker would hold the lock of a run whose process was killed. And a child may outlive its parent:
a worker of torch's that is forked just when its parent is killed takes the process that adopts it for its parent, and
waits for ever.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_own: list[IO[Any]] = []
_ending: list[object] = []


@contextmanager
def not_inherited(file: IO[Any]) -> Iterator[None]:
    """Let processes that are forked meanwhile close *file* at once."""
    _own.append(file)
    try:
        yield
    finally:
        if file in _own:
            _own.remove(file)


def end_with_this_process() -> None:
    """Have daemonic children that `multiprocessing` forks from now on end with this process, even if it is killed.

    It is done on Linux, for children of the main thread: the system watches the thread that has forked them.
    """
    from multiprocessing.util import register_after_fork

    if sys.platform == "linux" and not _ending:
        _ending.append(_Parent())
        register_after_fork(_ending[0], _end_with)


class _Parent:
    """What `multiprocessing` calls `_end_with` for, in each child."""


def _end_with(_: object) -> None:
    import ctypes
    import multiprocessing

    parent = multiprocessing.parent_process()
    daemonic = multiprocessing.current_process().daemon
    if parent is None or not daemonic or threading.current_thread().name != "MainThread":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent.pid:  # it has ended already
        os._exit(1)


def _close() -> None:
    while _own:
        _own.pop().close()


os.register_at_fork(after_in_child=_close)
