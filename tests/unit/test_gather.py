"""Tensors in memory are fetched by the batch, and nobody can tell: same batches, same order, same random numbers."""

import sys

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

import leyden as L
from leyden.engine.gather import Rows, gathering
from leyden.testing import TinyModule


class Counting(TensorDataset):
    """A data set of its own type, which counts how it is read."""

    def __init__(self, *tensors):
        super().__init__(*tensors)
        self.reads = 0

    def __getitem__(self, index):
        self.reads += 1
        return super().__getitem__(index)


def tensors():
    return torch.randn(23, 3), torch.arange(23), torch.rand(23, 2, 2).half(), torch.rand(23) > 0.5


def plain():
    return TensorDataset(*tensors())


def half():
    return random_split(plain(), [12, 11])[0]


LOADERS = {
    "in order": lambda: DataLoader(plain(), 5),
    "shuffled": lambda: DataLoader(plain(), 5, shuffle=True),
    "without the rest": lambda: DataLoader(plain(), 5, shuffle=True, drop_last=True),
    "one by one": lambda: DataLoader(plain()),
    "own generator": lambda: DataLoader(plain(), 5, shuffle=True, generator=torch.Generator().manual_seed(3)),
    "weighted": lambda: DataLoader(plain(), 5, sampler=WeightedRandomSampler([0.1, 0.9] * 11, 19)),
    "own batch sampler": lambda: DataLoader(plain(), batch_sampler=BatchSampler(RandomSampler(range(20)), 6, False)),
    "half of it": lambda: DataLoader(half(), 5, shuffle=True),
    "half of a half": lambda: DataLoader(Subset(half(), [3, 1, 7, 7, 0]), 2, shuffle=True),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_the_batches_are_those_of_the_loader_epoch_after_epoch(kind):
    def epochs(wrap):
        torch.manual_seed(11)
        loader = wrap(LOADERS[kind]())
        found = [list(loader) for _ in range(3)]
        return loader, found, torch.get_rng_state()

    _, expected, random_after = epochs(lambda loader: loader)
    loader, found, its_random_after = epochs(gathering)

    assert isinstance(loader.dataset, Rows)
    assert torch.equal(random_after, its_random_after)
    for batches, others in zip(expected, found, strict=True):
        for batch, other in zip(batches, others, strict=True):
            assert type(batch) is type(other) is list
            for one, another in zip(batch, other, strict=True):
                assert one.dtype == another.dtype
                assert torch.equal(one, another)


UNTOUCHED = {
    "workers": lambda: DataLoader(plain(), 5, num_workers=1),
    "own collate function": lambda: DataLoader(plain(), 5, collate_fn=list),
    "no batches": lambda: DataLoader(plain(), batch_size=None),
    "own type of data set": lambda: DataLoader(Counting(torch.ones(4)), 2),
    "a list": lambda: DataLoader([torch.ones(2)] * 4, 2),
    "a part of something else": lambda: DataLoader(Subset(Counting(torch.ones(4)), [0, 1]), 2),
    "gradients": lambda: DataLoader(TensorDataset(torch.ones(4, requires_grad=True)), 2),
    "no loader": lambda: [torch.ones(2)],
}


@pytest.mark.parametrize("kind", UNTOUCHED)
def test_whatever_is_not_plain_is_left_alone(kind):
    loader = UNTOUCHED[kind]()

    assert gathering(loader) is loader


def test_tensors_changed_within_an_epoch_are_seen():
    data = torch.zeros(6)
    batches = iter(gathering(DataLoader(TensorDataset(data), 2)))

    first = next(batches)[0]
    data += 1

    assert first.tolist() == [0, 0]
    assert next(batches)[0].tolist() == [1, 1]


def test_a_batch_is_nobody_else_s_memory():
    first, second = gathering(DataLoader(TensorDataset(torch.zeros(4)), 2))

    first[0].add_(1)

    assert second[0]._version == 0
    assert second[0].untyped_storage().nbytes() == 2 * 4


class Noting(torch.utils.data.Sampler):
    """A sampler of its own kind, which decides from one index to the next."""

    def __init__(self):
        self.asked = 0

    def __len__(self):
        return 6

    def __iter__(self):
        for index in range(6):
            self.asked += 1
            yield index


def test_a_sampler_of_ones_own_is_not_asked_ahead_of_time():
    sampler = Noting()

    next(iter(gathering(DataLoader(TensorDataset(torch.zeros(6)), 2, sampler=sampler))))

    assert sampler.asked == 2


def test_a_generator_of_ones_own_is_not_used_ahead_of_time():
    def left_after_the_last_batch(wrap):
        generator = torch.Generator().manual_seed(3)
        loader = wrap(DataLoader(TensorDataset(torch.zeros(6)), 2, shuffle=True, generator=generator))
        batches = iter(loader)
        for _ in range(3):
            next(batches)
        return generator.get_state()

    plain = left_after_the_last_batch(lambda loader: loader)

    assert torch.equal(left_after_the_last_batch(gathering), plain)


def test_tensors_exchanged_between_epochs_are_seen():
    dataset = TensorDataset(torch.zeros(4))
    loader = gathering(DataLoader(dataset, 2))

    list(loader)
    dataset.tensors = (torch.ones(4),)

    assert torch.equal(next(iter(loader))[0], torch.ones(2))


def test_a_fit_reads_no_sample_alone_and_shows_the_loader_it_was_given():
    module, loader = TinyModule(), DataLoader(TensorDataset(torch.randn(12, 2), torch.randn(12, 1)), 4, shuffle=True)
    single = []
    calls = TensorDataset.__getitem__

    def watch(frame, event, argument):
        if event == "call" and frame.f_code is calls.__code__:
            single.append(frame)

    trainer = L.Trainer(max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    sys.setprofile(watch)
    try:
        trainer.fit(module, loader)
    finally:
        sys.setprofile(None)

    assert single == []
    assert trainer.global_step == 6
    assert trainer.train_dataloader is loader


def outcome(loader):
    """Return the batches of *loader*, or what it raises."""
    try:
        return [[tensor.tolist() for tensor in batch] for batch in loader]
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        return type(error), str(error)


ODD = {
    "a range with negative numbers": lambda: DataLoader(Subset(plain(), range(-4, 3)), 2),
    "a range backwards": lambda: DataLoader(Subset(plain(), range(5, -5, -2)), 2),
    "a subset of a subset, from the end": lambda: DataLoader(Subset(Subset(plain(), range(9, 20)), [-1, 0, -11]), 2),
    "an array backwards": lambda: DataLoader(Subset(plain(), np.arange(6)[::-1]), 4),
    "numbers of numpy": lambda: DataLoader(Subset(plain(), list(np.arange(3))), 2),
    "masks": lambda: DataLoader(Subset(plain(), [True, False]), 2),
    "tensors as indices": lambda: DataLoader(plain(), 2, sampler=list(torch.tensor([4, -1, 0]))),
    "negative indices": lambda: DataLoader(plain(), 2, sampler=[-1, 0, -23]),
    "an index that does not exist": lambda: DataLoader(plain(), 2, sampler=[0, 23]),
    "a subset that does not exist": lambda: DataLoader(Subset(plain(), [0, 23]), 2),
    "an index too large for a tensor": lambda: DataLoader(plain(), 2, sampler=[2**70]),
    "no index": lambda: DataLoader(plain(), 2, sampler=["x"]),
    "an empty batch": lambda: DataLoader(plain(), batch_sampler=[[0], [], [1]]),
    "batches as tensors": lambda: DataLoader(plain(), batch_sampler=[torch.tensor([1, 2])]),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_indices_give_what_torch_gives_or_its_exception(kind):
    torch.manual_seed(3)
    expected = outcome(ODD[kind]())
    torch.manual_seed(3)
    loader = ODD[kind]()
    found = gathering(loader)

    assert found is not loader
    assert outcome(found) == expected


def test_batches_before_an_index_that_does_not_exist_come_all_the_same():
    batches = iter(gathering(DataLoader(TensorDataset(torch.arange(3)), 1, sampler=SequentialSampler(range(5)))))

    assert [next(batches)[0].item() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        next(batches)


def test_a_subset_that_is_changed_between_two_passes_is_seen():
    part = Subset(TensorDataset(torch.arange(9)), [0, 1])
    loader = gathering(DataLoader(part, 3))

    first = outcome(loader)
    part.indices = [5, -1, 7]

    assert (first, outcome(loader)) == ([[[0, 1]]], [[[5, 8, 7]]])


def test_tensors_that_need_gradients_from_now_on_get_them():
    data = TensorDataset(torch.ones(4))
    loader = gathering(DataLoader(data, 2))
    list(loader)
    data.tensors = (torch.ones(4, requires_grad=True),)

    assert next(iter(loader))[0].grad_fn is not None
