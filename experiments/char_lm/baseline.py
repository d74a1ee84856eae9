"""The bar for a language model: one character of context, counted."""

from __future__ import annotations

import math

from leyden import Callback, LightningModule, Trainer
from leyden.datasets import Text, bigram_nll


class BigramBaseline(Callback):
    """Log the bigrams' score of the validation text, ``val_bigram_loss``, beside the model's."""

    def __init__(self) -> None:
        self.nll = math.nan

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the training text's bigrams."""
        data = trainer.datamodule
        assert isinstance(data, Text)
        self.nll = bigram_nll(data.parts["train"], data.parts["val"], data.vocab_size)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the bar, in nats per character."""
        self.log("val_bigram_loss", self.nll)
