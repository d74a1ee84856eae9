"""``leyden runs logs RUN``: the log of a run, as it grows with ``-f``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from leyden.cli.columns import longest
from leyden.cli.runs_arguments import parse, parser
from leyden.cli.streams import reader_gone
from leyden.runs.listing import find
from leyden.runs.tail import follow, last_lines, log_file
from leyden.terminal import printable_lines


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("logs", "Print the log of a run.")
    options.add_argument("run", nargs="?", default="last", help="a directory, a part of its name, or: last")
    options.add_argument("-f", "--follow", action="store_true", help="go on until the run has ended")
    options.add_argument("-n", "--lines", type=int, metavar="N", help="begin with the last N lines (default: all)")
    options.add_argument("--rank", type=int, default=0, help="whose log (default: %(default)s)")
    arguments = parse(options, argv)
    path = find(arguments.run, arguments.root)
    log = log_file(path, arguments.rank)
    text, end = last_lines(log, arguments.lines)
    _put(text)
    for added in follow(path, log, end) if arguments.follow else ():
        _put(added)
        if reader_gone():
            break
    return 0


def _put(text: str) -> None:
    """Print at once."""
    sys.stdout.write(printable_lines(text, longest()))
    sys.stdout.flush()
