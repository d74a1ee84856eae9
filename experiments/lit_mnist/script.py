"""MNIST in three epochs, as a plain Python script.

Run it from the root of the repository:

    python -m experiments.lit_mnist.script --data-root data/mnist
"""

from __future__ import annotations

import argparse

from torch import Tensor

from experiments.lit_mnist.model import LitMNIST
from leyden import Trainer, seed_everything


def main(data_root: str = "data/mnist", max_epochs: int = 3) -> Tensor:
    """Train and test; return the test accuracy."""
    seed_everything(0)
    model = LitMNIST(data_root)
    trainer = Trainer(max_epochs=max_epochs, default_root_dir="runs/scripts/lit_mnist")
    trainer.fit(model)
    trainer.test(model)
    return trainer.callback_metrics["test_acc"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default="data/mnist")
    parser.add_argument("--max-epochs", type=int, default=3)
    main(**vars(parser.parse_args()))
