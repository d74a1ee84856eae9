"""A character-level language model of Python's own sources, as a plain Python script.

Run it from the root of the repository; with ``--data-root`` it reads the text files of a
folder instead:

    python -m experiments.char_lm.script
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from experiments.char_lm.baseline import BigramBaseline
from leyden import Trainer, seed_everything
from leyden.datasets import Text
from leyden.models import CausalTransformer
from leyden.schedulers import cosine_warmup


class CharLM(CausalTransformer):
    """The transformer with the optimizer and schedule that the config would bring otherwise."""

    def configure_optimizers(self) -> dict[str, Any]:
        """Return AdamW and a warm-up followed by a cosine over the whole run."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=3e-3, weight_decay=0.01)
        scheduler = cosine_warmup(optimizer, warmup_steps=50, total_steps=self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def main(data_root: str | None = None, pattern: str = "*.py", max_steps: int = 600) -> str:
    """Train, test, and return a sample of what the model writes."""
    seed_everything(0)
    data, model = Text(data_root, pattern), CharLM(dropout=0.1)
    trainer = Trainer(
        precision="bf16-mixed",
        max_steps=max_steps,
        max_epochs=-1,
        accumulate_grad_batches=2,
        gradient_clip_val=1.0,
        val_check_interval=0.5,
        callbacks=[BigramBaseline()],
        default_root_dir="runs/scripts/char_lm",
    )
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data)
    sample = data.decode(model.eval().generate(data.encode("def ")[None].long(), count=300, temperature=0.7)[0])
    trainer.print(sample)
    return sample


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--pattern", default="*.py")
    parser.add_argument("--max-steps", type=int, default=600)
    main(**vars(parser.parse_args()))
