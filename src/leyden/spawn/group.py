"""Several processes as one: started together, asked to stop together, and none of them left behind.

    all at work ──► one fails ──► the others notice it ─── still there after `PATIENCE` ──► killed
            └─────► a signal ───► each hears it once ───── still there after the grace ───► killed

Each process leads a session of its own: Ctrl-C at the terminal reaches the starter alone, which
passes it on exactly once. To a rank a second one would mean "now, without saving".
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

from leyden.spawn.lifeline import VARIABLE, Lifeline

PATIENCE = 30.0  # seconds that the others get to notice that one has failed
GRACE = 300.0  # seconds to reach a step boundary and to save, once asked to stop
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGUSR1, 128 + signal.SIGUSR2)
_PASSED_ON = {signal.SIGHUP: signal.SIGTERM}  # the terminal was closed


@dataclass(frozen=True)
class Member:
    """How one process is started.

    Args:
        words: Its command line.
        variables: Of its environment, all of them.
        output: File to append what it prints to; None leaves it on the terminal of this process.
    """

    words: Sequence[str]
    variables: Mapping[str, str]
    output: Path | None = None


class Group:
    """Processes that belong together.

    Args:
        members: How each is started.
        grace: Seconds between a signal and the end of those that have not stopped.
        stdout: Where those without a file print; None for where this process does.
        stderr: Likewise.
    """

    def __init__(self, members: Sequence[Member], grace: float = GRACE, stdout: Any = None, stderr: Any = None) -> None:
        self.grace = grace
        self.ended: dict[int, int] = {}  # exit codes in the order they were noticed; negative for a signal
        self.killed: set[int] = set()  # those that were too late
        self.signalled = False
        self._deadline: float | None = None
        self._lifeline = Lifeline()
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for member in members:
                self._processes.append(self._started(member, stdout, stderr))
        except BaseException:
            self.close()
            raise

    def _started(self, member: Member, stdout: Any, stderr: Any) -> subprocess.Popen[bytes]:
        file: IO[bytes] | None = open(member.output, "ab") if member.output is not None else None  # noqa: SIM115
        try:
            return subprocess.Popen(
                list(member.words), env={**member.variables, VARIABLE: str(self._lifeline.reading)},
                stdin=subprocess.DEVNULL, stdout=file or stdout, stderr=file or stderr,
                pass_fds=(self._lifeline.reading,), start_new_session=True,
            )  # fmt: skip
        finally:
            if file is not None:
                file.close()

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes."""
        return [each.pid for each in self._processes]

    @property
    def pipes(self) -> list[tuple[IO[bytes], bool]]:
        """What is to be read of what they print, and whether it is about errors."""
        both = [pair for each in self._processes for pair in ((each.stdout, False), (each.stderr, True))]
        return [(pipe, of_errors) for pipe, of_errors in both if pipe is not None]

    def poll(self) -> bool:
        """Look at all of them once; returns whether they have all ended."""
        for index, process in enumerate(self._processes):
            if index not in self.ended and (code := process.poll()) is not None:
                self.ended[index] = code
                if code and self._deadline is None:
                    stopping = self.signalled or code in STOPPED
                    self._deadline = time.monotonic() + (self.grace if stopping else min(PATIENCE, self.grace))
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._kill()
        return len(self.ended) == len(self._processes)

    def send(self, signum: int) -> None:
        """Pass a signal on to each of them, and to them alone: their own children are their business."""
        self.signalled = True
        self._deadline = self._deadline or time.monotonic() + self.grace
        for index, process in enumerate(self._processes):
            if index not in self.ended:
                with suppress(ProcessLookupError):
                    process.send_signal(signum)

    def close(self) -> None:
        """End whoever is left, at once, and what they have started."""
        self._kill()
        self._lifeline.close()

    def _kill(self) -> None:
        for index, process in enumerate(self._processes):
            if process.poll() is None:
                self.killed.add(index)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def relayed(signals: Sequence[int]) -> Iterator[list[int]]:
    """Collect *signals* within a block, instead of acting on them; does nothing outside of the main thread.

    Handlers found at the start are put back at the end.
    """
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def note(signum: int, frame: FrameType | None) -> None:
        heard.append(_PASSED_ON.get(signal.Signals(signum), signum))

    found: dict[int, Any] = {signum: signal.signal(signum, note) for signum in (*signals, *_PASSED_ON)}
    try:
        yield heard
    finally:
        for signum, previous in found.items():
            signal.signal(signum, previous if previous is not None else signal.SIG_DFL)
