"""``leyden jobs``: what is queued, runs and has ended lately, whoever started it; finds the subcommand."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from leyden.errors import LeydenError
from leyden.terminal import complain

COMMANDS = {
    "logs": "what a job has printed, as it grows with -f; of any rank, or of the job itself",
    "cancel": "end jobs: they save first; those that wait are taken out of their queue",
    "retry": "start jobs that did not finish again, with the launcher that had started them",
    "why": "why a job stopped, waits, or was not requeued, and what to do next",
}


def usage() -> str:
    """Return the part of the help text about the subcommands."""
    lines = [f"  leyden jobs {name:<7} {text}" for name, text in COMMANDS.items()]
    return "\n".join(["commands:", *lines, "", "  leyden jobs COMMAND --help    what it takes"])


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    words = list(argv)
    name = words.pop(0) if words and words[0] in COMMANDS else "ls"
    try:
        code: int = import_module(f"leyden.cli.jobs_{name}").main(words)
    except LeydenError as error:
        complain(error)
        return 2
    except KeyboardInterrupt:
        return 130
    return code
