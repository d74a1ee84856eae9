"""Start again, at once, with the variables that Python and torch read only when a process starts.

    leyden train ... ─► PYTHONHASHSEED is not set ─► exec: the same process, the same words, one variable more

This comes before anything heavy is imported and costs the start of a bare interpreter.
Nothing happens where the variables are set, and nothing when a program calls
`leyden.cli.main.main` with words of its own: its process is not ours to replace.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from leyden import regular
from leyden.errors import UnsafeFileError
from leyden.processes import signals
from leyden.runs.variables import missing

EXECUTING = ("train", "run", "evaluate", "predict", "reproduce")
_LARGEST = 2**22  # bytes of a config that is looked at
_ours = False


def begin(words: Sequence[str]) -> None:
    """Start the process again if *words* execute something and a variable is missing.

    Called by entry points only, before they import anything.
    """
    global _ours  # noqa: PLW0603 - whether this process is ours is a fact about the process
    _ours = bool(words) and words[0] in EXECUTING and _may_be_replaced()
    if _ours:
        again(missing(_level(words)))


def ensure(level: Any) -> None:
    """Start again if a config, composed by now, needs more than *words* had told."""
    if _ours:
        again(missing(level))


def again(absent: Mapping[str, str]) -> None:
    """Replace this process by itself, with *absent* in its environment; returns if there is nothing to set."""
    if not absent:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    signals.block_for_exec()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **absent})


def _may_be_replaced() -> bool:
    """Whether nobody has done anything in this process: no other thread, no torch, no interactive session."""
    alone = threading.active_count() == 1 and "torch" not in sys.modules and not hasattr(sys, "ps1")
    return alone and bool(sys.executable) and len(sys.orig_argv) > 1


def _level(words: Sequence[str]) -> str | None:
    """Return what the command line, or else the config of the run it names, says about ``deterministic``."""
    typed = [word.lstrip("+").partition("=")[2] for word in words if word.lstrip("+").startswith("deterministic=")]
    if typed:
        return _strongest(typed[-1])
    if words[0] in ("run", "evaluate", "predict"):  # reproduce only starts another process
        named = [word for word in words[1:] if not word.startswith("-")]
        return next((_strongest(found) for word in named for found in _recorded(os.path.abspath(word))), None)
    return None


def _recorded(path: str) -> list[str]:
    """Return the value of ``deterministic`` in the config of the run that *path* is, or lies in."""
    while not os.path.lexists(os.path.join(path, "config.yaml")):
        path, here = os.path.dirname(path), path
        if path == here:
            return []
    try:
        lines = regular.read(path, "config.yaml", _LARGEST).decode("utf-8", "replace").splitlines()
    except (OSError, UnsafeFileError):
        return []  # the command itself says what is wrong with it
    return [line.partition(":")[2].partition("#")[0] for line in lines if line.startswith("deterministic:")]


def _strongest(text: str) -> str | None:
    """Return the level that *text*, maybe several of a sweep, asks for at most."""
    named = {part.strip().strip("'\"").lower() for part in text.split(",")}
    return next((level for level in ("portable", "true", "warn") if level in named), None)
