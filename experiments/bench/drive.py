"""Lockstep: every contender is a live process, and one of them runs at a time.

    base  X  base  Y  base  Z  base        one round, in an order drawn anew for each

A ratio is X's turn over the mean of the two base turns beside it, so that a machine that
gets slower or faster within a minute changes both. It is taken by the clock and in CPU time
(all threads of a contender): where others use the machine too, CPU time is the steadier one.

What a contender draws goes to a terminal that is read, as with a person in front of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Turn = dict[str, Any]


def environment() -> dict[str, str]:
    """One thread, this project importable, modules compiled once, and nothing reported to a server."""
    paths = [str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    terminal = {"TERM": "xterm-256color", "COLUMNS": "120", "CI": ""}
    quiet = {"WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    found = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**found, **terminal, **quiet, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}


class Live:
    """A contender as a process; stopped, except while it is its turn.

    Args:
        name: What it is called in the results.
        words: The command; the numbers of the two pipes are added to it.
    """

    def __init__(self, name: str, words: Sequence[str]) -> None:
        self.name, self.turns = name, list[Turn]()
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self._screen = bytearray()
        read, self._go = os.pipe()
        self._reports, write = os.pipe()
        terminal, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, *words, str(read), str(write)],
            cwd=self._folder.name,
            env=environment(),
            pass_fds=(read, write),
            stdin=screen,
            stdout=screen,
            stderr=screen,
        )
        for each in (read, write, screen):
            os.close(each)
        threading.Thread(target=self._watch, args=(terminal,), daemon=True).start()
        self._lines = os.fdopen(self._reports)

    def ready(self) -> None:
        """Wait until it is about to make its first step."""
        self._hear()

    def turn(self) -> Turn:
        """Let it do one turn of work, and return what it reports."""
        self._process.send_signal(signal.SIGCONT)
        os.write(self._go, b"go\n")
        self.turns.append(self._hear())
        return self.turns[-1]

    def leave(self) -> float:
        """End it; return the most memory it ever had resident, in MiB."""
        self._process.kill()
        _, _, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = -signal.SIGKILL
        os.close(self._go)
        self._lines.close()
        self._folder.cleanup()
        return usage.ru_maxrss / 1024

    def _hear(self) -> Turn:
        line = self._lines.readline()
        if not line:
            shown = self._screen[-3000:].decode(errors="replace")
            raise RuntimeError(f"the contender {self.name!r} ended on its own. The end of what it printed:\n{shown}")
        self._process.send_signal(signal.SIGSTOP)
        report: Turn = json.loads(line)
        return report

    def _watch(self, terminal: int) -> None:
        while True:
            try:
                self._screen += os.read(terminal, 65536)
            except OSError:  # nobody holds the other end any more
                os.close(terminal)
                return
            del self._screen[:-10_000]


def race(
    base: str, others: Sequence[str], command: Callable[[str], Sequence[str]], rounds: int, warm: int = 2
) -> dict[str, Any]:
    """Run *others* against *base* for so many rounds; return ratios and what they were made of, by name.

    Args:
        base: The contender that stands beside every other.
        others: The others; each has one turn a round.
        command: Gives the command line of a contender.
        rounds: How many rounds count.
        warm: Turns of each that come first and do not.
    """
    order, draw, triples = list(others), random.Random(0), {name: list[tuple[Turn, Turn, Turn]]() for name in others}
    live: dict[str, Live] = {}
    peaks: dict[str, float] = {}
    try:
        for pair in _pairs((base, *others)):
            live |= {name: Live(name, command(name)) for name in pair}
            for name in pair:
                live[name].ready()
        for each in live.values():
            for _ in range(warm):
                each.turn()
        for _ in range(rounds):
            draw.shuffle(order)
            before = live[base].turn()
            for name in order:
                own, after = live[name].turn(), live[base].turn()
                triples[name].append((own, before, after))
                before = after
    finally:
        peaks |= {name: each.leave() for name, each in live.items()}
    results = {name: _summary(live[name], triples.get(name)) | {"peak_mib": peaks[name]} for name in live}
    for name in others:
        results[name] |= _agreement(live[name].turns, live[base].turns)
    return results


def _pairs(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield two names at a time: starting is mostly importing, and two cores are common."""
    return (names[at : at + 2] for at in range(0, len(names), 2))


def _summary(live: Live, triples: list[tuple[Turn, Turn, Turn]] | None) -> dict[str, Any]:
    """Return quartiles of the ratios by the clock and in CPU time, and the ratio of all turns together."""
    timed = live.turns[2:] or live.turns
    found: dict[str, Any] = {"ms": 1e3 * _quartiles([turn["seconds"] for turn in timed])[1]}
    found["extra_mib"] = max(turn["extra_mib"] for turn in timed)
    for name, figure in (("ratio", "seconds"), ("cpu", "cpu")):
        sides = [(own[figure], (left[figure] + right[figure]) / 2) for own, left, right in triples or ()]
        found[name] = _quartiles([own / beside for own, beside in sides] or [1.0])
        found[f"{name}_of_all"] = sum(own for own, _ in sides) / sum(beside for _, beside in sides) if sides else 1.0
    return found


def _quartiles(values: list[float]) -> list[float]:
    """Return the first quartile, the median and the third."""
    return quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3


def _agreement(own: list[Turn], base: list[Turn]) -> dict[str, Any]:
    """Compare weights and loss after the last number of steps that both have stood at."""
    there = {turn["steps"]: turn for turn in base if turn.get("weights") is not None}
    both = [turn for turn in own if turn.get("weights") is not None and turn["steps"] in there]
    if not both:
        return {}
    last = both[-1]
    beside = there[last["steps"]]
    return {
        "compared_after": last["steps"],
        "weights": last["weights"],
        "loss": last["loss"],
        "equal": (last["weights"], last["loss"]) == (beside["weights"], beside["loss"]),
        "weights_apart": abs(last["weights"] / beside["weights"] - 1),
    }
