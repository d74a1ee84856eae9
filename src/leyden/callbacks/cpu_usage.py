"""How busy the processor is, and how full its memory, of the machine as a whole.

Linux tells it in ``/proc``; on other systems psutil is asked. Numbers and names are psutil's.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from leyden.errors import ConfigurationError

_STAT, _MEMORY = Path("/proc/stat"), Path("/proc/meminfo")
_COUNTED = 8  # user nice system idle iowait irq softirq steal; guests are counted as users already
_IDLE = (3, 4)


class CpuUsage:
    """Read the usage since the last reading.

    Raises:
        ConfigurationError: If there is neither ``/proc`` nor psutil.
    """

    def __init__(self) -> None:
        self._psutil: Any = None
        self._before = (0, 0)
        if _STAT.exists() and _MEMORY.exists():
            self._before = _busy_and_total()
        elif find_spec("psutil") is not None:
            self._psutil = import_module("psutil")
        else:
            raise ConfigurationError(
                "statistics of the CPU were asked for, but this system has no /proc and psutil is not installed. "
                "Install it with: pip install psutil, or pass cpu_stats=False."
            )

    def read(self) -> dict[str, float]:
        """Return ``cpu_percent``, ``cpu_vm_percent`` and ``cpu_swap_percent``, each between 0 and 100."""
        if self._psutil is not None:
            return {
                "cpu_vm_percent": self._psutil.virtual_memory().percent,
                "cpu_percent": self._psutil.cpu_percent(),
                "cpu_swap_percent": self._psutil.swap_memory().percent,
            }
        before, now = self._before, _busy_and_total()
        self._before = now
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in _MEMORY.read_text().splitlines()}
        return {
            "cpu_vm_percent": _percent(sizes["MemTotal"] - sizes["MemAvailable"], sizes["MemTotal"]),
            "cpu_percent": _percent(now[0] - before[0], now[1] - before[1]),
            "cpu_swap_percent": _percent(sizes["SwapTotal"] - sizes["SwapFree"], sizes["SwapTotal"]),
        }


def _busy_and_total() -> tuple[int, int]:
    """Return the ticks spent working, and all ticks, since the machine was started."""
    with _STAT.open() as file:
        ticks = [int(each) for each in file.readline().split()[1 : 1 + _COUNTED]]
    total = sum(ticks)
    return total - sum(ticks[each] for each in _IDLE), total


def _percent(part: int, whole: int) -> float:
    return min(max(round(100 * part / whole, 1), 0.0), 100.0) if whole > 0 else 0.0
