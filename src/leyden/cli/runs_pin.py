"""``leyden runs pin RUN...``: protect runs from being removed."""

from __future__ import annotations

from collections.abc import Sequence

from leyden.cli.runs_arguments import parse, parser
from leyden.config.project import shown
from leyden.runs.keeping import pin, unpin
from leyden.runs.listing import find


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("pin", "Protect runs from being removed by leyden runs rm.")
    options.add_argument("runs", nargs="+", metavar="RUN", help="a directory, a part of its name, or: last")
    options.add_argument("--off", action="store_true", help="take the protection away")
    arguments = parse(options, argv)
    paths = [find(word, arguments.root) for word in arguments.runs]
    for path in paths:
        (unpin if arguments.off else pin)(path)
        print(f"{'no longer pinned' if arguments.off else 'pinned'}  {shown(path)}")
    return 0
