"""Tensors in memory behind an ordinary `DataLoader`: fetched a batch at a time.

A `DataLoader` over a `TensorDataset` indexes each sample alone and stacks them again: for
a small model that costs more than the step. The same batches, in the same order, under
the same random numbers, come from one indexing operation per tensor:

    loader.batch_sampler ─► indices ─► tensor.index_select ─► batch      (the loader's own sampler, untouched)

Only the plain case is exchanged, where nobody can tell the difference: the default collate
function, no workers, and data sets whose very type is `TensorDataset`, or `Subset` of one.
Torch's own samplers are asked for the indices of several batches ahead; the tensors
themselves are read batch by batch.

What is exchanged is looked at again with every pass and every batch: indices that are no
plain numbers within the data set, and tensors that cannot be gathered, are fetched one
sample at a time, as torch does it, with its results and its exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
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
    """The samples of a data set in memory, a whole batch at once.

    Args:
        dataset: A `TensorDataset`, or `Subset`s around one; read at each batch anew.
    """

    draws = False

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.chosen: Tensor | None = None  # positions in the innermost data set, shape (N,); None for all
        self._size = 0  # indices below it can be gathered
        self._tensors: Any = None  # those that were looked at
        self._gathers = False

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        """Return one sample, as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Any) -> Any:
        """Return the samples at *indices* as tensors of shape ``(B, *)``, as the default collate function does."""
        index = self.index([indices])
        return self.one_by_one(indices) if index is None else self.at(index)

    def refresh(self) -> None:
        """Look at the indices of the subsets, and at how many samples there are: before each pass."""
        self.chosen, self._size, dataset = None, 0, self.dataset
        while type(dataset) is Subset:
            inner: Any = dataset.dataset
            indices = _positions(dataset.indices, len(inner))
            if indices is None:
                return
            self.chosen = indices if self.chosen is None else indices[self.chosen]
            dataset = inner
        self._size = len(dataset if self.chosen is None else self.chosen)

    def index(self, batches: list[Any]) -> Tensor | None:
        """Return the indices of *batches* in a row, shape ``(N,)``; None where they are not to be gathered."""
        if not all(type(each) is list and each for each in batches):
            return None
        flat = list(chain.from_iterable(batches))
        if set(map(type, flat)) != {int} or min(flat) < 0 or max(flat) >= self._size:
            return None
        return torch.tensor(flat, dtype=torch.int64)

    def at(self, index: Tensor) -> Any:
        """Return the samples at *index*, shape ``(B,)``, as tensors of shape ``(B, *)``."""
        source = _innermost(self.dataset)
        if source.tensors is not self._tensors:
            self._tensors = source.tensors
            self._gathers = all(map(_can_gather, self._tensors)) and len({len(each) for each in self._tensors}) == 1
        if not self._gathers:
            return self.one_by_one(index.tolist())
        if self.chosen is not None:
            index = self.chosen[index]
        return [tensor.index_select(0, index) for tensor in self._tensors]

    def one_by_one(self, indices: Any) -> Any:
        """Return the samples at *indices* as torch fetches and collates them."""
        fetch = getattr(self.dataset, "__getitems__", None)
        return default_collate(fetch(indices) if fetch else [self.dataset[index] for index in indices])


class RowsLoader(DataLoader[list[Tensor]]):
    """A loader of `Rows` without what torch's own iterator does around each batch."""

    def __iter__(self) -> Any:
        """Return the batches of one epoch."""
        rows: Any = self.dataset
        rows.refresh()
        iterator = super().__iter__()  # draws from the generators what a loader draws
        batches: Any = self.batch_sampler
        if type(batches) not in (BatchSampler, EvenBatches) or self.pin_memory:
            return iterator
        return self._batches(iter(batches), AHEAD if _is_predictable(batches.sampler) else 1)

    def _batches(self, indices: Iterator[list[Any]], ahead: int) -> Iterator[Any]:
        rows: Any = self.dataset
        while block := list(islice(indices, ahead)):
            flat = rows.index(block)
            if flat is None:
                yield from map(rows.__getitems__, block)
                continue
            for index in torch.split(flat, [len(each) for each in block]):
                yield rows.at(index)


def gathering(loader: Any) -> Any:
    """Return a loader that gives the same batches as *loader*, faster where that can be done; else *loader*."""
    if not _is_plain(loader) or not _can_be_rows(loader.dataset):
        return loader
    return RowsLoader(
        Rows(loader.dataset),
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


def _can_be_rows(dataset: Any) -> bool:
    source = _innermost(dataset)
    return type(source) is TensorDataset and all(map(_can_gather, source.tensors))


def _innermost(dataset: Any) -> Any:
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return dataset


def _positions(indices: Any, size: int) -> Tensor | None:
    """Return the indices of a subset as positions from 0 to *size*; None where they are anything else than numbers."""
    if isinstance(indices, (Tensor, np.ndarray)):
        found = np.asarray(indices)
        if found.ndim != 1 or found.dtype not in (np.int64, np.int32):
            return None
    elif type(indices) is range or (type(indices) in (list, tuple) and set(map(type, indices)) <= {int}):
        try:
            found = np.array(indices, dtype=np.int64)
        except OverflowError:
            return None
    else:
        return None
    positions = torch.from_numpy(np.where(found < 0, found + size, found).astype(np.int64))
    return positions if not len(positions) or 0 <= positions.min() <= positions.max() < size else None


def _can_gather(tensor: Tensor) -> bool:
    plain = type(tensor) is Tensor and tensor.layout is torch.strided
    return plain and tensor.device.type == "cpu" and not tensor.requires_grad
