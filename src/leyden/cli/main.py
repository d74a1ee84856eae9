"""The ``leyden`` command: finds the subcommand, and nothing else.

Subcommands are imported when they are called, so that ``leyden --help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from importlib import import_module

from leyden import __version__, terminal, tracebacks
from leyden.cli import startup, streams
from leyden.errors import ConfigurationError
from leyden.processes import signals

COMMANDS = {
    "train": "compose an experiment, make its run directory, and execute it",
    "run": "execute a run directory; an interrupted one goes on where it was",
    "evaluate": "test a run or a checkpoint",
    "predict": "predict with a run or a checkpoint",
    "reproduce": "run a finished run once more, and say whether the result is the same",
    "runs": "list, compare, follow, export, pin and remove runs",
    "submit": "hand runs to a SLURM cluster, new ones or those that exist",
    "jobs": "what waits, runs and has ended, here or on a cluster; logs, cancel, retry, why",
    "queue": "follow a queue of this machine, or go on with what it has not finished",
    "report": "write a page about a run, or about several side by side",
    "lightning": "run a script written for Lightning on Leyden, unchanged",
}
NESTED = ("runs", "jobs")  # have commands of their own
READING = ("runs", "jobs", "report", "reproduce", "submit")  # draw nothing: text and colours are all they print


def usage() -> str:
    """Return the help text."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: leyden COMMAND [arguments]",
            "",
            *lines,
            "",
            "  leyden COMMAND --help        what it takes",
            "  leyden COMMAND ... --traceback full   every frame of an exception, not one's own alone",
            "  leyden --version             which version this is",
            '  eval "$(leyden -sc install=bash)"   complete commands, groups and keys with <TAB>',
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (default: the process's own); returns the exit code."""
    if argv is None:
        signals.start()
        streams.endure()
        terminal.prepare()
        tracebacks.prepare()
        startup.begin(sys.argv[1:])
    try:
        return dispatch(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        print("\nleyden: stopped by Ctrl-C", file=sys.stderr)
        return 128 + signal.SIGINT
    except OSError as error:
        from leyden.cli import disk

        said = disk.full(error)
        if said is None:
            raise
        terminal.complain(said)
        return 1


def dispatch(words: list[str]) -> int:
    """Call the subcommand that *words* begin with."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"leyden {__version__}")
        return 0
    if words[0] in ("-sc", "--shell-completion"):
        from leyden.config.completion import complete

        return complete(words, {"train": "train"}, list(COMMANDS), {name: partial(_inner, name) for name in NESTED})
    if words[0] not in COMMANDS:
        import difflib

        close = difflib.get_close_matches(words[0], COMMANDS, n=1)
        hint = f"Did you mean: leyden {close[0]}" if close else f"Commands are: {', '.join(COMMANDS)}"
        print(f"leyden: {words[0]!r} is no command. {hint}", file=sys.stderr)
        return 2
    command = import_module(f"leyden.cli.{words[0]}")
    signals.interrupt_as_usual()
    try:
        given = tracebacks.taken(words[1:]) if words[0] != "lightning" else _as_python_shows_it(words[1:])
    except ConfigurationError as error:
        terminal.complain(error)
        return 2
    with terminal.plain_output() if words[0] in READING else nullcontext():
        code: int = command.main(given)
    return code


def _as_python_shows_it(words: list[str]) -> list[str]:
    """Have exceptions of a script look as they would without Leyden, and return all of its *words*."""
    os.environ.setdefault(tracebacks.VARIABLE, "full")
    return words


def _inner(command: str) -> list[str]:
    """Return the commands of a subcommand."""
    return list(import_module(f"leyden.cli.{command}").COMMANDS)
