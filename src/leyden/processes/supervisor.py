"""Child processes: started in sessions of their own, asked to stop, and none of them left behind.

    all running ──► one fails ──► the others notice it ─── still running after `PATIENCE` ──► killed
            └─────► a signal ───► each gets it once ────── still running after the grace ───► killed

Each child leads a session of its own: Ctrl-C at the terminal reaches the starter alone, which passes it on exactly
once. A run takes a second one for "now, without saving".
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from leyden import regular
from leyden.errors import UnsafeFileError
from leyden.processes.failure import STOPPED
from leyden.processes.lifeline import Lifeline

PATIENCE = 30.0  # seconds the others have to notice that one has failed
GRACE = 300.0  # seconds to reach a step boundary and to save, once asked to stop


@dataclass(frozen=True)
class ProcessSpec:
    """How one process is started.

    Args:
        command: Its command line.
        environment: All its variables.
        output: File to which what it prints is appended; None leaves it on the terminal of the starter.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    output: Path | None = None


class ChildProcess:
    """A process in a session of its own.

    Args:
        spec: How it is started.
        stdout: Where it prints without an output file: a file, a descriptor or ``subprocess.PIPE``; None prints where
            this process does.
        stderr: Likewise.
        lifeline: Asks it to stop when this process ends; None lets it outlive this process.
        header: A line that is written to the output file first.

    Raises:
        OSError: If it cannot be started, or its output file cannot be opened: see `open_output`.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        stdout: Any = None,
        stderr: Any = None,
        lifeline: Lifeline | None = None,
        header: str | None = None,
    ) -> None:
        output = None if spec.output is None else open_output(spec.output)
        try:
            if output is not None:
                stdout, stderr = output, subprocess.STDOUT
            if output is not None and header is not None:
                os.write(output, f"{header}\n".encode())
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                list(spec.command), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
                env={**spec.environment, **(lifeline.variables if lifeline is not None else {})},
                pass_fds=(lifeline.reading,) if lifeline is not None else (),
            )  # fmt: skip
        finally:
            if output is not None:
                os.close(output)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit code, negative for the signal that ended it; None while it runs."""
        return self._process.poll()

    @property
    def pipes(self) -> list[tuple[IO[bytes], bool]]:
        """Pipes to read what it prints from, each with whether it carries errors."""
        both = ((self._process.stdout, False), (self._process.stderr, True))
        return [(pipe, carries_errors) for pipe, carries_errors in both if pipe is not None]

    def send(self, signum: int) -> None:
        """Send a signal to the process alone: its own children are its responsibility."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signum)

    def kill(self) -> None:
        """End the process and what it has started in its session, at once; does not wait."""
        if self.code is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        return self._process.wait()


class ProcessGroup:
    """Processes that work together: they are asked to stop together, and the end of one is the end of all.

    They do not outlive this process: see `leyden.processes.lifeline`.

    Args:
        specs: How each is started.
        grace: Seconds between a signal and the end of those that have not stopped.
        stdout: Where those without an output file print: see `ChildProcess`.
        stderr: Likewise.

    Raises:
        OSError: If one of them cannot be started; then none is left.
    """

    def __init__(
        self, specs: Sequence[ProcessSpec], grace: float = GRACE, stdout: Any = None, stderr: Any = None
    ) -> None:
        self.grace = grace
        self.ended: dict[int, int] = {}  # exit codes by index, in the order they were noticed; negative for a signal
        self.killed: set[int] = set()  # those that had not ended in time
        self.signalled = False
        self._deadline: float | None = None
        self._lifeline = Lifeline(grace)
        self._children: list[ChildProcess] = []
        try:
            for spec in specs:
                self._children.append(ChildProcess(spec, stdout, stderr, self._lifeline))
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes."""
        return [child.pid for child in self._children]

    @property
    def pipes(self) -> list[tuple[IO[bytes], bool]]:
        """Pipes of all of them: see `ChildProcess.pipes`."""
        return [pair for child in self._children for pair in child.pipes]

    def poll(self) -> bool:
        """Look at all of them once; returns whether they have all ended."""
        for index, child in enumerate(self._children):
            if index not in self.ended and (code := child.code) is not None:
                self.ended[index] = code
                if code and self._deadline is None:
                    stopping = self.signalled or code in STOPPED
                    self._deadline = time.monotonic() + (self.grace if stopping else min(PATIENCE, self.grace))
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._kill()
        return len(self.ended) == len(self._children)

    def send(self, signum: int) -> None:
        """Send a signal to each of them that runs."""
        self.signalled = True
        self._deadline = self._deadline or time.monotonic() + self.grace
        for index, child in enumerate(self._children):
            if index not in self.ended:
                child.send(signum)

    def close(self) -> None:
        """End those that still run, at once, and what they have started."""
        self._kill()
        self._lifeline.close()

    def _kill(self) -> None:
        for index, child in enumerate(self._children):
            if child.code is None:
                self.killed.add(index)
                child.kill()
                child.wait()


def open_output(path: Path) -> int:
    """Open a file for what a child prints, to append to it; returns its descriptor.

    Neither the file nor its folder may be a link, and the file has to be a regular one: a directory that was received
    from elsewhere must not choose where is written.

    Raises:
        OSError: If they are, or the file cannot be opened.
    """
    try:
        return regular.append(path.parent.parent, f"{path.parent.name}/{path.name}")
    except UnsafeFileError as error:
        raise OSError(errno.EINVAL, str(error).removeprefix(f"{path} ").rstrip("."), str(path)) from error
