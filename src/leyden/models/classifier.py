"""What every classifier does with a batch, whatever its layers are.

The loss is the cross entropy of the logits. There is no `configure_optimizers`: which
optimizer trains it is said by the run, not by the model.

    train_loss                       every step
    val_loss, val_acc                mean over the validation samples
    test_loss, test_acc              mean over the test samples
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor

from leyden.module import LightningModule


class Classifier(LightningModule, ABC):
    """The steps of a classifier; a subclass brings `forward`.

    Args:
        classes: Number of classes ``C``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        from torchmetrics.classification import MulticlassAccuracy

        self.val_acc = MulticlassAccuracy(classes, average="micro")
        self.test_acc = MulticlassAccuracy(classes, average="micro")

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape ``(B, C)``, of inputs of shape ``(B, *)``."""

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch ``(x, labels)``."""
        x, labels = batch
        loss = F.cross_entropy(self(x), labels)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy of a validation batch."""
        x, labels = batch
        logits = self(x)
        self.val_acc(logits, labels)
        self.log("val_loss", F.cross_entropy(logits, labels), prog_bar=True)
        self.log("val_acc", self.val_acc, prog_bar=True)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy of a test batch."""
        x, labels = batch
        logits = self(x)
        self.test_acc(logits, labels)
        self.log("test_loss", F.cross_entropy(logits, labels))
        self.log("test_acc", self.test_acc)

    def predict_step(self, batch: tuple[Tensor, Tensor] | Tensor, batch_idx: int) -> Tensor:
        """Return the most likely class of each sample, shape ``(B,)``; labels in the batch are not looked at."""
        x = batch if isinstance(batch, Tensor) else batch[0]
        logits: Tensor = self(x)
        return logits.argmax(dim=1)
