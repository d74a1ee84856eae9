"""A process with torch and leyden imported and nothing initialised, which forks one child for each line it is given.

It says "ready" once it is. A request is a line of JSON: words, cwd, variables, output. Of each child it tells the
number, and when it has ended its exit code, a line each.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import leyden
from leyden.cli.main import main
from tests.chaos.hook import assassin

_READY = (  # so that children need not
    "torch", "torch.utils.data", "leyden.cli.train", "leyden.cli.run", "leyden.cli.queue",
    "leyden.callbacks.model_checkpoint",
    "leyden.loggers.csv", "leyden.models", "leyden.plugins.io", "leyden.launch.local.launcher", "leyden.datamodule",
)  # fmt: skip


def become(request: dict) -> None:
    """Turn this process, just forked, into the one that *request* describes."""
    os.setsid()
    os.environ.update(request["variables"])
    os.chdir(request["cwd"])
    for stream, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        os.dup2(os.open(name, flags), stream)
    sys.argv = [str(Path(leyden.__path__[0]) / "__main__.py"), *request["words"]]  # as python -m leyden has it
    assassin.arm()


def wanted() -> dict | None:
    """Serve; returns in the child, with the request, and once there are no more, with None."""
    for name in _READY:
        import_module(name)
    tell("ready")
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            return request
        tell(pid)
        tell(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return None


def tell(answer: object) -> None:
    """Answer a line."""
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    found = wanted()
    if found is not None:
        become(found)
        sys.exit(main(found["words"]))
