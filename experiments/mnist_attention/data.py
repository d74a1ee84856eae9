"""A data module written by hand, from the parts the package offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, random_split

from leyden import LightningDataModule
from leyden.datasets import MNIST, InMemory, loader, read_idx


class MnistDataModule(LightningDataModule):
    """MNIST, 55,000 / 5,000 / 10,000.

    Args:
        root: Folder of the four files; they are downloaded into it unless there.
        batch_size: Images per batch.
    """

    def __init__(self, root: str = "data/mnist", batch_size: int = 64) -> None:
        super().__init__()
        self.files = MNIST(root)
        self.batch_size = batch_size

    def prepare_data(self) -> None:
        """Download what is missing."""
        self.files.prepare_data()

    def setup(self, stage: str) -> None:
        """Read the images of *stage*; training and validation are split by a fixed seed."""
        if stage in ("fit", "validate"):
            generator = torch.Generator().manual_seed(42)
            self.train, self.val = random_split(self._read("train"), [55000, 5000], generator=generator)
        if stage in ("test", "predict"):
            self.test = self._read("t10k")

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled training batches."""
        return loader(self.train, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of the validation images."""
        return loader(self.val, self.batch_size)

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of the test images."""
        return loader(self.test, self.batch_size)

    def _read(self, part: str) -> InMemory:
        images = read_idx(self._path(f"{part}-images-idx3-ubyte.gz"))
        labels = read_idx(self._path(f"{part}-labels-idx1-ubyte.gz"))
        return InMemory(images.unsqueeze(1), labels.long(), transform=normalise)

    def _path(self, name: str) -> Path:
        return self.files.locate(name) or Path(name)


def normalise(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Turn bytes, shape ``(B, 1, 28, 28)``, into float32 of mean 0 and deviation 1."""
    return images.float().div_(255.0).sub_(0.1307).div_(0.3081), labels
