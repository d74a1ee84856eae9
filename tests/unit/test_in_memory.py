"""Batches fetched whole are the batches an ordinary DataLoader gives, in the same order."""

import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split

from leyden.datasets import InMemory, loader
from leyden.datasets.in_memory import whole
from leyden.errors import ConfigurationError

IMAGES = torch.rand(23, 2, 3, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(23)


class Counting(InMemory):
    """A real data set that counts how it is read."""

    def __init__(self, *tensors):
        super().__init__(*tensors)
        self.single, self.whole = 0, 0

    def __getitem__(self, index):
        self.single += 1
        return super().__getitem__(index)

    def __getitems__(self, indices):
        self.whole += 1
        return super().__getitems__(indices)


def twice(images, labels):
    return images * 2, labels


def assert_same_batches(left, right):
    assert len(left) == len(right)
    for ours, theirs in zip(left, right, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_and_their_order_are_those_of_the_default_loader(shuffle, workers):
    torch.manual_seed(3)
    usual = DataLoader(
        TensorDataset(IMAGES, LABELS), 5, shuffle=shuffle, num_workers=workers, persistent_workers=workers > 0
    )
    expected = [batch for _ in range(2) for batch in usual]

    torch.manual_seed(3)
    ours = loader(InMemory(IMAGES, LABELS), batch_size=5, shuffle=shuffle, num_workers=workers)
    batches = [batch for _ in range(2) for batch in ours]

    assert_same_batches(batches, expected)


def test_fetching_leaves_the_global_random_state_where_the_default_loader_leaves_it():
    torch.manual_seed(3)
    list(DataLoader(TensorDataset(IMAGES, LABELS), batch_size=5, shuffle=True))
    expected = torch.get_rng_state()

    torch.manual_seed(3)
    list(loader(InMemory(IMAGES, LABELS), batch_size=5, shuffle=True))

    assert torch.equal(torch.get_rng_state(), expected)


def test_a_batch_costs_one_call_and_no_sample_is_fetched_alone():
    data = Counting(IMAGES, LABELS)

    batches = list(loader(data, batch_size=5, shuffle=True))

    assert len(batches) == 5
    assert (data.single, data.whole) == (0, 5)


def test_a_split_by_torch_is_fetched_whole_too():
    data = Counting(IMAGES, LABELS)
    part, _ = random_split(data, [10, 13], generator=torch.Generator().manual_seed(0))

    batches = list(loader(part, batch_size=4))

    assert isinstance(part, Subset)
    assert torch.equal(torch.cat([labels for _, labels in batches]), LABELS[part.indices])
    assert (data.single, data.whole) == (0, 3)


def test_take_keeps_the_given_order_and_the_transform():
    data = InMemory(IMAGES, LABELS, transform=twice)

    part = data.take([7, 2, 2])

    images, labels = part.__getitems__([0, 1, 2])
    assert labels.tolist() == [7, 2, 2]
    assert torch.equal(images, IMAGES[[7, 2, 2]] * 2)
    assert len(part) == 3


def test_a_single_sample_has_no_batch_dimension():
    data = InMemory(IMAGES, LABELS, transform=twice)

    image, label = data[-1]

    assert torch.equal(image, IMAGES[22] * 2)
    assert label.item() == 22


def test_iterating_over_the_samples_ends():
    assert len(list(InMemory(LABELS))) == 23


def test_the_collate_function_can_be_sent_to_a_worker():
    assert pickle.loads(pickle.dumps(whole)) is whole


@pytest.mark.parametrize("tensors", [(), (torch.zeros(3), torch.zeros(4)), (torch.tensor(1.0),)])
def test_tensors_of_different_lengths_are_refused(tensors):
    with pytest.raises(ConfigurationError, match="same first dimension"):
        InMemory(*tensors)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("batch_size", 2.5), ("num_workers", -1)])
def test_a_loader_refuses_a_number_that_makes_no_sense_and_names_it(name, value):
    with pytest.raises(ConfigurationError, match=f"{name}={value}"):
        loader(InMemory(LABELS), **{name: value})
