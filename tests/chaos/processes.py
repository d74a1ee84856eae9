"""Processes of a trial: begun by forking or anew, killed, and waited for until none of them is left."""

from __future__ import annotations

import fcntl
import json
import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.chaos.hook import assassin

HOOK = Path(__file__).parent / "hook"
ROOT = Path(__file__).parents[2]
VARIABLES = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "WANDB_MODE": "disabled", "WANDB_SILENT": "true"}
PATHS = os.pathsep.join([str(HOOK), *filter(None, [os.environ.get("PYTHONPATH")])])
LIMIT = 150.0  # seconds after which a command has hung
LEFT = 60.0  # seconds that processes may go on after the one that started them was killed


@dataclass(frozen=True)
class Strike:
    """When a process is killed, and who with it.

    Args:
        victim: As `assassin.kill` takes it.
        kind: Of the event it is killed at; None for a moment by the clock.
        nth: Such event.
        delay: Seconds after the event, or after the start.
    """

    victim: str
    kind: str | None = None
    nth: int = 1
    delay: float = 0.0

    def __str__(self) -> str:
        after = f" + {1000 * self.delay:g} ms" if self.delay else ""
        return f"{self.victim} at {f'{self.kind} ({self.nth})' if self.kind else 'start'}{after}"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        code: Exit code, negative for a signal.
        struck: Whether the strike came to pass.
        seconds: It took.
        problem: What should never happen: it hung, or left processes behind.
    """

    code: int
    struck: bool
    seconds: float
    problem: str = ""


class Starter:
    """Starts commands, one at a time; each is forked from a server that is ready for it, or a new interpreter."""

    def __enter__(self) -> Starter:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.server"], cwd=ROOT, env={**os.environ, **VARIABLES},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._requests, self._answers = self._server.stdin, self._server.stdout
        self._answers.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.close()
        self._server.wait()
        self._answers.close()

    def run(
        self, words: list[str], sandbox: Path, tag: str, strike: Strike | None, journal: Path | None = None,
        anew: bool = False, waits: bool = True,
    ) -> Ended:  # fmt: skip
        """Run ``leyden words`` in *sandbox* until it ends, or is killed by *strike*.

        Args:
            words: The command line.
            sandbox: The current directory; events below it count.
            tag: Of the trial.
            strike: Kills it; None lets it live.
            journal: File for its events.
            anew: Whether to start a new interpreter.
            waits: Whether to wait for processes that outlive it.
        """
        struck = sandbox.parent / f"{sandbox.name}.struck"
        struck.unlink(missing_ok=True)
        chosen = strike if strike is not None and strike.kind is not None else None
        settings = {
            "root": str(sandbox), "journal": journal and str(journal), "struck": str(struck), "tag": tag,
            "strike": chosen and asdict(chosen),
        }  # fmt: skip
        variables = {**VARIABLES, "PYTHONPATH": PATHS, assassin.SETTINGS: json.dumps(settings)}
        output = self.output(sandbox)
        with open(output, "a") as file:
            file.write(f"--- leyden {' '.join(words)}    {strike or 'undisturbed'}{', anew' if anew else ''}\n")
        began = time.monotonic()
        pid, ended = (self._anew if anew else self._forked)(words, sandbox, variables, output)
        by_clock = strike is not None and strike.kind is None
        code = ended(strike.delay if strike is not None and by_clock else LIMIT)
        if strike is not None and by_clock and code is None:
            struck.touch()
            _kill(strike.victim, pid, tag)
            code = ended(LIMIT)
        problem = ""
        if code is None:
            problem = f"had not ended after {LIMIT:g} s"
            _kill("all", pid, tag)
            code = ended(LIMIT) or 0
        if waits:
            problem = problem or self.left(pid, tag, sandbox)
        return Ended(code, struck.exists(), time.monotonic() - began, problem)

    @staticmethod
    def left(root: int | None, tag: str, sandbox: Path) -> str:
        """Wait until no process of a trial is left; those that stay too long are killed, and named.

        A process that is ending has lost its environment before it gives up its locks.

        Args:
            root: The process that was started last, which leads a group.
            tag: Text that the environment of each process of the trial holds.
            sandbox: Folder in which the trial runs.
        """
        deadline = time.monotonic() + LEFT
        pause = 0.002
        while (root is not None and _alive(root)) or assassin.tagged(tag) or _locked(sandbox):
            if time.monotonic() > deadline:
                names = sorted({_name(each) for each in assassin.tagged(tag)})
                _kill("all", root, tag)
                return f"processes went on for {LEFT:g} s after their starter had gone: {names}"
            time.sleep(pause)
            pause = min(0.2, 2 * pause)
        return ""

    @staticmethod
    def output(sandbox: Path) -> Path:
        """Return the file of what the commands in a sandbox print."""
        return sandbox.parent / f"{sandbox.name}.out"

    def _forked(
        self, words: list[str], sandbox: Path, variables: dict[str, str], output: Path
    ) -> tuple[int, Callable[[float], int | None]]:
        request = {"words": words, "cwd": str(sandbox), "variables": variables, "output": str(output)}
        self._requests.write(json.dumps(request) + "\n")
        pid = int(self._answers.readline())

        def ended(seconds: float) -> int | None:
            return int(self._answers.readline()) if select.select([self._answers], [], [], seconds)[0] else None

        return pid, ended

    def _anew(
        self, words: list[str], sandbox: Path, variables: dict[str, str], output: Path
    ) -> tuple[int, Callable[[float], int | None]]:
        with open(output, "ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "leyden", *words], cwd=sandbox, env={**os.environ, **variables},
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip

        def ended(seconds: float) -> int | None:
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                return None

        return process.pid, ended


def _kill(victim: str, root: int | None, tag: str) -> None:
    """Kill from outside: of several processes one that was drawn is the ``process``."""
    others = [each for each in assassin.tagged(tag) if each != root]
    if victim == "process" and others:
        assassin.send(random.choice(others))
    elif victim in ("process", "starter") and root is not None:
        assassin.send(root)
    elif victim == "group" and root is not None:
        assassin.send(-root)
    else:
        deadline = time.monotonic() + 10
        if root is not None:
            assassin.send(-root)
        while (found := assassin.tagged(tag)) and time.monotonic() < deadline:
            for each in found:
                assassin.send(each)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _locked(sandbox: Path) -> bool:
    """Whether a process holds the lock of a run below *sandbox*."""
    for path in sandbox.rglob(".lock"):
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
    return False


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[-60:].strip()
    except OSError:
        return "gone"
