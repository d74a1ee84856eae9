"""What a rank that fails leaves for whoever has started it: a file in the form torchrun reads, too.

{"message": {"message": "ZeroDivisionError: ...", "extraInfo": {"py_callstack": ..., "timestamp": "1760000000"}},
 "leyden": {"time": 1760000000.123, "secondary": false}}
"""

from __future__ import annotations

import json
import os
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from leyden import atomic, secrets
from leyden.processes.failure import is_secondary

VARIABLE = "TORCHELASTIC_ERROR_FILE"


@dataclass(frozen=True)
class Report:
    """How a rank has failed.

    Args:
        message: The error in a line or a few.
        trace: Its traceback.
        time: Seconds since 1970.
        secondary: Whether it only tells that another rank failed.
    """

    message: str
    trace: str
    time: float
    secondary: bool


def write(error: BaseException) -> bool:
    """Leave a report; returns whether anybody has asked for one, and will tell of it."""
    place = os.environ.get(VARIABLE)
    if not place:
        return False
    trace = secrets.masked("".join(traceback.format_exception(error)))
    now = time.time()
    extra = {"py_callstack": trace, "timestamp": str(int(now))}
    message = secrets.masked(f"{type(error).__name__}: {error}")
    found = {"message": {"message": message, "extraInfo": extra}}
    atomic.write_json(place, found | {"leyden": {"time": now, "secondary": is_secondary(error)}})
    return True


def read(place: Path) -> Report | None:
    """Return what `write` has left; None where there is nothing, or half of it."""
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        message, ours = found["message"], found["leyden"]
        return Report(
            message["message"], message["extraInfo"]["py_callstack"], float(ours["time"]), bool(ours["secondary"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
