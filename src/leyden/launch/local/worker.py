"""One run in a process of its own: started, asked to stop, noticed when it ends.

The process outlives a queue that is killed: the next queue finds and watches it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from leyden import regular
from leyden.launch import payload
from leyden.processes.supervisor import ChildProcess, ProcessSpec
from leyden.runs.directory import RunDirectory
from leyden.runs.lock import executing
from leyden.runs.record.liveness import is_here, state
from leyden.runs.record.moments import now
from leyden.runs.record.state import RunState

LOG = "job.log"


def log_of(directory: RunDirectory) -> Path:
    """Return the file of what the process of a run prints."""
    return directory.path / "logs" / LOG


class Worker(ChildProcess):
    """The process that executes one run.

    Args:
        directory: The run directory.
        variables: Variables beside those of this process.
        trusted: What its config may name if it was not composed here.
        devices: GPUs it was lent.

    Raises:
        OSError: If it cannot be started: its log is a link, for instance.
    """

    def __init__(
        self, directory: RunDirectory, variables: Mapping[str, str], trusted: Sequence[str], devices: Sequence[str]
    ) -> None:
        self.directory, self.devices = directory, tuple(devices)
        regular.folder(directory.path, "logs")
        spec = ProcessSpec(payload.command(directory, trusted), {**os.environ, **variables}, log_of(directory))
        super().__init__(spec, header=f"--- {now()}")


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
        status = self.directory.status()
        if is_here(status):
            return 0 if executing(self.directory.path) is None else None
        return None if state(status, time.time()) is RunState.RUNNING else 0

    def send(self, signum: int) -> None:
        """Pass a signal on to the run, if it is executed by this machine."""
        pid = executing(self.directory.path)
        if pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)

    def kill(self) -> None:
        """End the run at once."""
        self.send(signal.SIGKILL)
