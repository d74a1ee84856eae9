"""Ranks share a loader's samples out in its own order, and none waits for a batch that another does not have."""

from __future__ import annotations

import itertools

import pytest
import torch
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

from leyden import rng
from leyden.engine.data import Wanted, sources, training_source
from leyden.engine.shards import Share, shared_out


class Ranks:
    """All ranks of a group, one after the other: each hears what rank 0 has said at the same point."""

    def __init__(self, world):
        self.world = world
        self.said = []

    def share(self, rank):
        """Return what *rank* is told."""
        turns = iter(itertools.count())

        def agreed(value):
            turn = next(turns)
            if rank == 0:
                self.said.append(value)
            return self.said[turn]

        return Share(rank, self.world, agreed)


def batches(loader, world, even, epochs=1):
    """Return each rank's batches as lists of samples; every rank starts from the same random numbers."""
    group, found = Ranks(world), []
    for rank in range(world):
        torch.manual_seed(5)
        shared = shared_out(loader, group.share(rank), even)
        found.append([[batch[0].tolist() for batch in shared] for _ in range(epochs)])
    return found


def of(size, batch_size, **options):
    """A loader of the numbers below *size*."""
    return DataLoader(TensorDataset(torch.arange(size)), batch_size=batch_size, **options)


def flat(lists):
    """Join *lists*."""
    return [*itertools.chain.from_iterable(lists)]


def alone(loader, epochs=1):
    """Return the batches of one process."""
    torch.manual_seed(5)
    return [[batch[0].tolist() for batch in loader] for _ in range(epochs)]


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_batches_of_all_ranks_are_those_of_one_process_with_larger_ones(world, shuffle):
    size = 4 * world * 3

    found = batches(of(size, 4, shuffle=shuffle), world, even=True, epochs=2)
    expected = alone(of(size, 4 * world, shuffle=shuffle), epochs=2)

    for epoch, each in enumerate(expected):
        together = [sorted(flat(found[rank][epoch][place] for rank in range(world))) for place in range(len(each))]
        assert together == [sorted(batch) for batch in each]


@pytest.mark.parametrize("sampler", [
    RandomSampler,
    lambda data: RandomSampler(data, replacement=True, num_samples=30),
    lambda data: WeightedRandomSampler([1.0, 5.0] * 15, 24),
    lambda data: SubsetRandomSampler(range(3, 27)),
    lambda data: RandomSampler(data, generator=torch.Generator().manual_seed(9)),
], ids=["random", "replacement", "weighted", "subset", "own generator"])  # fmt: skip
def test_an_order_that_is_drawn_is_the_one_that_a_single_process_draws(sampler):
    data = torch.arange(30)

    expected = alone(DataLoader(TensorDataset(data), 4, sampler=sampler(data)))[0]
    group, dealt = Ranks(2), []
    for rank in range(2):
        torch.manual_seed(5 + 80 * rank)  # ranks that have drifted apart
        shared = shared_out(DataLoader(TensorDataset(data), 2, sampler=sampler(data)), group.share(rank), True)
        dealt.append([each for batch in shared for each in batch[0].tolist()])

    assert list(itertools.chain(*zip(*dealt, strict=True))) == list(itertools.chain(*expected))


def test_random_numbers_of_another_rank_are_left_as_they_were():
    group = Ranks(2)
    torch.manual_seed(1)
    list(shared_out(of(8, 2, shuffle=True), group.share(0), True))
    torch.manual_seed(2)
    shared = iter(shared_out(of(8, 2, shuffle=True), group.share(1), True))
    before = torch.get_rng_state()
    next(shared)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("size", "world", "batch_size"), [*itertools.product(range(1, 23), (2, 3, 5), (1, 2, 4))])
def test_shares_to_train_on_are_equally_long_and_leave_nothing_out(size, world, batch_size):
    found = batches(of(size, batch_size), world, even=True)

    assert len({tuple(map(len, each[0])) for each in found}) == 1
    assert set(flat(flat(each[0]) for each in found)) == set(range(size))
    assert [len(shared_out(of(size, batch_size), Ranks(world).share(rank), True)) for rank in range(world)] == [
        len(each[0]) for each in found
    ]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("size", "world", "batch_size"), [*itertools.product(range(23), (2, 3, 5), (1, 2, 4))])
def test_an_evaluation_sees_every_sample_once_in_as_many_batches_on_every_rank(size, world, batch_size, drop_last):
    found = [each[0] for each in batches(of(size, batch_size, drop_last=drop_last), world, even=False)]
    seen = flat(flat(each) for each in found)

    assert len(seen) == len(set(seen))
    if size >= world:
        assert len({len(each) for each in found}) == 1
    if not drop_last:
        assert sorted(seen) == list(range(size))
    assert all(len(batch) <= batch_size + 1 for each in found for batch in each)
    assert [len(shared_out(of(size, batch_size, drop_last=drop_last), Ranks(world).share(rank), False))
            for rank in range(world)] == [len(each) for each in found]  # fmt: skip


def test_a_loader_that_is_divided_already_is_left_alone():
    data = TensorDataset(torch.arange(8))
    own = DataLoader(data, 2, sampler=DistributedSampler(data, 2, 1, shuffle=False))
    by_batches = DataLoader(data, batch_sampler=BatchSampler(DistributedSampler(data, 2, 0), 2, False))

    assert shared_out(own, Ranks(2).share(0), True) is own
    assert shared_out([1, 2], Ranks(2).share(0), True) == [1, 2]
    assert shared_out(by_batches, Ranks(2).share(0), True) is by_batches


class InPairs(BatchSampler):
    """A batch sampler with a mind of its own."""

    def __iter__(self):
        return iter([[0, 7], [1, 6], [2, 5], [3, 4]])

    def __len__(self):
        return 4


def test_a_batch_sampler_of_the_users_own_deals_whole_batches():
    loader = DataLoader(TensorDataset(torch.arange(8)), batch_sampler=InPairs(SequentialSampler(range(8)), 2, False))

    assert [each[0] for each in batches(loader, 2, even=True)] == [[[0, 7], [2, 5]], [[1, 6], [3, 4]]]


class Numbers(IterableDataset):
    """The numbers below *size*, divided among worker processes."""

    def __init__(self, size, sharded=False):
        self.size = size
        if sharded:
            self.sharded = True

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return ((torch.tensor(each),) for each in range(first, self.size, step))


@pytest.mark.filterwarnings("ignore:Numbers is iterable")
@pytest.mark.parametrize("workers", [0, 2])
def test_an_iterable_data_set_is_dealt_sample_by_sample(workers):
    found = [each[0] for each in batches(DataLoader(Numbers(17), 2, num_workers=workers), 2, even=True)]

    assert sorted(flat(found[0]) + flat(found[1])) == list(range(17))
    if not workers:
        assert found[1] == [[1, 3], [5, 7], [9, 11], [13, 15]]


def test_an_iterable_data_set_that_says_so_is_divided_already():
    loader = DataLoader(Numbers(6, sharded=True), 2)

    assert [each[0] for each in batches(loader, 2, even=True)] == [[[0, 1], [2, 3], [4, 5]]] * 2


def test_a_share_is_fetched_by_the_batch_and_seeded_by_sample_like_the_whole():
    group = Ranks(2)
    for seed in (None, 4):
        wanted = Wanted(1.0, 0, "train_dataloader()", seed, group.share(0), training=True)
        source = training_source(of(12, 3, shuffle=True), wanted)
        evaluated = sources(of(7, 3), wanted._replace(training=False))[0]

        assert source.batches == 2
        assert sum(len(batch[0]) for batch in source.loader) == 6
        assert [batch[0].tolist() for batch in evaluated.loader] == [[0, 2, 4, 6]]


def test_what_is_the_same_of_two_states_is_told_from_what_is_not():
    rng.seed_everything(1, verbose=False)
    one, two = rng.capture(), rng.capture()
    torch.rand(1)

    assert rng.same(one, two)
    assert not rng.same(one, rng.capture())


class Estimating(torch.utils.data.Sampler):
    """Yields the numbers below *real*, and estimates how many they are."""

    def __init__(self, real, announced):
        self.real, self.announced = real, announced

    def __len__(self):
        return self.announced

    def __iter__(self):
        return iter(range(self.real))


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize(("real", "announced"), [(7, 12), (12, 7), (9, 2), (3, 20), (8, 8)])
def test_what_a_sampler_yields_is_dealt_whatever_its_length_says(real, announced, even):
    loader = DataLoader(TensorDataset(torch.arange(20)), 2, sampler=Estimating(real, announced))
    found = [each[0] for each in batches(loader, 2, even)]

    assert sorted({*flat(flat(found))}) == [*range(real)]
    assert len(found[0]) == len(found[1])
    assert max(len(batch) for each in found for batch in each) <= 2 + (not even)


class Uncounted(torch.utils.data.Sampler):
    """A sampler without a length."""

    def __init__(self, real):
        self.real = real

    def __iter__(self):
        return iter(range(self.real))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("even", [False, True])
def test_a_sampler_without_a_length_is_dealt(even, drop_last):
    loader = DataLoader(TensorDataset(torch.arange(20)), 2, sampler=Uncounted(7), drop_last=drop_last)

    assert [each[0] for each in batches(loader, 2, even)] == [
        [[0, 2], [4, 6]],
        [[1, 3], [5, 0]] if even else [[1, 3]] if drop_last else [[1, 3], [5]],
    ]
