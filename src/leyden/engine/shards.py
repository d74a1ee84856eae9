"""Each rank's share of a loader, in the user's order.

    order of the loader    0 1 2 3 4 5 6 7 8 9        rank 0 of 2    0 2 4 6 8
                                                      rank 1 of 2    1 3 5 7 9

Samples are dealt like cards. So the *k*-th batches of all ranks together are the *k*-th batch of one process with a
batch as large as theirs: whatever the number of ranks, an update sees the same samples, in the same order.

* Training: shares are equally long; the first samples are dealt once more at the end, if they have to be.
* Evaluation: every sample is dealt once, so that metrics are exact. All ranks have the same number of batches, of
  which the last may hold one sample more, so that ranks that talk to each other in a step do not wait for ever.
* An order that is drawn is drawn under the random numbers of rank 0.
* A batch sampler of the user's own deals whole batches; an iterable data set deals what it yields.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, IterableDataset, SequentialSampler

from leyden import rng
from leyden.engine.position import samplers
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from leyden.strategy import Strategy


class Share(NamedTuple):
    """Which part of the data belongs to a process.

    Attributes:
        rank: Of this process.
        world: How many parts there are.
        agreed: Returns rank 0's value on every rank.
    """

    rank: int
    world: int
    agreed: Callable[[Any], Any]


def shared_out(loader: Any, share: Share, even: bool) -> Any:
    """Return a loader of this process's share of *loader*.

    Args:
        loader: It is not changed. What is no torch `DataLoader`, and what is divided already, is returned as it is.
        share: Which part.
        even: Whether all shares are to be equally long: for training.
    """
    if not isinstance(loader, DataLoader) or any(isinstance(each, DistributedSampler) for each in samplers(loader)):
        return loader
    made = copy.copy(loader)
    if isinstance(loader.dataset, IterableDataset):
        changed = _stream(loader, share)
    elif loader.batch_sampler is None:
        changed = {"sampler": Dealt(loader.sampler, share, even)}
    elif type(loader.batch_sampler) is BatchSampler:
        dealt, own = Dealt(loader.batch_sampler.sampler, share, even), loader.batch_sampler
        kind = BatchSampler if even else EvenBatches
        changed = {"sampler": dealt, "batch_sampler": kind(dealt, own.batch_size, own.drop_last)}
    else:
        changed = {"batch_sampler": Dealt(loader.batch_sampler, share, even)}
    vars(made).update(changed, _iterator=None)
    return made


class Dealt:
    """Every so manieth item of a sampler.

    Args:
        sampler: What is dealt: indices, or whole batches of them.
        share: Which part.
        even: Whether the first items are dealt again, to make all shares equally long.
    """

    def __init__(self, sampler: Any, share: Share, even: bool) -> None:
        self.sampler = sampler
        self.share = share
        self.even = even

    @property
    def batch_size(self) -> Any:
        """Size of the batches, where whole batches are dealt."""
        return self.sampler.batch_size

    def __len__(self) -> int:
        return self.length(len(self.sampler), self.share.rank)

    def length(self, count: int, rank: int) -> int:
        """Return how many of *count* items *rank* gets."""
        left = count - (0 if self.even else rank)
        return -(-left // self.share.world)

    @property
    def generator(self) -> torch.Generator | None:
        """What the sampler draws from, if that is its own: part of the loader's position."""
        return getattr(self.sampler, "generator", None)

    def set_epoch(self, epoch: int) -> None:
        """Tell a sampler that wants to know which epoch begins."""
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        yield from self.of(self.order())  # drawn when the first one is asked for, as samplers of torch do

    def of(self, order: Any) -> Iterator[Any]:
        """Yield this process's part of *order*."""
        rank, world, _ = self.share
        first: list[Any] = []
        count = 0
        for item in order:
            if count < world:
                first.append(item)
            if count % world == rank:
                yield item
            count += 1
        left = count % world
        if self.even and left and rank >= left:
            yield first[(rank - left) % len(first)]

    def order(self) -> Any:
        """Return the items in an order that is the same on all ranks; where it has a length, that is the true one."""
        sampler = self.sampler
        if type(sampler) is SequentialSampler or not hasattr(sampler, "__len__") or getattr(sampler, "settled", False):
            return sampler
        own = rng.capture()
        theirs = self.share.agreed(own)
        if self.share.rank == 0 or rng.same(own, theirs):
            return list(sampler)
        rng.restore(theirs)
        found = list(sampler)
        rng.restore(own)
        return found


class EvenBatches(BatchSampler):
    """Batches of a share, as many as every other rank has: the last one may hold a sample more."""

    sampler: Any

    def __len__(self) -> int:
        return self._count(len(self.sampler.sampler))

    def _count(self, items: int) -> int:
        """Return how many batches each rank has of so many *items* of all ranks."""
        share = self.sampler.share
        smallest = self.sampler.length(items, share.world - 1)
        if not smallest:
            return int(bool(self.sampler.length(items, share.rank)) and not self.drop_last)
        whole, rest = divmod(smallest, self.batch_size)
        return int(whole) + int(bool(rest) and not self.drop_last)

    def __iter__(self) -> Iterator[list[Any]]:
        order = self.sampler.order()
        if not hasattr(order, "__len__"):  # nobody can tell how many the others have
            yield from super().__iter__()
            return
        batch: list[Any] = []
        left = self._count(len(order))
        for index in self.sampler.of(order):
            if len(batch) == self.batch_size and left > 1:
                yield batch
                batch, left = [], left - 1
            batch.append(index)
        if batch and left:
            yield batch[: self.batch_size] if self.drop_last else batch


class Stream(IterableDataset[Any]):
    """Every so manieth sample of an iterable data set.

    Args:
        source: The data set; in a worker process it is that worker's own.
        share: Which part, without what talks to other ranks: it goes to worker processes.
    """

    def __init__(self, source: Any, share: Share) -> None:
        self.source = source
        self.rank, self.world = share.rank, share.world

    def __iter__(self) -> Iterator[Any]:
        for place, sample in enumerate(self.source):
            if place % self.world == self.rank:
                yield sample


class SizedStream(Stream):
    """A `Stream` of a data set that says how long it is."""

    def __len__(self) -> int:
        return (len(self.source) + self.world - 1 - self.rank) // self.world


def _stream(loader: DataLoader[Any], share: Share) -> dict[str, Any]:
    dataset: Any = loader.dataset
    if getattr(dataset, "sharded", False):
        return {}
    warn_once(
        f"{type(dataset).__name__} is iterable: rank r of {share.world} takes its samples r, r + {share.world}, ... If "
        "it yields each rank's own samples already, say so: dataset.sharded = True, or "
        "Trainer(use_distributed_sampler=False)."
    )
    kind = SizedStream if hasattr(dataset, "__len__") else Stream
    made = kind(dataset, share)
    return {"dataset": made}


def together(batches: Iterator[Any], strategy: Strategy, end: Any) -> Iterator[Any]:
    """Yield *batches* until the first rank has none left: of a loader without a length, ranks may have more or fewer.

    Args:
        batches: Of this rank.
        strategy: Asks the others, once a batch.
        end: What stands for no batch.
    """
    while True:
        batch = next(batches, end)
        if not strategy.reduce(torch.tensor(float(batch is not end)), "min"):
            return
        yield batch
