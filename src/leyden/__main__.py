"""The ``leyden`` command: ready for signals before it imports anything of its own, so that Ctrl-C is no traceback."""

import sys

from leyden.processes import signals


def main() -> int:
    """Run the command line of this process; returns the exit code."""
    signals.start()
    from leyden.cli.main import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
