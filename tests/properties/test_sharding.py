"""A share is what the plain definition says: every so manieth item, with the first ones again where shares are even."""

from __future__ import annotations

import itertools
import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from leyden.engine.shards import Share, shared_out
from tests.properties.outcomes import of

SIZE = 40  # of the data set: samplers choose from it


class Group:
    """All ranks of a group, one after the other: each hears what rank 0 has said at the same point."""

    def __init__(self, world):
        self.world, self.said = world, []

    def share(self, rank):
        turns = itertools.count()

        def agreed(value):
            turn = next(turns)
            if rank == 0:
                self.said.append(value)
            return self.said[turn]

        return Share(rank, self.world, agreed)


class Own:
    """A sampler of one's own: yields *items*, and announces what it likes."""

    def __init__(self, items, length=None, shuffles=None):
        self.items, self.length, self.shuffles = items, length, shuffles

    def __iter__(self):
        items = list(self.items)
        if self.shuffles == "torch":
            items = [items[index] for index in torch.randperm(len(items))]
        elif self.shuffles == "numpy":
            np.random.shuffle(items)
        elif self.shuffles == "python":
            random.shuffle(items)
        yield from items


class OwnSized(Own):
    def __len__(self):
        return len(self.items) if self.length is None else self.length


class OwnBatches(BatchSampler):
    """A batch sampler of one's own: its batches are of any size, and may overlap."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


ITEMS = st.lists(st.integers(0, SIZE - 1), max_size=25)


@st.composite
def samplers(draw):
    """Return what makes a sampler anew."""
    items, size, seed = draw(ITEMS), draw(st.integers(1, 25)), draw(st.integers(0, 5))
    length, shuffles = (
        draw(st.one_of(st.none(), st.integers(0, 30))),
        draw(st.sampled_from([None, "torch", "numpy", "python"])),
    )
    makers = {
        "in order": lambda: SequentialSampler(range(size)),
        "random": lambda: RandomSampler(range(size)),
        "generator": lambda: RandomSampler(range(size), generator=torch.Generator().manual_seed(seed)),
        "replaced": lambda: RandomSampler(range(size), replacement=True, num_samples=11),
        "weighted": lambda: WeightedRandomSampler([1.0, 3.0] * 9, size),
        "subset": lambda: SubsetRandomSampler(items),
        "list": lambda: items,
        "own": lambda: OwnSized(items, length, shuffles),
        "unsized": lambda: Own(items),
        "tensors": lambda: OwnSized([torch.tensor(each) for each in items], length),
    }
    return draw(st.sampled_from(sorted(makers)).map(makers.get))


def seed():
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)


def alone(make):
    """Return the items of one pass in the order in which one process has them."""
    seed()
    return [int(sample[0]) for sample in DataLoader(data(), batch_size=None, sampler=make())]


def shares(loader, world, even, passes=1):
    """Return the batches of each rank; ranks start from the same random numbers."""
    group, found = Group(world), []
    for rank in range(world):
        seed()
        shared = shared_out(loader(), group.share(rank), even)
        found.append([[batch[0].tolist() for batch in shared] for _ in range(passes)])
    return found


def plain(items, rank, world, even):
    """Return the share of *rank*: the plain definition."""
    padded = [*items]
    while even and padded and len(padded) % world:
        padded.append(items[(len(padded) - len(items)) % len(items)])
    return padded[rank::world]


def in_batches(items, size, drop_last):
    found = [items[start : start + size] for start in range(0, len(items), size)]
    return [batch for batch in found if len(batch) == size or not drop_last]


def data():
    return TensorDataset(torch.arange(SIZE))


WORLDS = st.integers(2, 5)


@given(samplers(), WORLDS, st.integers(1, 4), st.booleans())
def test_shares_to_train_on_are_every_so_manieth_item_and_the_first_again(make, world, size, drop_last):
    found = [
        each[0] for each in shares(lambda: DataLoader(data(), size, sampler=make(), drop_last=drop_last), world, True)
    ]
    order = alone(make)

    assert found == [in_batches(plain(order, rank, world, True), size, drop_last) for rank in range(world)]
    if hasattr(make(), "__len__"):
        assert len({len(each) for each in found}) == 1


@given(samplers(), WORLDS, st.integers(1, 4))
def test_an_evaluation_deals_every_item_once_in_as_many_batches(make, world, size):
    found = [each[0] for each in shares(lambda: DataLoader(data(), size, sampler=make()), world, False)]
    order = alone(make)

    assert [[*itertools.chain(*each)] for each in found] == [plain(order, rank, world, False) for rank in range(world)]
    if len(order) >= world and hasattr(make(), "__len__"):
        assert len({len(each) for each in found}) == 1
    assert all(len(batch) <= size + 1 for each in found for batch in each)


@given(st.lists(st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=4), max_size=9), WORLDS, st.booleans())
def test_whole_batches_of_ones_own_are_dealt_likewise(batches, world, even):
    found = shares(lambda: DataLoader(data(), batch_sampler=OwnBatches(batches)), world, even)

    assert [each[0] for each in found] == [plain(batches, rank, world, even) for rank in range(world)]


@given(samplers(), WORLDS, st.booleans())
def test_a_loader_without_batches_is_dealt_by_the_sample(make, world, even):
    group, found = Group(world), []
    for rank in range(world):
        seed()
        loader = shared_out(DataLoader(data(), batch_size=None, sampler=make()), group.share(rank), even)
        found.append([int(sample[0]) for sample in loader])
    order = alone(make)

    assert found == [plain(order, rank, world, even) for rank in range(world)]


@given(st.integers(0, 25), WORLDS, st.booleans())
def test_shares_are_those_of_torch_where_the_order_is_that_of_the_data(size, world, drop_last):
    """Torch's own padding rule is ours; a data set that is smaller than the number of ranks is repeated by both."""
    dataset = TensorDataset(torch.arange(size))

    def theirs(rank):
        return [*DistributedSampler(dataset, world, rank, shuffle=False)]

    if size:
        found = shares(lambda: DataLoader(dataset, 1), world, True)
        assert [[*itertools.chain(*each[0])] for each in found] == [theirs(rank) for rank in range(world)]


class Numbers(IterableDataset):
    sharded = False

    def __init__(self, numbers, error=None):
        self.numbers, self.error = numbers, error

    def __iter__(self):
        yield from ((torch.tensor(each),) for each in self.numbers)
        if self.error is not None:
            raise self.error


@given(ITEMS, WORLDS, st.integers(1, 4), st.sampled_from([None, KeyError("row 7"), ValueError("bad shard")]))
def test_a_stream_is_dealt_likewise_and_its_exceptions_are_its_own(numbers, world, size, error):
    for rank in range(world):
        found = of(
            lambda rank=rank: shared_out(DataLoader(Numbers(numbers, error), size), Group(world).share(rank), True)
        )
        due = of(lambda rank=rank: DataLoader(Numbers(plain(numbers, rank, world, False), error), size))

        assert found == due
