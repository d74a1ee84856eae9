"""A batch on its way is what a naive recursion makes of it: tensors mapped once, all else kept, itself unchanged."""

from __future__ import annotations

import collections
from collections import OrderedDict, defaultdict
from dataclasses import InitVar, dataclass, field, fields, is_dataclass
from typing import Any, NamedTuple

import torch
from hypothesis import given
from hypothesis import strategies as st

from leyden.engine.transfer import Prefetch
from leyden.precisions import TruePrecision
from leyden.tree import batch_sizes, map_tensors, move
from tests.properties.outcomes import of, seen


class Pair(NamedTuple):
    one: Any
    two: Any


class Doubling(dict):
    """A dict whose constructor changes what it is given."""

    def __init__(self, items):
        super().__init__({key: [value, value] for key, value in items.items()})


class Numbered(list):
    def __init__(self, *items):
        super().__init__(items)
        self.first = items[0] if items else None


@dataclass
class Record:
    x: Any
    scale: InitVar[Any] = None
    late: Any = field(init=False)

    def __post_init__(self, scale):
        self.late = [self.x, scale]
        self.extra = scale


@dataclass(frozen=True, slots=True)
class Frozen:
    x: Any
    y: Any = None


def defaulted(items):
    return defaultdict(list, items)


LEAVES = st.one_of(
    st.lists(st.integers(-3, 3), max_size=3).flatmap(
        lambda numbers: st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16]).map(
            lambda dtype: torch.tensor(numbers).to(dtype)
        )
    ),
    st.sampled_from([torch.ones(()), torch.eye(2).to_sparse(), torch.ones(2, requires_grad=True)]),
    st.one_of(
        st.integers(), st.text(max_size=3), st.none(), st.booleans(), st.binary(max_size=2), st.floats(allow_nan=False)
    ),
)
KEYS = st.one_of(st.text("abc", max_size=2), st.integers(0, 3))


def containers(items):
    several, mapping = st.lists(items, max_size=3), st.dictionaries(KEYS, items, max_size=3)
    return st.one_of(
        several,
        several.map(tuple),
        several.map(lambda found: Numbered(*found)),
        several.map(collections.deque),
        mapping,
        mapping.map(OrderedDict),
        mapping.map(Doubling),
        mapping.map(defaulted),
        mapping.map(collections.UserDict),
        st.builds(Pair, items, items),
        st.builds(Record, items, items),
        st.builds(Frozen, items, items),
    )


BATCHES = st.recursive(LEAVES, containers, max_leaves=8)


def naive(tree, function):
    """Describe *tree* with *function* applied to its tensors, in the most obvious way."""
    if isinstance(tree, torch.Tensor):
        return seen(function(tree))
    described = [type(tree).__name__]
    if isinstance(tree, (dict, collections.UserDict)):
        described.append([(key, naive(value, function)) for key, value in tree.items()])
    elif isinstance(tree, (list, tuple, collections.deque)):
        described.append([naive(item, function) for item in tree])
    if is_dataclass(tree):
        described += [(each.name, naive(getattr(tree, each.name), function)) for each in fields(tree)]
    if isinstance(tree, (Record, Numbered)):
        described += [(name, naive(value, function)) for name, value in vars(tree).items()]
    if isinstance(tree, defaultdict):
        described.append(tree.default_factory)
    return described if len(described) > 1 else tree


def same(tensor):
    return tensor


@given(BATCHES)
def test_a_mapped_batch_is_what_a_naive_recursion_makes(batch):
    before = naive(batch, same)

    assert naive(map_tensors(batch, lambda tensor: tensor.float() * 2), same) == naive(
        batch, lambda each: each.float() * 2
    )
    assert naive(batch, same) == before


@given(BATCHES)
def test_a_batch_on_its_own_device_stays_what_it_is(batch):
    assert naive(move(batch, torch.device("cpu")), same) == naive(batch, same)


@given(BATCHES)
def test_a_batch_is_moved_whole(batch):
    def moved(tensor):
        return (str(tensor.device), tensor.dtype, tensor.shape)

    found = of(lambda: [naive(move(batch, torch.device("meta")), moved)])

    assert found == of(lambda: [naive(batch, lambda tensor: moved(tensor.to("meta")))])


@given(BATCHES)
def test_a_converted_batch_has_its_floating_point_numbers_in_the_precision(batch):
    converted = TruePrecision("64-true", torch.float64).convert_input(batch)

    assert naive(converted, same) == naive(batch, lambda each: each.double() if each.is_floating_point() else each)


@given(st.lists(BATCHES, max_size=5))
def test_batches_copied_ahead_come_once_in_order_as_they_are(batches):
    fetched = ((index, batch, index + 1 == len(batches)) for index, batch in enumerate(batches))
    found = [(index, naive(batch, same), last) for index, batch, last in Prefetch(torch.device("cpu"))(fetched)]

    assert found == [(index, naive(batch, same), index + 1 == len(batches)) for index, batch in enumerate(batches)]


@given(BATCHES)
def test_the_sizes_of_a_batch_are_those_of_its_tensors_in_order(batch):
    def sizes(tree):
        if isinstance(tree, torch.Tensor):
            return [tree.shape[0] if tree.ndim else 1]
        if isinstance(tree, (dict, collections.UserDict)):
            tree = list(tree.values())
        elif is_dataclass(tree):
            tree = [getattr(tree, each.name) for each in fields(tree)]
        if not isinstance(tree, (list, tuple, collections.deque)):
            return []
        return [size for item in tree for size in sizes(item)]

    assert batch_sizes(batch) == sizes(batch)
