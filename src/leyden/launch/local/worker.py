"""One run in a process of its own: started, asked to stop, noticed when it ends.

The process leads a session of its own: Ctrl-C at the terminal reaches the queue alone, which
passes it on exactly once. To a run a second one would mean "now, without saving".
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from leyden.launch import payload
from leyden.runs.directory import RunDirectory
from leyden.runs.record.liveness import is_here, state
from leyden.runs.record.moments import now
from leyden.runs.record.state import RunState

LOG = "job.log"


def log_of(directory: RunDirectory) -> Path:
    """Return the file of what the process of a run prints."""
    return directory.path / "logs" / LOG


class Worker:
    """The process that executes one run.

    Args:
        directory: Of the run.
        variables: Beside those of this process.
        trusted: What its config may name if it was not composed here.
        devices: GPUs it was lent.
    """

    def __init__(
        self, directory: RunDirectory, variables: Mapping[str, str], trusted: Sequence[str], devices: Sequence[str]
    ) -> None:
        self.directory, self.devices = directory, tuple(devices)
        log = log_of(directory)
        log.parent.mkdir(exist_ok=True)
        with open(log, "a", encoding="utf-8") as out:
            out.write(f"--- {now()}\n")
            out.flush()
            self._process = subprocess.Popen(
                payload.command(directory, trusted), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, **variables}, start_new_session=True,
            )  # fmt: skip

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal that killed it; None while it runs."""
        return self._process.poll()

    def send(self, signum: int) -> None:
        """Pass a signal on to the run, and to it alone: its own children are its business."""
        self._process.send_signal(signum)

    def kill(self) -> None:
        """End the run and whatever it has started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


class Found:
    """A run that somebody else has started, an earlier queue that is gone, say, and that still goes on.

    Args:
        directory: Of the run.
        devices: GPUs it was lent.
    """

    def __init__(self, directory: RunDirectory, devices: Sequence[str]) -> None:
        self.directory, self.devices = directory, tuple(devices)

    @property
    def code(self) -> int | None:
        """None while it runs; how it ended stands in its files."""
        return None if state(self.directory.status(), time.time()) is RunState.RUNNING else 0

    def send(self, signum: int) -> None:
        """Pass a signal on to the run, if it is executed by this machine."""
        status = self.directory.status()
        if status.pid is not None and is_here(status) and state(status, time.time()) is RunState.RUNNING:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(status.pid, signum)

    def kill(self) -> None:
        """End the run at once."""
        self.send(signal.SIGKILL)
