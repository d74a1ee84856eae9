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

from leyden.errors import ConfigurationError
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
        try:
            loss = F.cross_entropy(self(x), labels)
        except (RuntimeError, IndexError):
            self._check(x, labels)
            raise
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
        try:
            logits = self(x)
            return F.cross_entropy(logits, labels), (logits.argmax(dim=1) == labels).float().mean()
        except (RuntimeError, IndexError):
            self._check(x, labels)
            raise

    def unfit(self, x: Tensor) -> str | None:
        """Say what is wrong with inputs that `forward` cannot take; None if nothing is.

        Called only after torch has refused a batch. The answer completes "was made for", and says what to set.
        """
        return None

    def _check(self, x: Tensor, labels: Tensor) -> None:
        """Explain why torch refused a batch.

        Raises:
            ConfigurationError: If the data have another shape, or more classes, than the model was made for.
        """
        said = self.unfit(x)
        if said is None and labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            outside = int(labels.max()) if int(labels.max()) >= self.classes else int(labels.min())
            wanted = f"Set classes to at least {outside + 1}" if outside > 0 else "Labels are counted from 0"
            said = f"classes={self.classes}, but a label of the data is {outside}. {wanted}"
        if said is not None:
            raise ConfigurationError(f"{type(self).__name__} was made for {said}, or choose other data.")

    def predict_step(self, batch: tuple[Tensor, Tensor] | Tensor, batch_idx: int) -> Tensor:
        """Return the most likely class of each sample, shape ``(B,)``; labels in the batch are not looked at."""
        x = batch if isinstance(batch, Tensor) else batch[0]
        logits: Tensor = self(x)
        return logits.argmax(dim=1)
