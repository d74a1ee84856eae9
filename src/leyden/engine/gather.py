"""Tensors in memory behind an ordinary `DataLoader`: fetched a batch at a time.

A `DataLoader` over a `TensorDataset` indexes each sample alone and stacks them again: for
a small model that costs more than the step. The same batches, in the same order, under
the same random numbers, come from one indexing operation per tensor:

    loader.batch_sampler ─► indices ─► tensor.index_select ─► batch      (the loader's own sampler, untouched)

Only the plain case is exchanged, where nobody can tell the difference: the default collate
function, no workers, and data sets whose very type is `TensorDataset`, or `Subset` of one.
Torch's own samplers are asked for the indices of several batches ahead; the tensors
themselves are read batch by batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    default_collate,
)

from leyden.engine.seeded import Shuffled, as_it_is
from leyden.engine.shards import Dealt, EvenBatches

AHEAD = 32  # batches whose indices are turned into one tensor


class Rows(Dataset[list[Tensor]]):
    """The rows of a `TensorDataset`, a whole batch at once.

    Args:
        source: Whose tensors are read, at each batch anew.
        chosen: Positions of the samples in it, shape ``(N,)``; None for all.
    """

    draws = False

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
        return self.at(torch.as_tensor(indices, dtype=torch.int64))

    def at(self, index: Tensor) -> list[Tensor]:
        """Return the samples at *index*, shape ``(B,)``, as tensors of shape ``(B, *)``."""
        if self.chosen is not None:
            index = self.chosen[index]
        return [tensor.index_select(0, index) for tensor in self.source.tensors]


class RowsLoader(DataLoader[list[Tensor]]):
    """A loader of `Rows` without what torch's own iterator does around each batch."""

    def __iter__(self) -> Any:
        """Return the batches of one epoch."""
        iterator = super().__iter__()  # draws from the generators what a loader draws
        batches: Any = self.batch_sampler
        if type(batches) not in (BatchSampler, EvenBatches) or self.pin_memory:
            return iterator
        return self._batches(iter(batches), AHEAD if _is_predictable(batches.sampler) else 1)

    def _batches(self, indices: Iterator[list[int]], ahead: int) -> Iterator[list[Tensor]]:
        rows: Any = self.dataset
        while block := list(islice(indices, ahead)):
            flat = torch.as_tensor(list(chain.from_iterable(block)), dtype=torch.int64)
            for index in torch.split(flat, [len(each) for each in block]):
                yield rows.at(index)


def gathering(loader: Any) -> Any:
    """Return a loader that gives the same batches as *loader*, faster where that can be done; else *loader*."""
    rows = _rows(loader.dataset) if _is_plain(loader) else None
    if rows is None:
        return loader
    return RowsLoader(
        rows,
        batch_sampler=loader.batch_sampler,
        collate_fn=as_it_is,
        pin_memory=loader.pin_memory,
        generator=loader.generator,
    )


def _is_predictable(sampler: Any) -> bool:
    """Whether nobody can tell that *sampler* is asked early: its order is fixed once the first index is drawn."""
    if type(sampler) is RandomSampler:
        return sampler.generator is None and not sampler.replacement
    if type(sampler) is Dealt:
        return hasattr(sampler.sampler, "__len__")
    return type(sampler) in (SequentialSampler, Shuffled)


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
