"""``python -m leyden.run DIR`` executes a prepared run directory: the whole payload of a job is a path."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from leyden.cli import startup

    startup.begin(["run", *sys.argv[1:]])
    from leyden.cli.run import main

    sys.exit(main(sys.argv[1:]))
