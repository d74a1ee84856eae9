"""``leyden lightning``: run a script, a module or a console script with the aliases in place.

The program runs in this process, the way Python itself would run it: as ``__main__``, with
its own arguments, and with its own directory first on the path.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from leyden.errors import ConfigurationError
from leyden.lightning.aliases import install
from leyden.lightning.port import ported

USAGE = """\
usage: leyden lightning SCRIPT [arguments]       run a file, or a directory with a __main__.py
       leyden lightning -m MODULE [arguments]    run a module, as python -m does
       leyden lightning COMMAND [arguments]      run a command that an installed package brings
       leyden lightning --port SCRIPT            print a file with its imports changed to Leyden's; run nothing

Whatever the program imports from lightning, pytorch_lightning or lightning_fabric is Leyden.
"""


def main(argv: Sequence[str]) -> int:
    """Run the program that *argv* names, in this process; returns the exit code."""
    words = list(argv)
    if words and words[0] in ("-h", "--help"):
        sys.stdout.write(USAGE)
        return 0
    if words[:1] == ["--port"] and len(words) == 2:
        return port(words[1])
    if not words or words[0] == "--port" or words == ["-m"]:
        sys.stderr.write(f"leyden lightning: nothing to run.\n{USAGE}")
        return 2
    if words[0] == "-m":
        return run_module(words[1], words[2:])
    if os.path.exists(words[0]):
        return run_script(words[0], words[1:])
    return run_command(words[0], words[1:])


def port(path: str) -> int:
    """Print the script *path*, written for Leyden."""
    try:
        sys.stdout.write(ported(Path(path).read_text("utf-8")))
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"leyden lightning --port {path}: {error}\n")
        return 2
    return 0


def run_script(path: str, arguments: list[str]) -> int:
    """Run the file or directory *path* as ``python path`` would."""
    sys.argv[:] = [path, *arguments]
    if not os.path.isdir(path):  # runpy puts a directory on the path by itself
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    install()
    runpy.run_path(path, run_name="__main__")
    return 0


def run_module(name: str, arguments: list[str]) -> int:
    """Run the module *name* as ``python -m name`` would."""
    sys.argv[:] = [name, *arguments]
    sys.path[0] = os.getcwd()
    install()
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    return 0


def run_command(name: str, arguments: list[str]) -> int:
    """Call the function behind the console script *name*; what it returns becomes the exit code."""
    found = entry_points(group="console_scripts", name=name)
    if not found:
        sys.stderr.write(
            f"leyden lightning: there is neither a file {name!r} (looked for in {os.getcwd()}) nor an installed "
            f"command of that name.\nExpected one of them, or -m and the name of a module.\n"
        )
        return 2
    sys.argv[:] = [name, *arguments]
    install()
    sys.exit(found[name].load()())
