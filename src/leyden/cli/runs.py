"""``leyden runs COMMAND``: look at runs, and keep house; finds the subcommand, and nothing else."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

from leyden.errors import LeydenError
from leyden.terminal import complain

COMMANDS = {
    "ls": "list runs, those that meet conditions, in an order",
    "show": "everything about one run",
    "diff": "what differs between runs: config, code, environment, data, metrics",
    "logs": "the log of a run, as it grows with -f",
    "best": "the run with the best value of a metric",
    "export": "write a table of runs to a CSV or Parquet file",
    "rm": "move runs to the trash; empty it with --empty-trash",
    "pin": "protect runs from being removed",
}


def usage() -> str:
    """Return the help text."""
    lines = [f"  {name:<6}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: leyden runs COMMAND [arguments]",
            "",
            *lines,
            "",
            "  leyden runs COMMAND --help    what it takes",
            "",
            "A run is named by its directory, by a part of its name, or by the word last.",
            "Conditions compare keys of the config, chosen options, metrics and the state of a run:",
            "  leyden runs ls status=finished model.hidden=[64] 'test_acc>0.97' 'age<2d' --sort -test_acc",
        ]
    )


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    words = list(argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] not in COMMANDS:
        close = difflib.get_close_matches(words[0], COMMANDS, n=1)
        hint = f"Did you mean: leyden runs {close[0]}" if close else f"Commands are: {', '.join(COMMANDS)}"
        print(f"leyden runs: {words[0]!r} is no command. {hint}", file=sys.stderr)
        return 2
    try:
        code: int = import_module(f"leyden.cli.runs_{words[0]}").main(words[1:])
    except LeydenError as error:
        complain(error)
        return 2
    except KeyboardInterrupt:
        return 130
    return code
