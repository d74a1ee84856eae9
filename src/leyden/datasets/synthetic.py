"""Points around random centres, one centre a class: data of any size, made in a moment.

    x = centre[y] + noise · e,    centres and e standard normal

drawn from a generator of its own, so the data depend on *seed* alone and drawing them
does not move the global random state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from leyden.datasets.checks import check_count, check_fractions, check_number
from leyden.datasets.in_memory import InMemory
from leyden.datasets.splits import SplitData, split_indices


class Synthetic(SplitData):
    """Batches ``(x, y)``: float32 of shape ``(B, features)``, int64 of shape ``(B,)``.

    Args:
        samples: Number of points in all three splits together.
        features: Dimensions of a point.
        classes: Number of centres.
        noise: Standard deviation around a centre; the centres lie ``sqrt(2 features)``
            apart on average.
        seed: Seed of the data and of the split.
        batch_size: Samples per batch.
        val_fraction: Part of the samples used for validation.
        test_fraction: Part of the samples held out for the test.
        num_workers: Worker processes per loader.
    """

    def __init__(
        self,
        samples: int = 2000,
        features: int = 64,
        classes: int = 10,
        noise: float = 1.0,
        seed: int = 0,
        batch_size: int = 64,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, num_workers)
        for name, value, minimum in (
            ("samples", samples, 3),
            ("features", features, 1),
            ("classes", classes, 2),
            ("seed", seed, 0),
        ):
            check_count("Synthetic", name, value, minimum)
        check_number("Synthetic", "noise", noise)
        check_fractions("Synthetic", val_fraction=val_fraction, test_fraction=test_fraction)
        self.samples = samples
        self.features = features
        self.classes = classes
        self.noise = noise
        self.seed = seed
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.save_hyperparameters()

    def build(self, names: Sequence[str]) -> dict[str, Dataset[Any]]:
        """Draw all points and take the splits called *names*."""
        generator = torch.Generator().manual_seed(self.seed)
        centres = torch.randn(self.classes, self.features, generator=generator)
        labels = torch.randint(self.classes, (self.samples,), generator=generator)
        points = centres[labels] + self.noise * torch.randn(self.samples, self.features, generator=generator)
        whole = InMemory(points, labels)
        parts = split_indices(self.samples, self.seed, self.val_fraction, self.test_fraction)
        return {name: whole.take(parts[name]) for name in names}
