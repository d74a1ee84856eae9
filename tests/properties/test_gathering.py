"""Batches that are gathered are those that torch fetches sample by sample, whatever the loader is made of."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from leyden.engine.gather import RowsLoader, gathering
from tests.properties.outcomes import of

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64]
SHAPES = [(), (3,), (0,), (2, 2), (1, 3, 2)]


@st.composite
def tensors(draw, size):
    """A tensor of *size* samples: of any type, and laid out in memory in any way."""
    shape = draw(st.sampled_from(SHAPES))
    tensor = torch.arange(size * max(1, int(np.prod(shape)))) % 7
    tensor = tensor[: size * int(np.prod(shape))].reshape(size, *shape).to(draw(st.sampled_from(DTYPES)))
    way = draw(st.sampled_from(["plain", "transposed", "strided", "expanded", "flipped", "last"]))
    if way == "transposed":
        return tensor.mT.contiguous().mT if tensor.ndim > 1 else tensor
    if way == "strided":
        return torch.cat([tensor, tensor])[::2] if size else tensor
    if way == "expanded":
        return tensor[:1].expand(size, *shape) if size else tensor
    if way == "last" and tensor.ndim == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor.flip(0) if way == "flipped" else tensor


def some(size, spare, most=9):
    """Some indices of *size* samples, counted from either end; with *spare*, some that do not exist."""
    if not size + spare:
        return st.just([])
    return st.lists(st.integers(-size - spare, size - 1 + spare), max_size=most)


@st.composite
def indices(draw, size):
    """Indices for a subset: of every type that people pass."""
    spare = draw(st.sampled_from([0, 0, 0, 1]))
    found = draw(some(size, spare))
    kind = draw(
        st.sampled_from(["list", "tuple", "range", "array", "reversed", "small array", "tensor", "mixed", "bools"])
    )
    if kind == "range":
        return range(
            *draw(st.tuples(st.integers(-size, size), st.integers(-size, size), st.sampled_from([1, 2, -1, -2])))
        )
    if kind in ("array", "reversed"):
        return np.array(found, dtype=np.int64)[:: -1 if kind == "reversed" else 1]
    if kind == "small array":
        return np.array(
            [each % 100 for each in found], dtype=draw(st.sampled_from([np.uint8, np.int16, np.int32, ">i8"]))
        )
    if kind == "tensor":
        return torch.tensor(found, dtype=draw(st.sampled_from([torch.int64, torch.int32])))
    if kind == "mixed":
        return [draw(oddly(each)) for each in found]
    if kind == "bools":
        return [bool(each % 2) for each in found]
    return tuple(found) if kind == "tuple" else found


def oddly(index):
    """The same index as something else than a number of Python."""
    ways = [int, np.int64, np.int32, torch.tensor, lambda each: torch.tensor(each, dtype=torch.int32), bool, float, str]
    return st.sampled_from(ways).map(lambda way: way(index))


@st.composite
def datasets(draw):
    size = draw(st.integers(0, 9))
    dataset = TensorDataset(*draw(st.lists(tensors(size), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 2))):
        dataset = Subset(dataset, draw(indices(len(dataset))))
    return dataset


class Yielding:
    """A sampler that yields whatever it is given, and may announce anything."""

    def __init__(self, items, length=None):
        self.items, self.length = items, length

    def __iter__(self):
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            yield item


class Sized(Yielding):
    def __len__(self):
        return len(self.items) if self.length is None else self.length


@st.composite
def loaders(draw):
    """Return what makes a loader anew, with the same random numbers."""
    dataset = draw(datasets())
    size, seed = len(dataset), draw(st.integers(0, 9))
    options = {"batch_size": draw(st.integers(1, 4)), "drop_last": draw(st.booleans())}
    spare = draw(st.sampled_from([0, 0, 1]))
    chosen = draw(some(size, spare))
    odd = [draw(oddly(each)) for each in chosen]
    broken = [*chosen, ValueError("no more"), *chosen]
    batches = draw(
        st.lists(
            some(size, spare, most=3).flatmap(
                lambda each: st.sampled_from(
                    [each, tuple(each), np.array(each, dtype=int), torch.tensor(each, dtype=int)]
                )
            ),
            max_size=4,
        )
    )
    makers = {
        "in order": lambda: DataLoader(dataset, **options),
        "shuffled": lambda: DataLoader(dataset, shuffle=True, **options),
        "generator": lambda: DataLoader(
            dataset, shuffle=True, generator=torch.Generator().manual_seed(seed), **options
        ),
        "list": lambda: DataLoader(dataset, sampler=chosen, **options),
        "odd": lambda: DataLoader(dataset, sampler=Sized(odd), **options),
        "unsized": lambda: DataLoader(dataset, sampler=Yielding(chosen), **options),
        "estimated": lambda: DataLoader(dataset, sampler=Sized(chosen, 3), **options),
        "broken": lambda: DataLoader(dataset, sampler=Sized(broken), **options),
        "subset": lambda: DataLoader(dataset, sampler=SubsetRandomSampler(chosen), **options),
        "longer": lambda: DataLoader(dataset, sampler=RandomSampler(range(size + spare), num_samples=13), **options),
        "replaced": lambda: DataLoader(
            dataset, sampler=RandomSampler(range(size + 1), replacement=True, num_samples=5), **options
        ),
        "weighted": lambda: DataLoader(dataset, sampler=WeightedRandomSampler([0.2] * (size + 1), 5), **options),
        "batches": lambda: DataLoader(dataset, batch_sampler=Sized(batches)),
        "batches of torch": lambda: DataLoader(dataset, batch_sampler=BatchSampler(chosen, 2, options["drop_last"])),
        "batches of odd": lambda: DataLoader(dataset, batch_sampler=BatchSampler(odd, 2, options["drop_last"])),
    }
    return draw(st.sampled_from(sorted(makers)).map(makers.get))


@given(loaders(), st.integers(0, 9))
def test_gathered_batches_are_those_that_torch_fetches(make, seed):
    def passes(wrap):
        torch.manual_seed(seed)
        try:
            loader = wrap(make())
        except Exception as error:  # nothing to fetch from, an empty data set to shuffle say
            return type(error), str(error)
        return [of(lambda: loader) for _ in range(2)], torch.get_rng_state().tolist()

    assert passes(gathering) == passes(lambda loader: loader)


@given(datasets(), datasets(), st.data())
def test_what_is_exchanged_between_two_passes_is_seen(dataset, other, data):
    def passes(wrap, tensors, indices):
        inner = TensorDataset(*tensors)
        outer = Subset(inner, indices[0])
        loader = wrap(DataLoader(outer, 2))
        first = of(lambda: loader)
        outer.indices, inner.tensors = indices[1], exchanged
        return first, of(lambda: loader)

    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    while isinstance(other, Subset):
        other = other.dataset
    exchanged = other.tensors
    if data.draw(st.booleans()):
        exchanged = tuple(each.clone().requires_grad_(each.is_floating_point()) for each in other.tensors)
    both = [data.draw(indices(len(dataset))), data.draw(indices(len(other)))]

    assert passes(gathering, dataset.tensors, both) == passes(lambda loader: loader, dataset.tensors, both)


@given(datasets())
def test_the_usual_loader_is_gathered(dataset):
    """The shortcut is taken: else the properties above would say nothing about it."""
    assert isinstance(gathering(DataLoader(dataset, 2)), RowsLoader)
