"""The default job as a plain Python script, without a config.

Run it from the root of the repository:

    python -m experiments.digits_mlp.script
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from leyden import Trainer, seed_everything
from leyden.datasets import Digits
from leyden.models import MLP


class DigitsMLP(MLP):
    """The MLP with its optimizer, which the config would bring otherwise."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW as in ``conf/optimizer/adamw.yaml``."""
        return torch.optim.AdamW(self.parameters(), lr=3e-3, weight_decay=0.01)


def main(max_epochs: int = 30) -> Tensor:
    """Train and test; return the test accuracy."""
    seed_everything(0)
    model, data = DigitsMLP(), Digits()
    trainer = Trainer(max_epochs=max_epochs, default_root_dir="runs/scripts/digits_mlp")
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data)
    return trainer.callback_metrics["test_acc"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-epochs", type=int, default=30)
    main(**vars(parser.parse_args()))
