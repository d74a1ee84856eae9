"""A process that has imported all but Leyden, and forks a child for every run of pytest: a start costs seconds.

Started as a script, in the copy of the checkout. Asked in lines of JSON on standard input, the words for pytest, a file
for what it prints and a limit in seconds or null; answered in lines on standard output, the exit code or null.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from importlib import import_module

IMPORTED = "torch torch.distributed.checkpoint torchmetrics omegaconf tensorboard numpy pytest _pytest.pytester"


def serve() -> None:
    """Answer one line after the other, until standard input ends."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path[0] = os.getcwd()
    for name in IMPORTED.split():
        import_module(name)
    for line in sys.stdin:
        print(json.dumps(_run(*json.loads(line))), flush=True)


def _run(words: list[str], output: str, limit: float | None) -> int | None:
    child = os.fork()
    if child == 0:
        _become(words, output)
    handle = os.pidfd_open(child)
    ended = select.select([handle], [], [], limit)[0]
    os.close(handle)
    if not ended:
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if ended else None


def _become(words: list[str], output: str) -> None:
    """Run pytest in this process, and end it."""
    code = 70
    try:
        os.setsid()
        written = os.open(output, os.O_WRONLY | os.O_APPEND)
        for at, handle in enumerate((os.open(os.devnull, os.O_RDONLY), written, written)):
            os.dup2(handle, at)
        sys.stdin = open(os.devnull)  # noqa: SIM115 - it is the process's own
        code = int(import_module("pytest").main(words))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
