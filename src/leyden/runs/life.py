"""Is a run that says "running" still there? Its directory cannot tell after ``kill -9``; the process table can.

queued finished failed interrupted    as the directory says
running                               its process is there, or was heard of lately from another machine
dead                                  its process is gone
silent                                on another machine, and not heard of for ten minutes
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SILENT_AFTER = 600.0  # seconds; a heartbeat is due every ten, except while a run validates or tests
_SLACK = 5.0  # seconds between a process and the clock of its status


def state(status: Mapping[str, Any], now: float) -> str:
    """Return how a run stands.

    Args:
        status: What its `status.json` says.
        now: Seconds since 1970.
    """
    said = status.get("status")
    if said != "running":
        return str(said) if said else "unknown"
    started = seconds(status.get("started"))
    if status.get("host") == socket.gethostname():
        pid = status.get("pid")
        return "running" if type(pid) is int and alive(pid, started) else "dead"
    heard = seconds(status.get("updated"))
    return "running" if heard is not None and now - heard < SILENT_AFTER else "silent"


def seconds(moment: Any) -> float | None:
    """Return a moment written by `leyden.runs.directory.now` as seconds since 1970; None if it is none."""
    try:
        found = datetime.fromisoformat(str(moment))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


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
