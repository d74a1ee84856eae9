"""``leyden evaluate PATH [overrides]``: test a run or a checkpoint."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence

from leyden.cli.trusting import add_trust
from leyden.errors import LeydenError
from leyden.runs.inference import find
from leyden.terminal import complain, printable
from leyden.tracebacks import told


def parser(command: str, description: str) -> ArgumentParser:
    """Return a parser for a command that works on what a run left behind."""
    made = ArgumentParser(prog=f"leyden {command}", description=description)
    made.add_argument("path", help="a run directory, or a checkpoint inside of one")
    made.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the run's config")
    made.add_argument("--last", action="store_true", help="take the last checkpoint of a run, not the best one")
    add_trust(made)
    return made


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("evaluate", "Test a run or a checkpoint, and print the metrics.")
    options.add_argument("--validate", action="store_true", help="use the validation data, not the test data")
    arguments = options.parse_intermixed_args(argv)
    try:
        trained = find(arguments.path, arguments.overrides, "last" if arguments.last else "best", arguments.trust)
        trainer, experiment = trained.experiment.trainer, trained.experiment
        print(f"checkpoint  {printable(trained.checkpoint)}")
        evaluate = trainer.validate if arguments.validate else trainer.test
        evaluate(experiment.model, datamodule=experiment.data, ckpt_path=str(trained.checkpoint))
    except LeydenError as error:
        complain(told(error))
        return 2
    return 0
