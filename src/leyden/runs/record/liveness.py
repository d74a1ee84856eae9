"""Is a run that says "running" still there? Its directory cannot tell after ``kill -9``; the process table can.

queued finished failed interrupted    as the directory says
running                               its process is there, or was heard of lately from another machine
dead                                  its process is gone
silent                                on another machine, and not heard of for ten minutes
"""

from __future__ import annotations

import os
from pathlib import Path

from leyden.runs.record.state import RunState
from leyden.runs.record.status import Status

SILENT_AFTER = 600.0  # seconds; a heartbeat is due every ten, except while a run validates or tests
_SLACK = 5.0  # seconds between a process and the clock of its status


def state(status: Status, now: float) -> RunState:
    """Return how a run stands.

    Args:
        status: What its `status.json` says.
        now: Seconds since 1970.
    """
    if status.state is not RunState.RUNNING:
        return status.state
    if is_here(status):
        there = status.pid is not None and alive(status.pid, status.started_at)
        return RunState.RUNNING if there else RunState.DEAD
    heard = status.updated_at
    lately = heard is not None and abs(now - heard) < SILENT_AFTER  # in the future: by a clock that cannot be believed
    return RunState.RUNNING if lately else RunState.SILENT


def is_here(status: Status) -> bool:
    """Whether the process of the last attempt belongs to this machine."""
    return status.host == this_host()


def this_host() -> str:
    """Return the name of this machine, as `socket.gethostname` does, whose import is a twentieth of a listing."""
    return os.uname().nodename


def alive(pid: int, started: float | None) -> bool:
    """Tell whether process *pid* of this machine is the one that was there at *started*.

    Its number may have been given to another one since, which began later.
    """
    if pid <= 0:  # a group of processes
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return False
    except PermissionError:
        pass  # there, and somebody else's
    try:
        began = _began(pid)
    except (OSError, ValueError, IndexError):
        return True  # no /proc: nothing more can be told
    return began is not None and (started is None or began <= started + _SLACK)


def _began(pid: int) -> float | None:
    """Return when a process began, in seconds since 1970; None if it has ended and nobody has asked how."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    boot = next(
        line for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines() if line.startswith("btime")
    )
    return int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
