"""Handwritten digits of 8x8 pixels: real, small, and installed with scikit-learn.

1797 images by 13 writers (the test part of "Optical Recognition of Handwritten Digits",
UCI), pixel values 0 to 16. Nothing is downloaded, so the default job runs anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
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
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        images = torch.as_tensor(pixels, dtype=torch.float32) / 16.0
        whole = InMemory(
            images if self.flatten else images.reshape(-1, 1, 8, 8), torch.as_tensor(labels, dtype=torch.int64)
        )
        parts = split_indices(len(whole), self.split_seed, self.val_fraction, self.test_fraction)
        return {name: whole.take(parts[name]) for name in names}
