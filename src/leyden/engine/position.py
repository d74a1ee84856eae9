"""The position of one loader among several, and how it is found again.

A loader of a collection may start over within an epoch, at a moment that depends on the
others, and then draws its new order from generators that dropout and data augmentation
have used in the meantime. So `Followed` notes their states where they matter: before the
loader's latest iterator was made, and before that iterator was first asked for a batch.
A resumed run makes the iterator again from these and passes over what had been taken.
In the end it sets the loader's own generators to what they were when the checkpoint was
written, as other loaders may draw from the same ones.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from leyden import rng
from leyden.engine import workers
from leyden.engine.generators import data_sets, generators_of, set_states, states_of
from leyden.engine.seeded import Passes

END: Any = object()
PASSED_OVER: Any = object()


@runtime_checkable
class StatefulLoader(Protocol):
    """A loader, or a sampler, that can save and restore its own position."""

    def state_dict(self) -> dict[str, Any]:
        """Return the position."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a position."""


class Followed:
    """A loader that notes what finds its position again; takes its place in a collection.

    Args:
        loader: Whose batches these are.
        ahead: Whether a batch is fetched before the one before it has been used.
    """

    def __init__(self, loader: Any, ahead: bool) -> None:
        self.loader = loader
        self._ahead = ahead and isinstance(loader, StatefulLoader)
        self._taken = 0  # in this epoch
        self._began = 0  # with how many of them taken the latest iterator was made
        self._opened: dict[str, Any] | None = None
        self._asked: dict[str, Any] | None = None
        self._own: dict[str, Any] | None = None
        self._start: int | None = None  # how many a resumed run passes over

    def begin(self) -> None:
        """Start an epoch."""
        self._taken, self._start, self._own = 0, None, None

    def pass_over(self, count: int) -> None:
        """Start a resumed epoch whose first *count* batches are not wanted; `PASSED_OVER` stands for each."""
        self._taken, self._start = 0, count

    def __iter__(self) -> Iterator[Any]:
        """Return the batches from the beginning, or from where a resumed run stands."""
        if self._start is not None and self._taken < self._began:
            return self._earlier()
        if self._start is not None:
            return self._again()
        self._began, self._asked = self._taken, None
        self._opened = {"rng": rng.capture(), **standing(self.loader, between_passes=True)}
        return self._batches(iter(self.loader))

    def __len__(self) -> int:
        """Return the number of batches the loader says it has."""
        return len(self.loader)

    def _batches(self, iterator: Iterator[Any]) -> Iterator[Any]:
        if self._asked is None:
            self._asked = {"rng": rng.capture(), **standing(self.loader, between_passes=False)}
        while True:
            if self._ahead:  # a pass that has not begun may still show the end of the one before it
                self._own = self.loader.state_dict() if self._taken > self._began else None
            batch = next(iterator, END)
            if batch is END:
                return
            self._taken += 1
            yield batch

    def _earlier(self) -> Iterator[Any]:
        """Stand for iterators that were at their end before the latest one was made."""
        while self._taken < self._began:
            self._taken += 1
            yield PASSED_OVER

    def _again(self) -> Iterator[Any]:
        start, self._start = self._start or 0, None
        if self._own is not None:
            self.loader.load_state_dict(self._own)
            self._own = None
            return self._passed(iter(self.loader), None, start)
        self._restore(self._opened)
        workers.restore(self.loader, (self._opened or {}).get("workers"))
        set_states_of_samplers(self.loader, (self._opened or {}).get("samplers", []))
        iterator = iter(self.loader)
        return self._passed(iterator, unfetched(iterator), start)

    def _passed(self, iterator: Iterator[Any], unwanted: Iterator[Any] | None, start: int) -> Iterator[Any]:
        """Pass over the batches of the latest iterator that had been taken, and go on with those that had not."""
        self._restore(self._asked, begun=True)
        while self._taken < start:
            if unwanted is not None and next(unwanted, END) is END:
                return
            self._taken += 1
            yield PASSED_OVER
        yield from self._batches(iterator)

    def _restore(self, state: dict[str, Any] | None, begun: bool = False) -> None:
        if state is None:
            return
        rng.restore(state["rng"])
        if begun and any(isinstance(each, Passes) for each in samplers(self.loader)):
            return  # its generators are nobody else's: they stand where making the iterator has left them
        set_states(generators(self.loader), state["generators"])

    def state_dict(self) -> dict[str, Any]:
        """Return what finds the position in a pass again, together with the number of batches taken."""
        own = self._own
        if own is None and isinstance(self.loader, StatefulLoader) and not self._ahead:
            own = self.loader.state_dict()
        return {"began": self._began, "opened": self._opened, "asked": self._asked, "own": own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self._began, self._opened, self._asked = state["began"], state["opened"], state["asked"]
        self._own = state["own"]


def unfetched(iterator: Iterator[Any]) -> Iterator[Any]:
    """Return what advances *iterator*: without fetching batches where only their indices matter."""
    indices: Iterator[Any] | None = getattr(iterator, "_sampler_iter", None)
    if type(iterator).__name__ == "_SingleProcessDataLoaderIter" and getattr(iterator, "_dataset_kind", None) == 0:
        return indices if indices is not None else iterator
    return iterator


def samplers(loader: Any) -> list[Any]:
    """Return what decides on the order of *loader*'s samples, samplers inside of samplers included."""
    found: list[Any] = []
    for each in (getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
        while each is not None and not any(each is other for other in found):
            found.append(each)
            each = getattr(each, "sampler", None)
    return found


def generators(loader: Any) -> list[Any]:
    """Return the generators that belong to *loader*, its samplers and its data set."""
    return generators_of([loader, *samplers(loader), *data_sets(getattr(loader, "dataset", None))])


def standing(loader: Any, between_passes: bool) -> dict[str, Any]:
    """Return what of *loader* has to be found again beside the position in a pass.

    Args:
        loader: Alone, not a collection.
        between_passes: Whether the next batch asked for is the first of a pass, so that the states of the workers
            count, and those that samplers keep themselves.
    """
    found = {"generators": states_of(generators(loader))}
    if not between_passes:
        return found
    return {**found, "workers": workers.capture(loader), "samplers": states_of_samplers(loader)}


def stand_again(loader: Any, state: dict[str, Any]) -> None:
    """Take back what `standing` returned."""
    set_states(generators(loader), state["generators"])
    if "workers" in state:
        workers.restore(loader, state["workers"])
        set_states_of_samplers(loader, state.get("samplers", []))


def stateful_samplers(loader: Any) -> list[StatefulLoader]:
    """Return the samplers of *loader* that tell and take a state, unless the loader does so for them."""
    own = isinstance(loader, StatefulLoader)
    return [] if own else [each for each in samplers(loader) if isinstance(each, StatefulLoader)]


def states_of_samplers(loader: Any) -> list[Any]:
    """Return what samplers say of themselves, as it is between two passes; their generators are not part of it."""
    return [copy.deepcopy(each.state_dict()) for each in stateful_samplers(loader)]


def set_states_of_samplers(loader: Any, states: list[Any]) -> None:
    """Bring the samplers of *loader* back to *states*."""
    for sampler, state in zip(stateful_samplers(loader), states, strict=False):
        sampler.load_state_dict(copy.deepcopy(state))


def announce_epoch(loader: Any, epoch: int) -> None:
    """Tell the samplers of *loader* which epoch it is, if they want to know."""
    for sampler in samplers(loader):
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
