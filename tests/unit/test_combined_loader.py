"""Several loaders are read as one, in each of four modes, whatever structure they stand in."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import NamedTuple

import pytest
import torch
from torch.utils.data import DataLoader

from leyden.combined_loader import CombinedLoader, flatten, is_collection
from leyden.errors import ConfigurationError

SIDE_BY_SIDE = ("min_size", "max_size_cycle", "max_size")


class Pair(NamedTuple):
    """Two loaders with names."""

    left: object
    right: object


class Endless:
    """A loader without a length."""

    def __iter__(self):
        return iter(range(1000))


LETTERS = {"a": "vwxyz", "b": "12"}
EXPECTED = {
    "min_size": [({"a": "v", "b": "1"}, 0, 0), ({"a": "w", "b": "2"}, 1, 0)],
    "max_size_cycle": [
        ({"a": "v", "b": "1"}, 0, 0),
        ({"a": "w", "b": "2"}, 1, 0),
        ({"a": "x", "b": "1"}, 2, 0),
        ({"a": "y", "b": "2"}, 3, 0),
        ({"a": "z", "b": "1"}, 4, 0),
    ],
    "max_size": [
        ({"a": "v", "b": "1"}, 0, 0),
        ({"a": "w", "b": "2"}, 1, 0),
        ({"a": "x", "b": None}, 2, 0),
        ({"a": "y", "b": None}, 3, 0),
        ({"a": "z", "b": None}, 4, 0),
    ],
    "sequential": [
        ("v", 0, 0), ("w", 1, 0), ("x", 2, 0), ("y", 3, 0), ("z", 4, 0),
        ("1", 0, 1), ("2", 1, 1),
    ],
}  # fmt: skip


def loaders():
    return {name: DataLoader(text, batch_size=None) for name, text in LETTERS.items()}


@pytest.mark.parametrize("mode", EXPECTED)
def test_a_mode_yields_batches_indices_and_places(mode):
    combined = CombinedLoader(loaders(), mode)

    assert list(combined) == EXPECTED[mode]
    assert len(combined) == len(EXPECTED[mode])


@pytest.mark.parametrize("mode", EXPECTED)
def test_it_can_be_read_again(mode):
    combined = CombinedLoader(loaders(), mode)
    next(iter(combined))

    assert list(combined) == list(combined) == EXPECTED[mode]


STRUCTURES = {
    "dict": lambda a, b, c: {"a": a, "b": b, "c": c},
    "ordered_dict": lambda a, b, c: OrderedDict(z=a, y=b, x=c),
    "list": lambda a, b, c: [a, b, c],
    "tuple": lambda a, b, c: (a, b, c),
    "named_tuple": lambda a, b, c: [Pair(a, b), c],
    "nested": lambda a, b, c: {"a": [a], "b": ({"c": b}, c)},
}


@pytest.mark.parametrize("mode", SIDE_BY_SIDE)
@pytest.mark.parametrize("name", STRUCTURES)
def test_a_step_gets_its_batches_in_the_structure_of_the_loaders(name, mode):
    build = STRUCTURES[name]
    combined = CombinedLoader(build(range(3), range(10, 13), range(20, 23)), mode)

    batches = [batch for batch, _, _ in combined]

    assert batches == [build(0, 10, 20), build(1, 11, 21), build(2, 12, 22)]
    assert [type(batch) for batch in batches] == [type(build(0, 0, 0))] * 3


@pytest.mark.parametrize("name", STRUCTURES)
def test_loaders_are_exchanged_without_touching_the_structure(name):
    build = STRUCTURES[name]
    combined = CombinedLoader(build(range(1), range(2), range(3)))

    combined.flattened = [range(4), range(5), range(6)]

    assert combined.flattened == [range(4), range(5), range(6)]
    assert combined.iterables == build(range(4), range(5), range(6))


@pytest.mark.parametrize("value", [range(3), [1, 2, 3], ["a", "b"], {"a": 1}, [], {}, "text", torch.ones(3), Endless()])
def test_a_container_of_numbers_or_texts_is_a_loader_itself(value):
    assert not is_collection(value)
    assert flatten(value) == [value] if not isinstance(value, torch.Tensor) else flatten(value)[0] is value


def test_one_loader_alone_gives_its_own_batches():
    assert list(CombinedLoader(range(2))) == [(0, 0, 0), (1, 1, 0)]


@pytest.mark.parametrize(
    ("mode", "limits", "length"),
    [
        ("min_size", None, 2),
        ("min_size", 1, 1),
        ("min_size", [4, 9], 2),
        ("max_size", [3, 2], 3),
        ("max_size", 10, 5),
        ("max_size_cycle", [1, 2], 2),
        ("sequential", [3, 1], 4),
        ("sequential", 2, 4),
        ("sequential", float("inf"), 7),
    ],
)
def test_limits_count_for_the_length(mode, limits, length):
    combined = CombinedLoader(loaders(), mode)

    combined.limits = limits

    assert len(combined) == length


def test_one_loader_after_another_ends_at_its_limit():
    combined = CombinedLoader(loaders(), "sequential")
    combined.limits = [2, 0]

    assert list(combined) == [("v", 0, 0), ("w", 1, 0)]


@pytest.mark.parametrize(("mode", "known"), [("min_size", True), ("max_size", False), ("sequential", False)])
def test_a_loader_without_a_length_leaves_the_collection_without_one_where_it_counts(mode, known):
    combined = CombinedLoader([range(4), Endless()], mode)

    if known:
        assert len(combined) == 4
    else:
        with pytest.raises(TypeError, match="has no length"):
            len(combined)


def test_a_shorter_loader_that_starts_over_is_shuffled_anew():
    torch.manual_seed(0)
    combined = CombinedLoader([range(60), DataLoader(range(6), batch_size=None, shuffle=True)], "max_size_cycle")

    orders = torch.tensor([batch[1] for batch, _, _ in combined]).view(10, 6)

    assert orders.sort(1).values.tolist() == [list(range(6))] * 10
    assert len(set(map(tuple, orders.tolist()))) > 1


def test_an_empty_loader_ends_every_epoch_of_the_modes_that_wait_for_it():
    assert list(CombinedLoader([range(3), []], "min_size")) == []
    assert list(CombinedLoader([range(3), []], "max_size_cycle")) == []
    assert [batch for batch, _, _ in CombinedLoader([range(2), []], "max_size")] == [[0, None], [1, None]]


def test_samplers_stand_in_the_structure_of_their_loaders():
    loader = DataLoader(range(4))

    combined = CombinedLoader({"a": [loader], "b": range(3)})

    assert combined.sampler == {"a": [loader.sampler], "b": None}
    assert combined.batch_sampler == {"a": [loader.batch_sampler], "b": None}


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda loader: pickle.loads(pickle.dumps(loader))])
def test_a_copy_starts_from_the_beginning(duplicate):
    combined = CombinedLoader({"a": range(3), "b": range(2)})
    next(iter(combined))

    assert list(duplicate(combined)) == [({"a": 0, "b": 0}, 0, 0), ({"a": 1, "b": 1}, 1, 0)]
    assert next(combined) == ({"a": 1, "b": 1}, 1, 0)


def test_a_reset_ends_the_workers():
    loader = DataLoader(range(8), num_workers=1, persistent_workers=True)
    combined = CombinedLoader([loader])
    next(iter(combined))
    workers = list(loader._iterator._workers)

    combined.reset()

    assert loader._iterator is None
    assert not any(worker.is_alive() for worker in workers)
    with pytest.raises(TypeError, match="has not been started"):
        next(combined)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ConfigurationError, match=r"mode='longest'.*'min_size', 'max_size_cycle'"):
        CombinedLoader([range(3)], "longest")


@pytest.mark.parametrize("name", ["limits", "flattened"])
def test_a_wrong_number_of_them_is_refused(name):
    combined = CombinedLoader([range(3), range(4)])

    with pytest.raises(ConfigurationError, match=r"given 3 .*has 2 loaders"):
        setattr(combined, name, [1, 2, 3])
