"""A contender's end of the pipes: work is done in turns, and only when told so.

    driver    go ───────────────►      ◄─── {"seconds": 0.041, ...}      go ──► ...
    contender       one turn of work                                 (stopped)

Between two turns the process is stopped as a whole (SIGSTOP), its other threads too, so that
nothing of it disturbs whoever's turn it is. The clock starts after the word to go was read
and stops before anything is reported.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_MEMORY = Path("/proc/self/status")


class Gate:
    """Counts steps, and waits for the driver at the end of each turn.

    Args:
        chunk: Steps in one turn.
        inbox: File descriptor on which a line means "go", and the end of the file "leave".
        outbox: File descriptor to which a turn is reported, one line of JSON each.
    """

    def __init__(self, chunk: int, inbox: int, outbox: int) -> None:
        self._chunk, self._left, self._steps = chunk, 1, 0
        self._inbox, self._outbox = os.fdopen(inbox), os.fdopen(outbox, "w")
        _die_with_the_driver()
        self._wall: float | None = None
        self._cpu, self._resident = 0.0, 0.0
        self.loss: Tensor | None = None

    def tick(self, model: nn.Module) -> None:
        """Count a step that begins; the first one waits for the first turn."""
        self._left -= 1
        if self._left:
            return
        self.turn(model)
        self._left = self._chunk
        self._steps += self._chunk

    def turn(self, model: nn.Module | None = None) -> None:
        """Report the turn that ends here, and wait for the next one; leave the process if there is none."""
        report: dict[str, Any] = {"steps": self._steps}
        if self._wall is not None:
            report |= {"seconds": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}
            report["extra_mib"] = _mebibytes("VmHWM") - self._resident
        if model is not None:
            report["weights"] = sum(float(each.detach().abs().sum(dtype=torch.float64)) for each in model.parameters())
            report["loss"] = None if self.loss is None else float(self.loss.detach())
        print(json.dumps(report), file=self._outbox, flush=True)
        if not self._inbox.readline():
            os._exit(0)  # in the middle of a fit: there is nothing to be tidied up
        _forget_peak()
        self._resident, self._cpu, self._wall = _mebibytes("VmRSS"), time.process_time(), time.perf_counter()


def _die_with_the_driver() -> None:
    """Ask the kernel to end this process when its parent ends: a stopped one would stay for ever (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _mebibytes(name: str) -> float:
    """Return one of the kernel's figures about this process; 0 where there is no /proc."""
    found = re.search(rf"{name}:\s+(\d+) kB", _MEMORY.read_text()) if _MEMORY.exists() else None
    return int(found[1]) / 1024 if found else 0.0


def _forget_peak() -> None:
    """Let the kernel count the peak of resident memory from here on (Linux)."""
    if _MEMORY.exists():
        Path("/proc/self/clear_refs").write_text("5")
