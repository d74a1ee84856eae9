"""Several loaders read as one: batches side by side, in the structure the loaders stand in, or one after another.

    CombinedLoader({"a": five_batches, "b": two_batches}, mode)

| mode | what a step gets | batches |
|---|---|---|
| ``min_size`` | ``{"a": ..., "b": ...}`` until the first loader is at its end | 2 |
| ``max_size_cycle`` | the same until the last one is; shorter ones start over | 5 |
| ``max_size`` | the same until the last one is; None in place of those at their end | 5 |
| ``sequential`` | a batch of ``a``, and when there are no more, a batch of ``b`` | 7 |

Training reads collections by ``max_size_cycle``, evaluation by ``sequential``, unless it is
given a `CombinedLoader`. Loaders may be nested in lists, tuples, named tuples and dicts; a
container of numbers or texts is a loader itself.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from torch.utils.data import DataLoader

from leyden.errors import ConfigurationError
from leyden.tree import map_children

Mode = Literal["min_size", "max_size_cycle", "max_size", "sequential"]
Item = tuple[Any, int, int]
_END: Any = object()


class CombinedLoader(Iterable[Item]):
    """Read several loaders as one; yields batch, index of the batch, and index of the loader.

    The index of the loader is 0 in all modes but ``sequential``, where that of the batch starts anew with each loader.

    Args:
        iterables: Loaders, nested as a step is to get their batches.
        mode: See the table above.

    Raises:
        ConfigurationError: If there is no such mode.
    """

    def __init__(self, iterables: Any, mode: Mode = "min_size") -> None:
        if mode not in _ITERATE:
            known = ", ".join(map(repr, _ITERATE))
            raise ConfigurationError(f"CombinedLoader(mode={mode!r}): expected one of {known}.")
        self._iterables = iterables
        self._flattened = flatten(iterables)
        self._mode: Mode = mode
        self._limits: list[float] | None = None
        self._iterator: Iterator[Item] | None = None

    @property
    def mode(self) -> Mode:
        """How the loaders are read."""
        return self._mode

    @property
    def iterables(self) -> Any:
        """The loaders in their structure."""
        return self._iterables

    @property
    def flattened(self) -> list[Any]:
        """The loaders in a row."""
        return self._flattened

    @flattened.setter
    def flattened(self, flattened: list[Any]) -> None:
        _check_count("loaders", flattened, self._flattened)
        self._iterables = _filled(self._iterables, iter(flattened))
        self._flattened = flattened

    @property
    def limits(self) -> list[float] | None:
        """The most batches to count for each loader; only ``sequential`` leaves a loader when it gets there."""
        return self._limits

    @limits.setter
    def limits(self, limits: float | list[float] | None) -> None:
        if isinstance(limits, (int, float)):
            limits = [limits] * len(self._flattened)
        elif limits is not None:
            _check_count("limits", limits, self._flattened)
        self._limits = limits

    @property
    def sampler(self) -> Any:
        """The loaders' samplers, in the structure of the loaders; None for those that have none."""
        return _filled(self._iterables, (getattr(each, "sampler", None) for each in self._flattened))

    @property
    def batch_sampler(self) -> Any:
        """The loaders' batch samplers, likewise."""
        return _filled(self._iterables, (getattr(each, "batch_sampler", None) for each in self._flattened))

    def __iter__(self) -> CombinedLoader:
        """Start from the beginning."""
        self._iterator = _ITERATE[self._mode](self._flattened, self._limits)
        return self

    def __next__(self) -> Item:
        """Return batch, index of the batch, and index of the loader."""
        if self._iterator is None:
            raise TypeError("this CombinedLoader has not been started. Loop over it, or call iter() on it first.")
        item = next(self._iterator)
        if self._mode == "sequential":
            return item
        return _filled(self._iterables, iter(item[0])), item[1], 0

    def __len__(self) -> int:
        """Return the number of batches.

        Raises:
            TypeError: If it is not known.
        """
        lengths = [length_of(each) for each in self._flattened]
        if self._limits is not None:
            lengths = [min(length, limit) for length, limit in zip(lengths, self._limits, strict=True)]
        total = _TOTAL[self._mode](lengths)
        if total == math.inf:
            raise TypeError(f"this CombinedLoader has no length: some loader has none, and {self._mode!r} counts it.")
        return int(total)

    def reset(self) -> None:
        """Forget the position, and end the worker processes of the loaders."""
        self._iterator = None
        for loader in self._flattened:
            if not isinstance(loader, DataLoader):
                continue
            if loader._iterator is not None and loader.num_workers:
                loader._iterator._shutdown_workers()  # type: ignore[attr-defined]
            loader._iterator = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the position, which can be neither copied nor pickled."""
        return {**vars(self), "_iterator": None}


def is_collection(value: Any) -> bool:
    """Whether *value* is a container of loaders, rather than a loader."""
    if type(value) not in _CONTAINERS and not (isinstance(value, tuple) and hasattr(value, "_fields")):
        return False
    children = value.values() if isinstance(value, dict) else value
    return not all(isinstance(child, (int, float, str)) for child in children)


def flatten(loaders: Any) -> list[Any]:
    """Return the loaders of a nested collection in a row; a loader alone for itself."""
    if not is_collection(loaders):
        return [loaders]
    children = loaders.values() if isinstance(loaders, dict) else loaders
    return [loader for child in children for loader in flatten(child)]


def length_of(loader: Any) -> float:
    """Return the number of batches of *loader*; ``inf`` where it is not known."""
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return math.inf


def total_of(mode: Mode, lengths: list[float]) -> float:
    """Return how many batches loaders of these *lengths* have when they are read as one."""
    return _TOTAL[mode](lengths)


def samples_of(loader: Any) -> float:
    """Return how many samples the data set behind *loader* has; ``inf`` where it is not known.

    Of loaders that are read as one, it is what their mode makes of those that are known.
    """
    if not isinstance(loader, CombinedLoader):
        return length_of(getattr(loader, "dataset", None))
    known = [count for each in loader.flattened if (count := samples_of(each)) != math.inf]
    return _TOTAL[loader.mode](known) if known else math.inf


_CONTAINERS = (dict, list, tuple, OrderedDict, defaultdict)


def _filled(structure: Any, values: Iterator[Any]) -> Any:
    """Return *structure* with *values* in place of its loaders."""
    if not is_collection(structure):
        return next(values)
    return map_children(structure, lambda child: _filled(child, values))


def _check_count(what: str, given: list[Any], loaders: list[Any]) -> None:
    if len(given) != len(loaders):
        raise ConfigurationError(f"CombinedLoader was given {len(given)} {what}, but it has {len(loaders)} loaders.")


# Iterators are made as soon as somebody calls iter(), as the order in which they draw random numbers matters.


def _min_size(loaders: list[Any], limits: list[float] | None) -> Iterator[Item]:
    iterators = [iter(loader) for loader in loaders]

    def items() -> Iterator[Item]:
        for index in itertools.count():
            batches = []
            for iterator in iterators:
                batch = next(iterator, _END)
                if batch is _END:
                    return
                batches.append(batch)
            yield batches, index, 0

    return items()


def _max_size_cycle(loaders: list[Any], limits: list[float] | None) -> Iterator[Item]:
    iterators = [iter(loader) for loader in loaders]
    waiting = set(range(len(loaders)))  # have not been at their end yet

    def following(place: int) -> Any:
        batch = next(iterators[place], _END)
        if batch is not _END:
            return batch
        waiting.discard(place)
        if not waiting:
            return _END
        iterators[place] = iter(loaders[place])
        return next(iterators[place], _END)

    def items() -> Iterator[Item]:
        for index in itertools.count():
            batches = []
            for place in range(len(loaders)):
                batches.append(following(place))
                if batches[-1] is _END:
                    return
            yield batches, index, 0

    return items()


def _max_size(loaders: list[Any], limits: list[float] | None) -> Iterator[Item]:
    iterators = [iter(loader) for loader in loaders]

    def items() -> Iterator[Item]:
        for index in itertools.count():
            batches = [next(iterator, _END) for iterator in iterators]
            if all(batch is _END for batch in batches):
                return
            yield [None if batch is _END else batch for batch in batches], index, 0

    return items()


def _sequential(loaders: list[Any], limits: list[float] | None) -> Iterator[Item]:
    first = iter(loaders[0])

    def items() -> Iterator[Item]:
        for place, loader in enumerate(loaders):
            iterator = iter(loader) if place else first
            limit = math.inf if limits is None else limits[place]
            index = 0
            while index < limit and (batch := next(iterator, _END)) is not _END:
                yield batch, index, place
                index += 1

    return items()


_TOTAL: dict[str, Callable[[list[float]], float]] = {
    "min_size": min,
    "max_size_cycle": max,
    "max_size": max,
    "sequential": sum,
}
_ITERATE: dict[str, Callable[[list[Any], list[float] | None], Iterator[Item]]] = {
    "min_size": _min_size,
    "max_size_cycle": _max_size_cycle,
    "max_size": _max_size,
    "sequential": _sequential,
}
