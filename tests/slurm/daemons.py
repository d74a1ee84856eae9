"""Processes that outlive the command which started them, and are found again by a later one.

A pid is recorded along with the moment its process began: a number that has been given to
another process since is not taken for ours, so that nothing else is ever signalled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class Daemons:
    """The daemons of one cluster.

    Args:
        folder: ``pids/NAME`` and ``log/NAME.out`` are kept below it.
    """

    def __init__(self, folder: Path) -> None:
        self.pids, self.log = folder / "pids", folder / "log"

    def start(self, name: str, words: Sequence[str], environment: dict[str, str]) -> int:
        """Start *words* in a session of their own, and record them as *name*; returns the pid."""
        with (self.log / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment
            )
        self.record(name, process.pid)
        return process.pid

    def record(self, name: str, pid: int) -> None:
        """Remember that process *pid* is *name*."""
        (self.pids / name).write_text(f"{pid} {began(pid)}")

    def alive(self, name: str) -> int | None:
        """Return the pid of *name*, None if it does not run."""
        try:
            pid, moment = (self.pids / name).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if moment == str(began(int(pid))) and moment != "None" else None

    def names(self) -> list[str]:
        """Return everything that was recorded."""
        return sorted(each.name for each in self.pids.iterdir()) if self.pids.is_dir() else []

    def ask(self, name: str, number: int = signal.SIGTERM) -> None:
        """Send a signal to *name*, if it runs."""
        pid = self.alive(name)
        if pid is not None:
            os.kill(pid, number)

    def stop(self, name: str, patience: float = 15.0) -> None:
        """Ask *name* to end, wait, and kill it after *patience* seconds."""
        self.ask(name)
        if not wait_for(lambda: self.alive(name) is None, patience):
            self.ask(name, signal.SIGKILL)
            wait_for(lambda: self.alive(name) is None, 5.0)
        (self.pids / name).unlink(missing_ok=True)

    def expect(self, name: str, holds: Callable[[], bool], patience: float = 30.0) -> None:
        """Wait until *holds*.

        Raises:
            SystemExit: If *name* has ended, or nothing happens within *patience* seconds.
        """
        ready = wait_for(lambda: holds() or self.alive(name) is None, patience)
        if not ready or not holds():
            said = (self.log / f"{name}.out").read_text(errors="replace").splitlines()[-5:]
            raise SystemExit("\n".join([f"{name} did not come up; see {self.log}", *said]))


def began(pid: int) -> int | None:
    """Return when a process began, in the kernel's own count; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def wait_for(holds: Callable[[], bool], patience: float) -> bool:
    """Ask again and again whether something *holds*, for *patience* seconds at most."""
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
