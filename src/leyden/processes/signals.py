"""Signals that ask a process to stop: the only file that installs handlers.

    starts     `start`            Ctrl-C ends it with one line; what a cluster announces is noted
    exec       `block_for_exec`   what arrives while one program replaces another waits for the new one
    executes   `between_stages`   what arrives outside of a stage is noted, and obeyed when the next one begins
    trains     `handled`          a flag, obeyed at the next step boundary: see `leyden.engine.signals`
    relays     `collected`        a list, passed on to the children of a supervisor

Handlers are restored in the end, those that were not installed from Python (None) as the system's default. A SIGHUP
that is ignored, under ``nohup``, stays ignored.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C; kill; a closed terminal or a lost connection
IN_A_JOB = (signal.SIGUSR1, signal.SIGUSR2)  # SLURM announces the time limit, or that the job has to make room
Handler = Callable[[int, FrameType | None], Any]

_noted: list[int] = []
_between_stages: list[bool] = []


def watched() -> tuple[signal.Signals, ...]:
    """Return the signals that ask to stop; those of a job that the user's program has a handler for are its own."""
    found = tuple(each for each in STOPPING if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN)
    if "SLURM_JOB_ID" not in os.environ:
        return found
    ours = (signal.SIG_DFL, signal.SIG_IGN, note)
    return (*found, *(each for each in IN_A_JOB if signal.getsignal(each) in ours))


@contextmanager
def handled(signals: Iterable[int], handler: Handler) -> Iterator[None]:
    """Call *handler* for each of *signals* within a block; does nothing outside of the main thread, which alone may.

    Handlers found at the start are restored in the end; where `between_stages` is in force, signals are noted then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in signals}
    for signum in before:
        signal.signal(signum, handler)
    try:
        yield
    finally:
        for signum, previous in before.items():
            _restore(signum, note if _between_stages else previous)


@contextmanager
def collected(signals: Iterable[int] | None = None) -> Iterator[list[signal.Signals]]:
    """Yield a list to which every signal is added that arrives within a block, by default those of `watched`."""
    arrived: list[signal.Signals] = []
    with handled(watched() if signals is None else signals, lambda signum, _: arrived.append(signal.Signals(signum))):
        yield arrived


@contextmanager
def between_stages(at_once: bool) -> Iterator[None]:
    """Note signals that arrive within a block but outside of training; the next stage obeys them as it begins.

    Args:
        at_once: From the start; otherwise from the end of the first stage on. A rank that has not met the others yet
            is ended by a signal, as it could not obey one while it waits for them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in watched()}
    _between_stages.append(True)
    try:
        if at_once:
            for signum in before:
                signal.signal(signum, note)
        yield
    finally:
        _between_stages.pop()
        _noted.clear()
        for signum, previous in before.items():
            _restore(signum, previous)


def noted() -> int | None:
    """Return the first signal that was noted, if one was."""
    return _noted[0] if _noted else None


def note(signum: int, frame: FrameType | None) -> None:
    """Note *signum*; a second Ctrl-C means "now"."""
    if signum == signal.SIGINT and signum in _noted:
        raise KeyboardInterrupt
    _noted.append(signum)


def note_job_signals() -> None:
    """Note the signals by which SLURM announces the end of a job, from now on; does nothing outside of a job."""
    if "SLURM_JOB_ID" in os.environ:
        for signum in IN_A_JOB:
            signal.signal(signum, note)


def start() -> None:
    """Prepare a process of our own for signals, before it imports anything else.

    Until `interrupt_as_usual` Ctrl-C ends it with one line: nothing is begun yet, and a `KeyboardInterrupt` out of an
    import is a traceback, or is taken for something else on its way. In a job of SLURM its signals are noted. What
    arrived since `block_for_exec` is acted on now.
    """
    note_job_signals()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _quit)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _blocked())


def interrupt_as_usual() -> None:
    """Have Ctrl-C raise `KeyboardInterrupt` again, after `start`."""
    if signal.getsignal(signal.SIGINT) is _quit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def block_for_exec() -> None:
    """Have signals wait for the program that is about to replace this one, which unblocks them when it is ready."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _blocked())


def _blocked() -> set[signal.Signals]:
    return {signal.SIGINT, *(IN_A_JOB if "SLURM_JOB_ID" in os.environ else ())}


def _quit(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"\nleyden: stopped by Ctrl-C before anything was begun\n")
    os._exit(128 + signum)


def _restore(signum: int, previous: Any) -> None:
    signal.signal(signum, previous if previous is not None else signal.SIG_DFL)
