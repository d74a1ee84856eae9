"""Which process of this machine executes a run: the one that holds its lock, whatever its files say.

A directory may name any process, and its lock may be a link to anything that a process has open. So a process is meant
only if it holds a lock on the very file ``.lock`` of the directory, a regular one without another name.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from leyden import regular
from leyden.errors import UnsafeFileError
from leyden.runs.gate import LOCK
from leyden.runs.record import status
from leyden.runs.record.liveness import alive, is_here


def executing(path: Path) -> int | None:
    """Return the process of this machine that executes the run in *path*; None if none does, or it cannot be told."""
    said = status.read(path)
    if said.pid is None or not is_here(said) or not alive(said.pid, said.started_at):
        return None
    return said.pid if _holds(said.pid, path) else None


def _holds(pid: int, path: Path) -> bool:
    """Whether process *pid* holds the lock of the run in *path*."""
    with suppress(OSError, UnsafeFileError), regular.opened(path, LOCK) as file:
        found = os.fstat(file.fileno())
        if found.st_nlink != 1:
            return False
        if not os.path.isdir("/proc/self/fdinfo"):
            return _is_taken(file.fileno()) and file.read(20).strip() == str(pid).encode()
        return any(_is_locked(pid, number, found) for number in os.listdir(f"/proc/{pid}/fd"))
    return False


def _is_locked(pid: int, number: str, lock: os.stat_result) -> bool:
    """Whether an open file of a process is that lock, and locked."""
    with suppress(OSError):
        if os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), lock):
            with open(f"/proc/{pid}/fdinfo/{number}", encoding="utf-8") as file:
                return "FLOCK" in file.read(10_000)
    return False


def _is_taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False
