"""Three data sets, made once and read through one loader each.

A subclass says how its splits are built; which of them a stage needs, that none is built
twice, and how they are loaded is said here.

    fit       train, val        shuffled, in order
    validate  val
    test      test
    predict   test              the samples held out are what there is to predict
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from leyden.datamodule import LightningDataModule
from leyden.datasets.checks import check_count
from leyden.datasets.in_memory import loader
from leyden.errors import ConfigurationError

NEEDED = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}


class SplitData(LightningDataModule, ABC):
    """A data module with a training, a validation and a test split, in memory.

    Args:
        batch_size: Samples per batch, in all three splits.
        num_workers: Worker processes per loader; see `leyden.datasets.loader`.
    """

    def __init__(self, batch_size: int, num_workers: int = 0) -> None:
        super().__init__()
        check_count(type(self).__name__, "batch_size", batch_size)
        check_count(type(self).__name__, "num_workers", num_workers, minimum=0)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.splits: dict[str, Dataset[Any]] = {}

    @abstractmethod
    def build(self, names: Sequence[str]) -> dict[str, Dataset[Any]]:
        """Return the splits called *names*, out of ``train``, ``val`` and ``test``."""

    def setup(self, stage: str | None = None) -> None:
        """Build the splits *stage* needs and that do not exist yet; None builds all."""
        needed = NEEDED[stage] if stage is not None else ("train", "val", "test")
        missing = [name for name in needed if name not in self.splits]
        if missing:
            self.splits |= self.build(missing)

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the training split, in a new order every epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of the validation split, in order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of the test split, in order."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Batches of the test split, in order."""
        return self._loader("test")

    def _loader(self, name: str, shuffle: bool = False) -> DataLoader[Any]:
        if name not in self.splits:
            raise ConfigurationError(
                f"{type(self).__name__} has no {name} split yet: a loader was asked for before setup(). "
                f"A Trainer calls it; without one call prepare_data() and setup() first."
            )
        return loader(self.splits[name], self.batch_size, shuffle=shuffle, num_workers=self.num_workers)


def split_indices(count: int, seed: int, val_fraction: float, test_fraction: float) -> dict[str, Tensor]:
    """Deal the numbers 0 to *count* - 1 to the three splits.

    The order is a permutation drawn from a generator of its own, so it depends on *seed*
    alone and not on the global one. The test split comes first in it: changing
    *val_fraction* moves samples between training and validation only.

    Returns:
        Disjoint int64 indices for ``train``, ``val`` and ``test``; sizes are rounded and
        at least 1.

    Raises:
        ConfigurationError: If nothing would be left for training.
    """
    test, val = (max(1, round(count * fraction)) for fraction in (test_fraction, val_fraction))
    if test + val >= count:
        raise ConfigurationError(
            f"{count} samples cannot be split: test_fraction={test_fraction} and val_fraction={val_fraction} take "
            f"{test} and {val} of them and leave none to train on. Use more samples, or smaller fractions."
        )
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return {"test": order[:test], "val": order[test : test + val], "train": order[test + val :]}
