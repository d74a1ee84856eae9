"""The first module of every tutorial: MNIST, with the model and its data in one class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import Accuracy

from leyden import LightningModule
from leyden.datasets import MNIST


class LitMNIST(LightningModule):
    """A two-hidden-layer perceptron that brings its own data, optimizer and metrics.

    Args:
        data_dir: Folder of the four MNIST files; they are downloaded into it unless there.
        hidden_size: Width of both hidden layers.
        learning_rate: Of Adam.
        dropout: Probability of dropping a hidden value while training.
        batch_size: Images per batch.
    """

    def __init__(
        self,
        data_dir: str = "data/mnist",
        hidden_size: int = 64,
        learning_rate: float = 1e-3,
        dropout: float = 0.5,
        batch_size: int = 64,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.mnist = MNIST(data_dir, batch_size=batch_size)
        self.model = nn.Sequential(
            nn.Flatten(),
            nn.Linear(28 * 28, hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, 10),
        )
        self.val_accuracy = Accuracy(task="multiclass", num_classes=10)
        self.test_accuracy = Accuracy(task="multiclass", num_classes=10)

    def forward(self, x: Tensor) -> Tensor:
        """Return log-probabilities, shape ``(B, 10)``, of images of shape ``(B, 1, 28, 28)``."""
        return F.log_softmax(self.model(x), dim=1)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        x, y = batch
        loss = F.nll_loss(self(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Show loss and accuracy of the validation images on the progress bar."""
        x, y = batch
        log_p = self(x)
        self.val_accuracy(log_p, y)
        self.log("val_loss", F.nll_loss(log_p, y), prog_bar=True)
        self.log("val_acc", self.val_accuracy, prog_bar=True)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy of the test images."""
        x, y = batch
        log_p = self(x)
        self.test_accuracy(log_p, y)
        self.log("test_loss", F.nll_loss(log_p, y), prog_bar=True)
        self.log("test_acc", self.test_accuracy, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over all parameters."""
        return torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate)

    # --- data ----------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download what is missing."""
        self.mnist.prepare_data()

    def setup(self, stage: str) -> None:
        """Read the images *stage* needs; 55,000 for training, 5,000 for validation, 10,000 for the test."""
        self.mnist.setup(stage)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Shuffled training batches."""
        return self.mnist.train_dataloader()

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Batches of the validation images."""
        return self.mnist.val_dataloader()

    def test_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Batches of the test images."""
        return self.mnist.test_dataloader()
