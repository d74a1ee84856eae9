"""``leyden run DIR``: execute a prepared run directory, without composing anything again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from leyden.cli.outcome import run_and_report
from leyden.cli.trusting import add_trust
from leyden.config.project import shown
from leyden.errors import ConfigurationError, RunError
from leyden.processes.lifeline import watch
from leyden.runs.directory import RunDirectory
from leyden.runs.execution import config_to_execute
from leyden.runs.record.state import RunState
from leyden.terminal import complain


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="leyden run",
        description="Execute a run directory. An interrupted one goes on from its last valid checkpoint; "
        "a finished one is not run again.",
    )
    parser.add_argument("directory", help="what leyden train made")
    parser.add_argument("--until", type=int, metavar="STEP", help="stop after so many training steps")
    parser.add_argument("--ranks", type=int, metavar="N", help="start N ranks here; default what the config says")
    add_trust(parser)
    arguments = parser.parse_args(argv)
    if arguments.ranks is not None and arguments.ranks < 1:
        parser.error(f"argument --ranks: {arguments.ranks}: expected a number from 1 on")
    try:
        directory = RunDirectory(arguments.directory)
        if arguments.ranks is not None:  # otherwise each of them would refuse it, once it has been started
            config_to_execute(directory, arguments.trust)
    except (ConfigurationError, RunError) as error:
        complain(error)
        return 2
    watch()
    finished = directory.status().state is RunState.FINISHED
    code = run_and_report(directory, trusted=arguments.trust, until=arguments.until, number=arguments.ranks)
    if finished and code == 0:
        print(f"it had finished; train on with:  leyden train --from {shown(directory.path)} trainer.max_epochs=<more>")
    return code
