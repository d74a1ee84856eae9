"""Batches that do not depend on how many processes load them.

    seed, epoch ─► seed of a pass ─┬─► order of the samples
                                   └─► with the index: random numbers (Python, NumPy, torch) of one sample

Torch draws the order from the global generator, at a moment that depends on the number of
worker processes, and all samples a worker fetches share one stream of random numbers. So
with another number of workers a model sees other batches. Here the order is drawn from a
generator of its own, and the global ones are set anew before each sample, then put back:

    loader ─► ordered ─► [gathering: tensors in memory] ─► sampled ─► the same batches with 0, 1 or 100 workers

* A pass has a seed of its own because a short loader among several is read more than once
  in an epoch. It is drawn from a generator whose state is part of the loader's position,
  which is how a resumed run finds it again.
* A data set that fetches whole batches (``__getitems__``) is seeded once a batch, by its first index.
* A data set or a collate function that draws no random numbers can say so with an attribute
  ``draws = False``: nothing is set then.
* Left alone: data sets without indices, samplers of the user's own, loaders that keep
  their own position. Generators that a data set keeps for itself cannot be seen from here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
)

from leyden import rng
from leyden.engine.lengths import named
from leyden.warnings import warn_once

_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)  # draw from a generator they can be given
_FIXED = (SequentialSampler, DistributedSampler)  # depend on the epoch at most


class Passes:
    """A sampler that knows which pass over the data it begins.

    Args:
        sampler: What is asked for indices.
        *salt: Tells passes of different loaders apart.

    Attributes:
        settled: The order is the same in every process.
    """

    settled = True

    def __init__(self, sampler: Any, *salt: int | str) -> None:
        self.sampler = sampler
        self.generator = torch.Generator()
        self._salt = salt
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: the engine announces it before it asks for a batch."""
        self.generator.manual_seed(rng.mixed(*self._salt, epoch))

    def __len__(self) -> int:
        return len(self.sampler)

    def _begin(self) -> int:
        return int(torch.empty((), dtype=torch.int64).random_(generator=self.generator).item())


class Shuffled(Passes):
    """One of torch's random samplers, whose order depends on the seed and the epoch alone."""

    def __init__(self, sampler: Any, *salt: int | str) -> None:
        own = getattr(sampler, "generator", None)
        super().__init__(copy.copy(sampler), *salt, 0 if own is None else own.initial_seed())
        self.sampler.generator = None  # the position of a resumed run is in ours

    def __iter__(self) -> Iterator[int]:
        sampler = copy.copy(self.sampler)
        sampler.generator = torch.Generator().manual_seed(self._begin())
        yield from sampler


class Indices(list[Any]):
    """The indices of one batch.

    Attributes:
        seed: Of the pass they belong to; a worker process learns it along with them.
    """

    seed: int


class Stamped(Passes):
    """Add the seed of the pass to what a batch sampler hands out, or a sampler where there are no batches."""

    def __init__(self, sampler: Any, batched: bool, *salt: int | str) -> None:
        super().__init__(sampler, *salt)
        self._batched = batched

    def __iter__(self) -> Iterator[Any]:
        seed = self._begin()
        for wanted in self.sampler:
            if not self._batched:
                yield seed, wanted
                continue
            indices = Indices(wanted)
            indices.seed = seed
            yield indices


class Samples(Dataset[Any]):
    """The batches of a data set, fetched under random numbers that depend on pass and index alone.

    In the training process the generators are put back afterwards, and one thread does the
    work, as in a worker: another number of threads sums in another order.

    Args:
        source: The data set.
        collate: What makes a batch of samples; it goes on with the random numbers of the last one.
    """

    def __init__(self, source: Any, collate: Callable[[Any], Any]) -> None:
        self.source = source
        self.collate = collate
        self._whole = _fetches_batches(source)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, wanted: tuple[int, Any]) -> Any:
        """Return one sample, of a loader without batches."""
        with _apart():
            return self.collate(self._sample(*wanted))

    def __getitems__(self, indices: Indices) -> Any:
        """Return a batch."""
        with _apart():
            if not self._whole:
                return self.collate([self._sample(indices.seed, index) for index in indices])
            rng.scatter(indices.seed, indices[0])
            return self.collate(self.source.__getitems__(list(indices)))

    def _sample(self, seed: int, index: Any) -> Any:
        rng.scatter(seed, index)
        return self.source[index]


class Worker:
    """Begin a worker process as the user asked, whose data set is the user's own there.

    Args:
        begin: The loader's ``worker_init_fn``.
    """

    def __init__(self, begin: Callable[[int], Any] | None) -> None:
        self.begin = begin

    def __call__(self, worker: int) -> None:
        """Begin worker process number *worker*."""
        info: Any = get_worker_info()
        if isinstance(info.dataset, Samples):
            object.__setattr__(info, "dataset", info.dataset.source)
        if self.begin is not None:
            self.begin(worker)


def ordered(loader: Any, *salt: int | str) -> Any:
    """Return a loader of the same samples, whose order depends on *salt* and the epoch alone.

    Args:
        loader: It is not changed. What has an order of its own is returned as it is.
        *salt: The run's seed, and what tells this loader from the others.
    """
    if not _has_indices(loader):
        warn_once(
            f"the order of the samples of {named(loader)} is its own: the run is deterministic only if that order "
            "is, and the number of workers is part of it. A data set with __getitem__ and __len__ in a torch "
            "DataLoader is shuffled and seeded for you."
        )
        return loader
    made, batches = copy.copy(loader), loader.batch_sampler
    sampler = _shuffled(loader.sampler if batches is None else getattr(batches, "sampler", None), salt)
    if batches is None:
        changed = {"sampler": sampler}
    elif type(batches) is BatchSampler:
        changed = {"sampler": sampler, "batch_sampler": BatchSampler(sampler, batches.batch_size, batches.drop_last)}
    else:
        _leave_alone(batches)
        changed = {}
    vars(made).update(changed, generator=torch.Generator().manual_seed(rng.mixed(*salt, "workers")), _iterator=None)
    return made


def sampled(loader: Any, *salt: int | str) -> Any:
    """Return a loader of the same batches, whose samples' random numbers depend on *salt*, epoch and index alone.

    Args:
        loader: What `ordered` returned, maybe exchanged for one that gathers.
        *salt: As for `ordered`.
    """
    if not _has_indices(loader) or not _draws(loader):
        return loader
    made, batched = copy.copy(loader), loader.batch_sampler is not None
    name = "batch_sampler" if batched else "sampler"
    stamped = Stamped(getattr(loader, name), batched, *salt, "samples")
    vars(made).update(
        {name: stamped},
        dataset=Samples(loader.dataset, loader.collate_fn),
        collate_fn=as_it_is,
        worker_init_fn=Worker(loader.worker_init_fn),
        _iterator=None,
    )
    return made


def as_it_is(batch: Any) -> Any:
    """Collate nothing: what was fetched is the batch already."""
    return batch


vars(as_it_is)["draws"] = False


def _has_indices(loader: Any) -> bool:
    return (
        isinstance(loader, DataLoader)
        and not isinstance(loader.dataset, IterableDataset)
        and not hasattr(loader, "state_dict")
    )


def _shuffled(sampler: Any, salt: tuple[int | str, ...]) -> Any:
    if type(sampler) in _RANDOM:
        return Shuffled(sampler, *salt)
    if sampler is not None and type(sampler) not in _FIXED:
        _leave_alone(sampler)
    return sampler


def _leave_alone(sampler: Any) -> None:
    warn_once(
        f"{type(sampler).__name__} decides itself on the order of the samples: the run is deterministic only if it is. "
        "Let it depend on a seed and on set_epoch(epoch), which is called before every epoch."
    )


def _draws(loader: DataLoader[Any]) -> bool:
    """Whether fetching a batch may draw random numbers."""
    collate, dataset = loader.collate_fn, _behind_subsets(loader.dataset)
    known = collate in (default_collate, default_convert) or getattr(collate, "draws", True) is False
    return not known or (type(dataset) is not TensorDataset and getattr(dataset, "draws", True) is not False)


def _fetches_batches(dataset: Any) -> bool:
    return callable(getattr(_behind_subsets(dataset), "__getitems__", None))


def _behind_subsets(dataset: Any) -> Any:
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return dataset


def _apart() -> Any:
    """Leave no trace in the training process; a worker's random numbers are nobody else's."""
    return rng.apart() if get_worker_info() is None else nullcontext()
