"""``leyden predict PATH [overrides]``: predict with a run or a checkpoint, and keep what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from leyden import atomic
from leyden.cli.evaluate import parser
from leyden.errors import ConfigurationError, LeydenError
from leyden.runs.inference import find
from leyden.terminal import complain, printable
from leyden.tracebacks import told


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("predict", "Run predict_step on every batch of the prediction data, and save what it returns.")
    options.add_argument(
        "--output", default="predictions.pt", help="file for the list of outputs (default: %(default)s)"
    )
    arguments = options.parse_intermixed_args(argv)
    output = Path(arguments.output).resolve()
    try:
        if output.exists():
            raise ConfigurationError(f"{output} exists already. Choose another file with --output, or remove it first.")
        trained = find(arguments.path, arguments.overrides, "last" if arguments.last else "best", arguments.trust)
        experiment = trained.experiment
        print(f"checkpoint  {printable(trained.checkpoint)}")
        found = experiment.trainer.predict(
            experiment.model, datamodule=experiment.data, ckpt_path=str(trained.checkpoint)
        )
        atomic.write(output, lambda file: torch.save(found, file))
    except LeydenError as error:
        complain(told(error))
        return 2
    print(f"{len(found or [])} batches of predictions in {printable(output)}")
    return 0
