"""What every classifier does with a batch, whatever its layers are.

The loss is the cross entropy of the logits. There is no `configure_optimizers`: which
optimizer trains it is said by the run, not by the model. The accuracy is a mean weighted by
the batch size, which makes it the mean over samples; a metric object would add nothing
here but the two seconds that importing torchmetrics takes.

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
        self.classes = classes

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
        loss, accuracy = self._judge(batch)
        self.log("val_loss", loss, prog_bar=True, sync_dist=True)
        self.log("val_acc", accuracy, prog_bar=True, sync_dist=True)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy of a test batch."""
        loss, accuracy = self._judge(batch)
        self.log("test_loss", loss, sync_dist=True)
        self.log("test_acc", accuracy, sync_dist=True)

    def _judge(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, labels = batch
        logits = self(x)
        return F.cross_entropy(logits, labels), (logits.argmax(dim=1) == labels).float().mean()

    def predict_step(self, batch: tuple[Tensor, Tensor] | Tensor, batch_idx: int) -> Tensor:
        """Return the most likely class of each sample, shape ``(B,)``; labels in the batch are not looked at."""
        x = batch if isinstance(batch, Tensor) else batch[0]
        logits: Tensor = self(x)
        return logits.argmax(dim=1)
