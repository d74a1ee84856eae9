"""A batch is rebuilt as what it is: every tensor mapped once, all else the same object, and no constructor asked."""

from __future__ import annotations

import collections
import dataclasses
from collections import OrderedDict, UserDict, UserList, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils.data import DataLoader

import leyden as L
from leyden.combined_loader import CombinedLoader
from leyden.engine.transfer import Prefetch
from leyden.testing import TinyModule
from leyden.tree import batch_size, batch_sizes, map_tensors, move, tensors

NAME = object()  # what is no tensor has to stay the very object


@dataclass
class Plain:
    x: torch.Tensor
    name: Any = NAME


@dataclass
class Scaled:
    x: torch.Tensor

    def __post_init__(self):
        self.x = self.x / 10
        self.mask = self.x > 0.05  # an attribute that is no field


@dataclass(frozen=True)
class Frozen:
    x: torch.Tensor
    name: Any = NAME

    def __post_init__(self):
        object.__setattr__(self, "mask", self.x > 0)


@dataclass(slots=True)
class Slotted:
    x: torch.Tensor
    late: torch.Tensor = field(init=False)
    name: Any = NAME


@dataclass(frozen=True, slots=True)
class FrozenSlotted:
    x: torch.Tensor
    unset: torch.Tensor = field(init=False)
    name: Any = NAME


@dataclass(kw_only=True)
class Late:
    x: torch.Tensor
    mask: torch.Tensor = field(init=False)
    unset: torch.Tensor = field(init=False)
    some: list[torch.Tensor] = field(default_factory=list)
    names: ClassVar[list[str]] = ["x"]


@dataclass
class Once:
    x: torch.Tensor
    scale: InitVar[float]

    def __post_init__(self, scale):
        self.x = self.x * scale


@dataclass
class Child(Once):
    y: torch.Tensor = None
    inner: Plain = None

    def __init__(self, *, made_by):
        self.made_by = made_by


class Own:
    __slots__ = ("__secret", "tally")


@dataclass
class OfSlots(Own):
    x: torch.Tensor

    def __post_init__(self):
        self.tally = 3
        self._Own__secret = torch.ones(1)


@dataclass
class Guarded:
    x: torch.Tensor

    @property
    def x(self):
        return self._x

    @x.setter
    def x(self, value):
        self._x = value / 10


@dataclass
class Failure(Exception):
    x: torch.Tensor


class Pair(NamedTuple):
    x: torch.Tensor
    name: Any = NAME


class Checked(collections.namedtuple("Checked", "x name")):
    """A named tuple with a constructor of its own."""

    def __new__(cls, x):
        return super().__new__(cls, x / 10, NAME)


class Tagged(dict):
    def __init__(self, tag, **items):
        super().__init__(items)
        self.tag = tag

    def __setitem__(self, key, value):
        raise TypeError("items are settled")


class Shown(dict):
    """A dict whose items are attributes, as many configs are."""

    def __init__(self, **items):
        super().__init__(items)
        self.__dict__ = self


class Dotted(dict):
    def __getattr__(self, name):
        return self[name]


class Output(OrderedDict):
    """Items that are attributes, too, as the outputs of published models are."""

    def __init__(self, logits):
        super().__init__(logits=logits)
        self.logits = logits


class Defaults(defaultdict):
    def __init__(self):
        super().__init__(list)


class Wrapped(UserDict):
    def __init__(self, data, encodings):
        super().__init__(data)
        self.encodings = encodings


class View(Mapping):
    def __init__(self, keys, values):
        self.names, self.found = keys, values

    def __getitem__(self, key):
        return self.found[self.names.index(key)]

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.names)


class Listed(list):
    def __init__(self, first, second):
        super().__init__([first, second])
        self.sizes = torch.ones(2)


class Fixed(tuple):
    def __new__(cls, first, second):
        made = super().__new__(cls, (first, second))
        made.sizes = torch.ones(2)
        return made


class Row(Sequence):
    def __init__(self, *items):
        self.items = items

    def __getitem__(self, index):
        return self.items[index]

    def __len__(self):
        return len(self.items)


def late():
    made = Late(x=torch.ones(2, 3))
    made.mask = torch.ones(2)
    made.some.append(torch.zeros(2))
    return made


def slotted():
    made = Slotted(torch.ones(2, 3))
    made.late = torch.ones(2)
    return made


def child():
    made = Child(made_by=NAME)
    made.x, made.y, made.inner = torch.ones(2), torch.zeros(2), Plain(torch.ones(2))
    return made


def defaults():
    made = Defaults()
    made["x"].append(torch.ones(2))
    return made


def ones():
    return torch.ones(2, 3)


MAKERS = {
    "dict": lambda: {"x": ones(), 3: [NAME, ones()]},
    "list": lambda: [ones(), (ones(), NAME)],
    "dataclass": lambda: Plain(ones()),
    "post_init": lambda: Scaled(ones()),
    "frozen": lambda: Frozen(ones()),
    "slots": slotted,
    "frozen slots": lambda: FrozenSlotted(ones()),
    "init=False": late,
    "InitVar": lambda: Once(ones(), 3.0),
    "inherited": child,
    "slots of a base": lambda: OfSlots(ones()),
    "property": lambda: Guarded(ones()),
    "exception": lambda: Failure(ones()),
    "named tuple": lambda: Pair(ones()),
    "named tuple with a constructor": lambda: Checked(ones()),
    "dict with a constructor": lambda: Tagged(NAME, x=ones()),
    "dict of attributes": lambda: Shown(x=ones(), name=NAME),
    "dict with getattr": lambda: Dotted(x=ones()),
    "ordered dict": lambda: OrderedDict(b=ones(), a=ones()),
    "output": lambda: Output(ones()),
    "defaultdict": lambda: defaultdict(lambda: NAME, x=ones()),
    "defaultdict with a constructor": defaults,
    "counter": lambda: collections.Counter(a=2),
    "user dict": lambda: Wrapped({"x": ones()}, [NAME]),
    "mapping": lambda: View(["x", "y"], [ones(), ones()]),
    "user list": lambda: UserList([ones(), NAME]),
    "list with a constructor": lambda: Listed(ones(), NAME),
    "tuple with a constructor": lambda: Fixed(ones(), NAME),
    "sequence": lambda: Row(ones(), NAME),
    "deque": lambda: deque([ones(), ones()], maxlen=5),
    "result of torch": lambda: torch.max(ones(), 0),
    "packed sequence": lambda: pack_sequence([torch.ones(3), torch.ones(2)]),
    "nested": lambda: {"a": [Scaled(ones()), Pair(Frozen(ones()))], "b": Plain({"c": Checked(ones())})},
    "text": lambda: "x",
    "size": lambda: torch.Size([2, 3]),
    "range": lambda: range(3),
}


def described(tree):
    """Describe everything in *tree*, with the tensors by value and all else that is no container by identity."""
    if isinstance(tree, torch.Tensor):
        return ("tensor", tree.dtype, tree.tolist())
    if isinstance(tree, (str, range, torch.Size, type)):
        return tree
    found = [type(tree).__name__]
    if isinstance(tree, Mapping):
        found += [(key, described(value)) for key, value in tree.items()]
    elif isinstance(tree, (list, tuple, Sequence, deque)):
        found += [described(item) for item in tree]
    names = [each.name for each in dataclasses.fields(tree)] if dataclasses.is_dataclass(tree) else []
    names += [
        name for name in ("tally", "_Own__secret", "tag", "maxlen", "default_factory") if hasattr(type(tree), name)
    ]
    names += [name for name in getattr(tree, "__dict__", {}) if not isinstance(tree, Shown)]
    found += [(name, described(getattr(tree, name)) if hasattr(tree, name) else "unset") for name in names]
    return found if len(found) > 1 or isinstance(tree, (Mapping, Sequence)) else id(tree)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_batch_that_is_mapped_is_the_same_but_for_its_tensors_and_its_own_is_left_alone(kind):
    batch = MAKERS[kind]()
    before = described(batch)

    unchanged = map_tensors(batch, lambda tensor: tensor)
    doubled = map_tensors(batch, lambda tensor: torch.stack([tensor, tensor]))
    back = map_tensors(doubled, lambda tensor: tensor[0])

    assert type(doubled) is type(batch)
    assert described(unchanged) == described(back) == before
    assert described(batch) == before


@pytest.mark.parametrize("kind", MAKERS)
def test_a_batch_that_is_moved_is_the_same(kind):
    batch = MAKERS[kind]()

    assert described(move(batch, torch.device("cpu"))) == described(batch)


@pytest.mark.parametrize(
    "kind", [kind for kind in MAKERS if kind not in ("packed sequence", "counter", "text", "size")]
)
def test_every_tensor_arrives_on_the_device(kind):
    moved = move(MAKERS[kind](), torch.device("meta"))

    assert all(tensor.is_meta for tensor in tensors(moved))
    assert batch_size(moved) == batch_size(MAKERS[kind]())


def test_an_attribute_that_is_no_field_is_moved_with_the_fields():
    assert move(Scaled(ones()), torch.device("meta")).mask.is_meta
    assert move(Frozen(ones()), torch.device("meta")).mask.is_meta


def test_what_is_an_item_and_an_attribute_is_one_object_afterwards():
    output = map_tensors(Output(ones()), lambda tensor: tensor * 2)
    shown = map_tensors(Shown(x=ones()), lambda tensor: tensor * 2)

    assert output.logits is output["logits"]
    assert shown.x is shown["x"]
    shown.x = 3
    assert shown["x"] == 3


def test_what_is_in_a_batch_twice_is_mapped_as_often():
    """Ranks that gather a batch must agree on how many tensors it has, whatever happens to be one object on one."""
    tensor, seen = ones(), []

    map_tensors(OrderedDict(a=tensor, b=tensor), seen.append)

    assert len(seen) == 2


def test_the_tensors_of_a_dataclass_that_tell_the_size_of_the_batch_are_its_fields():
    batch = late()

    assert batch_sizes(batch) == [2, 2, 2]
    assert batch_size(FrozenSlotted(ones())) == 2


class Moving:
    """Moves in place and returns nothing, as many classes of users do."""

    def __init__(self):
        self.x = ones()

    def to(self, device):
        self.x = self.x.to(device)


def test_an_object_that_moves_itself_in_place_is_what_arrives():
    batch = Moving()

    assert move([batch], torch.device("meta")) == [batch]
    assert batch.x.is_meta


def test_an_item_called_to_is_no_method():
    @dataclass
    class Message:
        to: Any

    assert move(Dotted(to=print, x=ones()), torch.device("meta"))["x"].is_meta
    assert move(Message(print), torch.device("meta")) == Message(print)


def test_a_batch_that_is_copied_ahead_keeps_its_kind_and_what_moves_itself_is_left_to_that():
    packed, moving = pack_sequence([torch.ones(3)]), Moving()
    batches = [[Scaled(ones()), packed, moving]]

    _, (scaled, its_packed, its_moving), _ = next(
        Prefetch(torch.device("cpu"))((index, batch, True) for index, batch in enumerate(batches))
    )

    assert described(scaled) == described(batches[0][0])
    assert its_packed is packed
    assert its_moving is moving
    assert isinstance(its_packed, PackedSequence)


@pytest.mark.parametrize("kind", ["post_init", "frozen", "slots", "init=False", "InitVar", "inherited", "named tuple"])
@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_batches_and_predictions_arrive_as_they_were_made(kind, precision):
    made, seen = MAKERS[kind](), []

    class Module(TinyModule):
        def training_step(self, batch, batch_idx):
            seen.append(batch)
            return self.layer(batch.x.mean() * torch.ones(1, 2)).mean()

        def validation_step(self, batch, batch_idx):
            seen.append(batch)

        test_step = validation_step

        def predict_step(self, batch, batch_idx):
            seen.append(batch)
            return made

    def loader():
        return DataLoader(range(2), batch_size=2, collate_fn=lambda _: made)

    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = L.Trainer(max_epochs=1, precision=precision, num_sanity_val_steps=0, **options)
    module = Module()
    module.layer = torch.nn.Linear(2, 1)
    before = described(made)
    trainer.fit(module, loader(), loader())
    trainer.test(module, loader())
    predicted = trainer.predict(module, loader())

    assert len(seen) == 4
    for batch in seen:
        due = map_tensors(
            made, lambda tensor: tensor.double() if precision == "64-true" and tensor.is_floating_point() else tensor
        )
        assert described(batch) == described(due)
    assert described(predicted[0]) == before
    assert described(made) == before


def test_loaders_side_by_side_keep_a_loader_that_stands_there_twice():
    class Both(NamedTuple):
        one: Any
        two: Any

    loader = DataLoader([3.0, 4.0], batch_size=None)

    assert [batch for batch, _, _ in CombinedLoader(Both(loader, loader))] == [Both(3.0, 3.0), Both(4.0, 4.0)]
