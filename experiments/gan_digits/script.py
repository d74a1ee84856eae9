"""The GAN as a plain Python script, with the engine alternating or by hand.

Run it from the root of the repository:

    python -m experiments.gan_digits.script
    python -m experiments.gan_digits.script --manual
"""

from __future__ import annotations

import argparse

from torch import Tensor

from experiments.gan_digits.callbacks import SampleGrid
from experiments.gan_digits.model import AutomaticGAN, ManualGAN
from leyden import Trainer, seed_everything
from leyden.datasets import Digits


def main(manual: bool = False, max_epochs: int = 300) -> Tensor:
    """Train; return the distance between generated and real digits."""
    seed_everything(0)
    model = ManualGAN() if manual else AutomaticGAN()
    root = f"runs/scripts/gan_digits/{'manual' if manual else 'automatic'}"
    trainer = Trainer(
        max_epochs=max_epochs,
        num_sanity_val_steps=0,
        callbacks=[SampleGrid()],
        default_root_dir=root,
    )
    trainer.fit(model, datamodule=Digits())
    return trainer.callback_metrics["val_distance"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manual", action="store_true", help="manual optimisation")
    parser.add_argument("--max-epochs", type=int, default=300)
    main(**vars(parser.parse_args()))
