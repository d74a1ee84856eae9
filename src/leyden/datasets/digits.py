"""Handwritten digits of 8x8 pixels: real, small, and installed with scikit-learn.

1797 images by 13 writers (the test part of "Optical Recognition of Handwritten Digits",
UCI), pixel values 0 to 16. Nothing is downloaded, so the default job runs anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from leyden.datasets.checks import check_count, check_fractions
from leyden.datasets.in_memory import InMemory
from leyden.datasets.splits import SplitData, split_indices


class Digits(SplitData):
    """Batches ``(images, labels)``: float32 in [0, 1] of shape ``(B, 64)``, int64 of shape ``(B,)``.

    The split is a permutation fixed by *split_seed* alone: runs with different global
    seeds are compared on the same held-out samples. Classes are not balanced exactly
    (the test split of seed 0 has 30 to 51 of each).

    Args:
        batch_size: Samples per batch.
        val_fraction: Part of all samples used for validation.
        test_fraction: Part of all samples held out for the test; a fifth is 359 images.
        split_seed: Seed of the split.
        num_workers: Worker processes per loader.
        flatten: Images as vectors; False gives shape ``(B, 1, 8, 8)``.
    """

    def __init__(
        self,
        batch_size: int = 64,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        split_seed: int = 0,
        num_workers: int = 0,
        flatten: bool = True,
    ) -> None:
        super().__init__(batch_size, num_workers)
        check_fractions("Digits", val_fraction=val_fraction, test_fraction=test_fraction)
        check_count("Digits", "split_seed", split_seed, minimum=0)
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.split_seed = split_seed
        self.flatten = flatten
        self.save_hyperparameters()

    def build(self, names: Sequence[str]) -> dict[str, Dataset[Any]]:
        """Scale the pixels to [0, 1] and take the splits called *names*."""
        pixels, labels = _pixels_and_labels()
        images = pixels.to(torch.float32) / 16.0
        whole = InMemory(images if self.flatten else images.reshape(-1, 1, 8, 8), labels)
        parts = split_indices(len(whole), self.split_seed, self.val_fraction, self.test_fraction)
        return {name: whole.take(parts[name]) for name in names}


def _pixels_and_labels() -> tuple[Tensor, Tensor]:
    """Read what `sklearn.datasets.load_digits` reads; importing that, and scipy with it, takes a second."""
    import numpy

    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            "Digits are read from a file of scikit-learn: pip install scikit-learn", name="sklearn"
        )
    table = numpy.loadtxt(
        Path(found.origin).with_name("datasets") / "data" / "digits.csv.gz", numpy.int64, delimiter=","
    )
    rows = torch.from_numpy(table)
    return rows[:, :-1], rows[:, -1].clone()
