"""What the parts of a checkpoint are made of: one table, held against a file before anything of it is used.

A file that is whole may still hold something else than it should: a text for a counter, a list for a state. What is
not in the table belongs to modules, callbacks and loaders, which know it better.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from leyden.errors import DamagedCheckpointError

_DEEPEST = 200  # containers within each other: what pickling, copying and printing go down without harm


@dataclass(frozen=True)
class Kind:
    """What a value may be.

    Attributes:
        name: As it is called in a message.
        fits: Whether a value is one.
        parts: Of a mapping: what some of its keys hold.
        each: What all values of a list or a mapping are.
        needed: Keys that must be there.
    """

    name: str
    fits: Callable[[Any], bool]
    parts: Mapping[str, Kind] = field(default_factory=dict)
    each: Kind | None = None
    needed: tuple[str, ...] = ()


def problems(value: Any, kind: Kind, where: str) -> Iterator[tuple[str, Any, str]]:
    """Yield where something else stands than should, what it is, and what was expected."""
    if not kind.fits(value):
        yield where, value, kind.name
        return
    if isinstance(value, Mapping):
        for key in kind.needed:
            if key not in value:
                yield f"{where}.{key}", None, "something: it is missing"
        for key, item in value.items():
            its = kind.parts.get(key) if isinstance(key, str) else None
            if its or kind.each:
                yield from problems(item, its or kind.each or ANY, f"{where}.{key}" if where else str(key))
    elif kind.each is not None:
        for index, item in enumerate(value):
            yield from problems(item, kind.each, f"{where}[{index}]")


def check(checkpoint: Mapping[Any, Any], path: str) -> None:
    """Hold a checkpoint against the table.

    Raises:
        DamagedCheckpointError: Names the file and the part.
    """
    for part, value in checkpoint.items():
        if _depth_exceeded(value):
            raise wrong(path, str(part), f"is nested more than {_DEEPEST} deep", "plain values, lists and mappings")
    for part, found, expected in problems(checkpoint, CHECKPOINT, ""):
        raise wrong(path, part, f"is {_described(found)}", expected)


def wrong(path: str, part: str, what: str, expected: str) -> DamagedCheckpointError:
    """Return the error about a part of a checkpoint that is not what it should be."""
    return DamagedCheckpointError(
        f"{path} cannot be used: its part {part!r:.120} {what}. Expected {expected}. The file was changed by something "
        "else than a Trainer, or belongs to another version. Take an earlier one."
    )


def _described(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float, str)):
        return f"{value!r:.60}"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {value.dtype}"
    return f"of type {type(value).__name__}"


def _depth_exceeded(value: Any) -> bool:
    """Whether containers in *value* are nested too deep; without going down recursively itself."""
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below.extend(item for item in each.values() if isinstance(item, (dict, list, tuple)))
            elif isinstance(each, (list, tuple)):
                below.extend(item for item in each if isinstance(item, (dict, list, tuple)))
        if not below:
            return False
        level = below
    return True


def _tensor(*dtypes: torch.dtype, length: int | None = None) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        return (
            isinstance(value, Tensor)
            and value.dtype in dtypes
            and value.ndim == 1
            and (length is None or len(value) == length)
        )

    return fits


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _words(value: Any, number: int) -> bool:
    """Whether a value is so many words of 32 bits, as `leyden.rng` stores them, or earlier versions did."""
    return len(value) == 4 * number if isinstance(value, bytes) else _tensor(torch.int64, length=number)(value)


def _python_state(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 3 and value[0] == 3 and _words(value[1], 625)


def _numpy_state(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 5
        and value[0] == "MT19937"
        and _words(value[1], 624)
        and all(type(each) is int for each in value[2:4])
        and type(value[4]) is float
    )


ANY = Kind("anything", lambda value: True)
COUNT = Kind("a whole number from 0 on", lambda value: type(value) is int and value >= 0)
NUMBER = Kind("a finite number from 0 on", _number)
FLAG = Kind("True or False", lambda value: type(value) is bool)
TEXT = Kind("a text", lambda value: isinstance(value, str))
TENSOR = Kind("a tensor", lambda value: isinstance(value, Tensor))


def mapping(each: Kind | None = None, /, needed: tuple[str, ...] = (), **parts: Kind) -> Kind:
    """Return the kind of a mapping."""
    return Kind("a mapping", lambda value: isinstance(value, Mapping), parts, each, needed)


def sequence(each: Kind | None = None) -> Kind:
    """Return the kind of a list."""
    return Kind("a list", lambda value: isinstance(value, (list, tuple)), each=each)


def optional(kind: Kind) -> Kind:
    """Return *kind*, or None."""
    return Kind(
        f"{kind.name}, or None", lambda value: value is None or kind.fits(value), kind.parts, kind.each, kind.needed
    )


BYTES = Kind("a tensor of bytes", _tensor(torch.uint8))
GENERATORS = mapping(
    python=Kind("the state of Python's random numbers", _python_state),
    numpy=Kind("the state of NumPy's random numbers", _numpy_state),
    torch=Kind("the state of torch's random numbers", lambda value: isinstance(value, bytes) or BYTES.fits(value)),
    cuda=sequence(BYTES),
)
ALL_GENERATORS = replace(GENERATORS, needed=("python", "numpy", "torch"))
LOADER = mapping(loaders=sequence(mapping()), now=sequence(mapping()))
OPTIONS = Kind("a list of 8 options", lambda value: isinstance(value, (list, tuple)) and len(value) == 8)
ENTRY = mapping(
    needed=("name", "hook", "total", "weight", "reduction", "reduced", "options"),
    name=TEXT,
    reduced=FLAG,
    options=OPTIONS,
)
METRICS = mapping(
    needed=("training", "evaluation", "callback", "objects"),
    training=sequence(ENTRY),
    evaluation=sequence(ENTRY),
    callback=mapping(TENSOR),
    objects=mapping(mapping()),
)
PLACE = Kind(
    "BATCH, TRAINED, LOGGED, VALIDATED or EPOCH_ENDED",
    lambda value: value in ("BATCH", "TRAINED", "LOGGED", "VALIDATED", "EPOCH_ENDED"),
)
_COUNTERS = ("epochs", "batch", "batches", "updates", "windows", "pending", "fetched")
_PROGRESS: dict[str, Any] = {
    **dict.fromkeys((*_COUNTERS, "validations"), COUNT),
    "stops": sequence(TEXT),
    **dict.fromkeys(("last", "should_stop", "timed_out"), FLAG),
    **dict.fromkeys(("seconds", "validated"), NUMBER),
}
PROGRESS = mapping(needed=(*_COUNTERS, "last", "place", "seconds"), place=PLACE, evaluated=mapping(COUNT), **_PROGRESS)
OWN: dict[str, Any] = {"rng": ALL_GENERATORS, "loader": LOADER, "metrics": METRICS, "gradients": mapping(TENSOR)}
OPTIMIZER = mapping(needed=("state", "param_groups"), state=mapping(), param_groups=sequence(mapping()))
RUN = mapping(id=optional(TEXT), directory=TEXT, attempt=COUNT, save=COUNT)
CHECKPOINT = mapping(
    epoch=COUNT,
    global_step=COUNT,
    state_dict=mapping(),
    loops=mapping(),
    callbacks=mapping(),
    optimizer_states=sequence(
        mapping(needed=("state", "param_groups"), state=mapping(), param_groups=sequence(mapping()))
    ),
    lr_schedulers=sequence(mapping()),
    hyper_parameters=Kind("a mapping", lambda value: isinstance(value, (Mapping, Namespace))),
    datamodule_hyper_parameters=Kind("a mapping", lambda value: isinstance(value, (Mapping, Namespace))),
    hparams_name=optional(TEXT),
    datamodule_hparams_name=optional(TEXT),
    leyden=mapping(
        version=TEXT,
        settings=TEXT,
        run=RUN,
        progress=PROGRESS,
        loggers=sequence(mapping()),
        containers=sequence(TEXT),
        datamodule_containers=sequence(TEXT),
        world_size=COUNT,
        ranks=sequence(mapping(needed=tuple(OWN), **OWN)),
        parts=mapping(COUNT),
        sizes=TEXT,
        **OWN,
    ),
)
