"""``leyden queue DIR``: follow a queue of this machine, or go on with what it has not finished."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from leyden.cli.trusting import add_trust
from leyden.errors import ConfigurationError, RunError
from leyden.launch.local.following import find, follow, go_on
from leyden.launch.local.launcher import VOUCHED
from leyden.launch.local.record import is_held
from leyden.launch.local.screen import Screen
from leyden.terminal import complain


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="leyden queue",
        description="Follow the queue of a multirun while it runs. One that was interrupted, or whose process is gone, "
        "goes on: runs that wait, were interrupted or killed are executed; those that have failed are left to leyden "
        "jobs retry.",
        epilog="Exit code: 0 all runs have finished, 1 some have not, 2 nothing was done, 128+n stopped by signal n.",
    )
    parser.add_argument("directory", type=Path, help="of a multirun, or the folder of the queue itself")
    parser.add_argument(VOUCHED, action="store_true", help=argparse.SUPPRESS)
    add_trust(parser)
    arguments = parser.parse_args(argv)
    given = json.load(sys.stdin) if arguments.hashes_on_stdin else {}
    try:
        folder = find(arguments.directory)
        if is_held(folder):
            return follow(folder, Screen())
        return go_on(folder, Screen(), {Path(path): found for path, found in given.items()}, arguments.trust)
    except (ConfigurationError, RunError) as error:
        complain(error)
        return 2
