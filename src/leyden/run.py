"""``python -m leyden.run DIR`` executes a prepared run directory: the whole payload of a job is a path."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from leyden.processes import signals

    signals.start()
    from leyden import terminal, tracebacks
    from leyden.cli import startup, streams

    streams.endure()
    terminal.prepare()
    tracebacks.prepare()
    startup.begin(["run", *sys.argv[1:]])
    from leyden.cli.masked_output import mask
    from leyden.cli.run import main

    mask()
    signals.interrupt_as_usual()
    sys.exit(main(sys.argv[1:]))
