"""A process that has imported leyden and torch, and forks a child for every command that it is asked to run.

A start of Python with torch costs seconds, a fork costs milliseconds. Asked in lines of JSON on standard input:

    {"words": ["run", "DIR"], "cwd": ..., "environment": {...}, "out": FILE, "terminal": false, "limit": 20.0}

and answered in lines of JSON on standard output: ``{"code": 2}``, or ``{"code": null}`` where the limit was reached.
Started as a script, never imported: the modules of the tests are unknown to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path


def serve() -> None:
    """Answer one line after the other, until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _import()
    print(json.dumps({"ready": os.getpid()}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps({"code": _run(json.loads(line))}), file=answers, flush=True)


def _import() -> None:
    """Import what commands import when they are called."""
    import torch

    sys.path[0] = os.path.dirname(sys.executable)  # as for the command `leyden`
    torch.set_num_threads(1)
    package = Path(import_module("leyden").__file__).parent
    for file in sorted((package / "cli").glob("*.py")):
        import_module(f"leyden.cli.{file.stem}")
    for name in ("torchmetrics", "leyden.models", "leyden.datasets", "leyden.config.compose", "leyden.runs.report"):
        import_module(name)


def _run(asked: dict) -> int | None:
    out = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    master, slave = os.openpty() if asked["terminal"] else (None, out)
    pid = os.fork()
    if pid == 0:
        _become(asked, slave)
    if master is not None:
        os.close(slave)
    code = _wait(pid, master, out, asked["limit"])
    os.close(out)
    return code


def _become(asked: dict, output: int) -> None:
    """Run the command, in this process, and end it."""
    code = 70
    try:
        os.setsid()
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        given = os.open(os.devnull, os.O_RDONLY)
        for number, handle in enumerate((given, output, output)):
            os.dup2(handle, number)
        os.closerange(3, 256)
        sys.stdin, sys.stdout, sys.stderr = (open(at, "rw"[at > 0], closefd=False) for at in range(3))  # noqa: SIM115 - they are the process's own
        from leyden.cli.main import main

        code = main(asked["words"])
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code & 255)


def _wait(pid: int, master: int | None, out: int, limit: float) -> int | None:
    """Return the exit code of a child; kill its group at its end, and at the limit."""
    handle, deadline, ended = os.pidfd_open(pid), time.monotonic() + limit, False
    while not ended and (left := deadline - time.monotonic()) > 0:
        ready = select.select([handle, *([] if master is None else [master])], [], [], left)[0]
        if master in ready:
            master = _copied(master, out)
        ended = handle in ready
    while master is not None and select.select([master], [], [], 0)[0]:
        master = _copied(master, out)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.close(handle)
    if master is not None:
        os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if ended else _reaped(pid)


def _reaped(pid: int) -> None:
    os.waitpid(pid, 0)


def _copied(master: int, out: int) -> int | None:
    """Copy what a terminal shows; return None where nothing will follow."""
    try:
        read = os.read(master, 65536)
    except OSError:
        read = b""
    if not read:
        os.close(master)
        return None
    os.write(out, read)
    return master


if __name__ == "__main__":
    serve()
