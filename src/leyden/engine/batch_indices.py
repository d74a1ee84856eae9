"""Which samples a batch consists of: read off the batch sampler as the loader asks it.

The loader is copied, and the copy's batch sampler notes what it hands out. Order, random
numbers and workers are those of the original.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Sized
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from leyden.engine.data import Source
from leyden.warnings import warn_once


class NotingBatchSampler:
    """Hand out what *inner* does, and remember it until it is asked for.

    Args:
        inner: The loader's own batch sampler.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.ahead: deque[list[int]] = deque()  # workers ask for batches before they are needed

    def __iter__(self) -> Iterator[Any]:
        self.ahead.clear()
        return map(self._note, self.inner)

    def __len__(self) -> int:
        inner: Sized = self.inner
        return len(inner)

    def __getattr__(self, name: str) -> Any:
        """Answer for *inner* about everything else."""
        return getattr(self.inner, name)

    def _note(self, indices: Any) -> Any:
        self.ahead.append(list(indices))
        return indices


def noting(source: Source) -> tuple[Source, deque[list[int]] | None]:
    """Return a source of the same batches and the indices of those to come; None where they cannot be told."""
    loader = source.loader
    if not _can_tell(loader):
        warn_once(
            f"the indices of the samples in the batches of a {type(loader).__name__} cannot be told: that takes a "
            "DataLoader over a data set with indices, with batches, in order. Callbacks get empty lists."
        )
        return source, None
    noted = copy.copy(loader)
    sampler = NotingBatchSampler(loader.batch_sampler)
    vars(noted).update(batch_sampler=sampler, _iterator=None)  # a copy must not share the workers of the original
    return source._replace(loader=noted), sampler.ahead


def _can_tell(loader: Any) -> bool:
    return (
        isinstance(loader, DataLoader)
        and loader.batch_sampler is not None
        and not isinstance(loader.dataset, IterableDataset)
        and getattr(loader, "in_order", True)
    )
