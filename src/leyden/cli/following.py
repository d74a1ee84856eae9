"""``torchrun --nproc-per-node N -m leyden train ...``: rank 0 composes, the others are told what to run.

rank 0    compose ─► check ─► run directory ─► announce(DIR) ─► execute ─► its exit code
others                                         follow:      ─► execute ─► the same exit code
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from leyden import ranks
from leyden.cli import startup
from leyden.cli.outcome import run_and_report
from leyden.launch import payload
from leyden.runs.directory import RunDirectory


def several() -> bool:
    """Whether this process is one of several ranks."""
    found = ranks.current()
    return found is not None and found.world_size > 1


def together(command: Callable[[], int]) -> int:
    """Call *command* on rank 0, and do on the others what it announces; returns rank 0's exit code on all of them."""
    if not several():
        return command()
    if not ranks.is_first():
        return _follow()
    code = 1
    try:
        code = command()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
        raise
    finally:
        with suppress(RuntimeError):  # the starter has ended, and with it what the others would ask
            ranks.told(lambda: {"end": code})
    return code


def announce(directory: RunDirectory) -> None:
    """Have the other ranks execute *directory*, too."""
    if several():
        ranks.told(lambda: {"run": str(directory.path)})


def _follow() -> int:
    while True:
        heard = ranks.told(dict)
        if "end" in heard:
            return int(heard["end"])
        directory = RunDirectory(heard["run"])
        os.environ.update(payload.variables(directory))
        startup.ensure(directory.config().get("deterministic"))
        run_and_report(directory)
