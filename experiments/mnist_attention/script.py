"""A large model with every usual callback and an offline W&B run, as a plain Python script.

Run it from the root of the repository:

    python -m experiments.mnist_attention.script --data-root data/mnist --max-epochs 1
"""

from __future__ import annotations

import argparse

from torch import Tensor

from experiments.mnist_attention.callbacks import PrintingCallback
from experiments.mnist_attention.data import MnistDataModule
from experiments.mnist_attention.model import MnistAttention
from leyden import Trainer, seed_everything
from leyden.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from leyden.loggers import WandbLogger

ROOT = "runs/scripts/mnist_attention"


def main(data_root: str = "data/mnist", max_epochs: int = 3) -> Tensor:
    """Train and test the best checkpoint; return the test accuracy."""
    seed_everything(0)
    checkpoints = ModelCheckpoint(
        monitor="val_loss", filename="mnist-{epoch:02d}-{val_loss:.2f}", save_top_k=3, mode="min"
    )
    trainer = Trainer(
        max_epochs=max_epochs,
        logger=WandbLogger(project="mnist_attention", offline=True, save_dir=ROOT),
        callbacks=[
            checkpoints,
            EarlyStopping(monitor="val_loss", patience=3),
            LearningRateMonitor(logging_interval="step"),
            PrintingCallback(),
        ],
        default_root_dir=ROOT,
    )
    data = MnistDataModule(data_root)
    trainer.fit(MnistAttention(), datamodule=data)
    trainer.test(ckpt_path="best", datamodule=data)
    trainer.print(f"Best checkpoint: {checkpoints.best_model_path}")
    return trainer.callback_metrics["test_acc"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default="data/mnist")
    parser.add_argument("--max-epochs", type=int, default=3)
    main(**vars(parser.parse_args()))
