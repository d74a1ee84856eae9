"""Two convolution stages, attention over the flattened feature maps, three linear layers.

    image 1x28x28 ─► conv, pool ─► 32x14x14 ─► conv, pool ─► 64x7x7 ─► one token of 3136
          ─► single-head attention + residual ─► 128 ─► 64 ─► 10

The whole image is one token, so the attention's softmax runs over one score and is always
1: the layer acts as its value and output projections. It is here because it is large:
39.4 of the 39.8 million parameters, a fair load for checkpoints and optimizers.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Accuracy

from leyden import LightningModule

TOKEN = 64 * 7 * 7


class MnistAttention(LightningModule):
    """A classifier of 28x28 images, trained by Adam with a stepwise schedule.

    Args:
        learning_rate: Of Adam, in the first epoch.
        gamma: Factor on it after every epoch.
    """

    def __init__(self, learning_rate: float = 1e-3, gamma: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.stages = nn.Sequential(
            nn.Conv2d(1, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.attention = nn.MultiheadAttention(TOKEN, num_heads=1, batch_first=True)
        self.head = nn.Sequential(nn.Linear(TOKEN, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
        self.val_accuracy = Accuracy(task="multiclass", num_classes=10)
        self.test_accuracy = Accuracy(task="multiclass", num_classes=10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, shape ``(B, 10)``, of images of shape ``(B, 1, 28, 28)``."""
        token = self.stages(x).flatten(1).unsqueeze(1)  # (B, 1, TOKEN): a sequence of one
        mixed, _ = self.attention(token, token, token, need_weights=False)
        logits: Tensor = self.head((token + mixed).squeeze(1))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy of the validation images."""
        x, y = batch
        logits = self(x)
        self.val_accuracy(logits, y)
        self.log("val_loss", F.cross_entropy(logits, y), prog_bar=True)
        self.log("val_acc", self.val_accuracy, prog_bar=True)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy of the test images."""
        x, y = batch
        logits = self(x)
        self.test_accuracy(logits, y)
        self.log("test_loss", F.cross_entropy(logits, y))
        self.log("test_acc", self.test_accuracy)

    def configure_optimizers(self) -> dict[str, Any]:
        """Return Adam, its rate multiplied by *gamma* after every epoch."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate, fused=True)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=self.hparams.gamma)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "name": "adam"}}
