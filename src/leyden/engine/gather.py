"""Tensors in memory behind an ordinary `DataLoader`: fetched a batch at a time.

A `DataLoader` over a `TensorDataset` indexes each sample alone and stacks them again: for
a small model that costs more than the step. The same batches, in the same order, under
the same random numbers, come from one indexing operation per tensor:

    loader.batch_sampler ─► indices ─► tensor.index_select ─► batch      (the loader's own sampler, untouched)

Only the plain case is exchanged, where nobody can tell the difference: the default collate
function, no workers, and data sets whose very type is `TensorDataset`, or `Subset` of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, default_collate


class Rows(Dataset[list[Tensor]]):
    """The rows of a `TensorDataset`, a whole batch at once.

    Args:
        source: Whose tensors are read, at each batch anew.
        chosen: Positions of the samples in it, shape ``(N,)``; None for all.
    """

    def __init__(self, source: TensorDataset, chosen: Tensor | None) -> None:
        self.source = source
        self.chosen = chosen

    def __len__(self) -> int:
        return len(self.source) if self.chosen is None else len(self.chosen)

    def __getitem__(self, index: int) -> list[Tensor]:
        """Return one sample, as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> list[Tensor]:
        """Return the samples at *indices* as tensors of shape ``(B, *)``, as the default collate function does."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        if self.chosen is not None:
            index = self.chosen[index]
        return [tensor.index_select(0, index) for tensor in self.source.tensors]


def gathering(loader: Any) -> Any:
    """Return a loader that gives the same batches as *loader*, faster where that can be done; else *loader*."""
    rows = _rows(loader.dataset) if _is_plain(loader) else None
    if rows is None:
        return loader
    return DataLoader(
        rows,
        batch_sampler=loader.batch_sampler,
        collate_fn=_whole,
        pin_memory=loader.pin_memory,
        generator=loader.generator,
    )


def _is_plain(loader: Any) -> bool:
    return (
        type(loader) is DataLoader
        and loader.num_workers == 0
        and loader.batch_sampler is not None
        and loader.collate_fn is default_collate
        and not hasattr(loader, "state_dict")
    )


def _rows(dataset: Any) -> Rows | None:
    """Return the rows behind nested subsets, or None if something else is at the bottom."""
    chosen: Tensor | None = None
    while type(dataset) is Subset:
        indices = torch.as_tensor(dataset.indices, dtype=torch.int64)
        chosen = indices if chosen is None else indices[chosen]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset:
        return None
    return Rows(dataset, chosen) if all(map(_can_gather, dataset.tensors)) else None


def _can_gather(tensor: Tensor) -> bool:
    plain = type(tensor) is Tensor and tensor.layout is torch.strided
    return plain and tensor.device.type == "cpu" and not tensor.requires_grad


def _whole(batch: Any) -> Any:
    return batch
