"""The smallest models and data there are: what scripts import from Lightning's demos to try something out.

All of them work on random vectors; nothing is learned but to give ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from leyden.datamodule import LightningDataModule
from leyden.module import LightningModule


class RandomDataset(Dataset[Tensor]):
    """*length* vectors of *size* standard normal numbers, drawn once."""

    def __init__(self, size: int, length: int) -> None:
        self.len = length
        self.data = torch.randn(length, size)

    def __getitem__(self, index: int) -> Tensor:
        return self.data[index]

    def __len__(self) -> int:
        return self.len


class RandomDictDataset(Dataset[dict[str, Tensor]]):
    """Like `RandomDataset`; a sample is a dict of ``a``, the vector, and ``b``, which is ``a + 2``."""

    def __init__(self, size: int, length: int) -> None:
        self.len = length
        self.data = torch.randn(length, size)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"a": self.data[index], "b": self.data[index] + 2}

    def __len__(self) -> int:
        return self.len


class RandomIterableDataset(IterableDataset[Tensor]):
    """*count* vectors of *size* standard normal numbers, drawn anew in each pass; of unknown length."""

    def __init__(self, size: int, count: int) -> None:
        self.size = size
        self.count = count

    def __iter__(self) -> Iterator[Tensor]:
        return (torch.randn(self.size) for _ in range(self.count))


class RandomIterableDatasetWithLen(RandomIterableDataset):
    """Like `RandomIterableDataset`, of known length."""

    def __len__(self) -> int:
        return self.count


def _loader(data: Any) -> DataLoader[Tensor]:
    return DataLoader(data)


class BoringModel(LightningModule):
    """One linear layer from 32 numbers to 2, trained with SGD to give ones; brings its own data."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map vectors of shape ``(B, 32)`` to ``(B, 2)``."""
        return self.layer(x)  # type: ignore[no-any-return]

    def loss(self, preds: Tensor, labels: Tensor | None = None) -> Tensor:
        """Mean squared distance of *preds* to *labels*, or to ones."""
        return F.mse_loss(preds, torch.ones_like(preds) if labels is None else labels)

    def step(self, batch: Any) -> Tensor:
        """Loss of one batch."""
        return self.loss(self(batch))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Return the loss in a dict."""
        return {"loss": self.step(batch)}

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """Return the loss as ``x``."""
        return {"x": self.step(batch)}

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        """Return the loss as ``y``."""
        return {"y": self.step(batch)}

    def configure_optimizers(self) -> Any:
        """SGD, its rate cut to a tenth after each epoch."""
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)]

    def train_dataloader(self) -> Any:
        """64 batches of one vector."""
        return _loader(RandomDataset(32, 64))

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


class ManualOptimBoringModel(BoringModel):
    """The same, optimised by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Take one step, and return the loss."""
        optimizer = self.optimizers()
        loss = self.step(batch)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return loss


class BoringDataModule(LightningDataModule):
    """256 vectors of 32 numbers, a quarter for each stage."""

    def __init__(self) -> None:
        super().__init__()
        self.random_full = RandomDataset(32, 64 * 4)

    def _quarter(self, number: int) -> Subset[Tensor]:
        return Subset(self.random_full, range(64 * number, 64 * (number + 1)))

    def setup(self, stage: str) -> None:
        """Cut the quarters that *stage* needs."""
        if stage == "fit":
            self.random_train = self._quarter(0)
        if stage in ("fit", "validate"):
            self.random_val = self._quarter(1)
        if stage == "test":
            self.random_test = self._quarter(2)
        if stage == "predict":
            self.random_predict = self._quarter(3)

    def train_dataloader(self) -> Any:
        """The first quarter."""
        return _loader(self.random_train)

    def val_dataloader(self) -> Any:
        """The second quarter."""
        return _loader(self.random_val)

    def test_dataloader(self) -> Any:
        """The third quarter."""
        return _loader(self.random_test)

    def predict_dataloader(self) -> Any:
        """The fourth quarter."""
        return _loader(self.random_predict)


class BoringDataModuleNoLen(LightningDataModule):
    """Vectors of 32 numbers that nobody knows the number of: 512 to train on, fewer elsewhere."""

    def train_dataloader(self) -> Any:
        """512 vectors."""
        return _loader(RandomIterableDataset(32, 512))

    def val_dataloader(self) -> Any:
        """128 vectors."""
        return _loader(RandomIterableDataset(32, 128))

    def test_dataloader(self) -> Any:
        """256 vectors."""
        return _loader(RandomIterableDataset(32, 256))

    def predict_dataloader(self) -> Any:
        """64 vectors."""
        return _loader(RandomIterableDataset(32, 64))


class DemoModel(LightningModule):
    """A linear layer of *in_dim* inputs and *out_dim* outputs, trained with Adam to give ones."""

    def __init__(self, out_dim: int = 10, learning_rate: float = 0.02, in_dim: int = 32) -> None:
        super().__init__()
        self.l1 = nn.Linear(in_dim, out_dim)
        self.learning_rate = learning_rate

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, *)`` to ``(B, out_dim)``."""
        return torch.relu(self.l1(x.view(x.size(0), -1)))

    def training_step(self, batch: Any, batch_nb: int) -> Any:
        """Mean squared distance to ones."""
        output = self(batch)
        return F.mse_loss(output, torch.ones_like(output))

    def configure_optimizers(self) -> Any:
        """Adam with the rate given."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def train_dataloader(self) -> Any:
        """64 batches of one vector."""
        return _loader(RandomDataset(self.l1.in_features, 64))


class Net(nn.Module):
    """Two layers that tell ten classes of images of 28 x 28 apart."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, x: Tensor) -> Tensor:
        """Map images of shape ``(B, 1, 28, 28)`` to log-probabilities ``(B, 10)``."""
        return F.log_softmax(self.layers(x), dim=1)
