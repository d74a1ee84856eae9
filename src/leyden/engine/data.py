"""Where batches come from: whose loader, how many batches, from which position.

The position inside an epoch is part of a checkpoint. It is the number of batches taken
and the state of the generators from before the loader's iterator was made; a resumed run
makes that iterator again from the same state and passes over as many batches, so that it
continues with the very batch that comes next, in the very order. A loader that keeps its
own state (``state_dict`` / ``load_state_dict``) is asked instead. For a collection of
loaders, each of them is followed for itself: see `leyden.engine.position`. Worker processes
that stay for the next epoch are started again as they were: see `leyden.engine.workers`.

A sampler that counts its passes tells and takes that with ``state_dict`` and ``load_state_dict``, too.

Samplers and data sets that draw from the global generators whenever they are asked, and
choose by what they drew before, are beyond this: they need a generator of their own. So is
what a data set changes about itself while it is read.

A length is an announcement: see `leyden.engine.lengths`. What a loader yields decides where an epoch ends.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from operator import itemgetter
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, SequentialSampler

from leyden import rng
from leyden.combined_loader import CombinedLoader, flatten, is_collection, length_of, total_of
from leyden.datamodule import LightningDataModule
from leyden.engine.gather import gathering
from leyden.engine.generators import set_states, states_of
from leyden.engine.hooks import is_overridden
from leyden.engine.lengths import check_announcement, is_certain
from leyden.engine.position import (
    END,
    Followed,
    StatefulLoader,
    announce_epoch,
    generators,
    stand_again,
    standing,
    unfetched,
)
from leyden.engine.seeded import ordered, sampled
from leyden.engine.shards import Share, shared_out, together
from leyden.errors import CheckpointError, ConfigurationError
from leyden.module import LightningModule
from leyden.strategy import Strategy
from leyden.warnings import warn_once

INFINITE = float("inf")


class Source(NamedTuple):
    """One loader, or several read as one, and how many batches there are.

    Attributes:
        loader: Whose batches these are.
        batches: How many were announced when it was asked for, limits applied; ``inf`` where nobody knows.
        most: The limit alone: ``inf`` where the end of the loader decides.
        certain: Whether it yields as many as it announces: torch itself counts them.
    """

    loader: Any
    batches: float
    most: float = INFINITE
    certain: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is to be read, for certain."""
        return self.most == 0 or (self.certain and self.batches == 0)

    def at_most(self, limit: float) -> Source:
        """Return this source with another limit beside its own."""
        return self._replace(batches=min(self.batches, limit), most=min(self.most, limit))


def request(name: str, given: Any, module: LightningModule, datamodule: LightningDataModule | None) -> Any:
    """Return the loader or loaders for hook *name*: given to the trainer, of the data module, or of the module.

    Returns None when nobody has any.
    """
    if given is not None:
        return given
    if datamodule is not None and is_overridden(datamodule, name, LightningDataModule):
        return getattr(datamodule, name)()
    if is_overridden(module, name, LightningModule):
        return getattr(module, name)()
    return None


class Wanted(NamedTuple):
    """What is to be read of the loaders of a kind.

    Attributes:
        limit: How many batches of each, a number (int) or a part (float).
        overfit: In its place, of a loader without shuffling; 0 for not.
        where: Who brought them, for messages.
        seed: Batches depend on it and the epoch alone, see `leyden.engine.seeded`; None for not.
        share: This process's part of them, see `leyden.engine.shards`; None for all.
        training: Whether they are read to train.
    """

    limit: float
    overfit: float
    where: str
    seed: int | None = None
    share: Share | None = None
    training: bool = False


def training_source(loaders: Any, wanted: Wanted) -> Source:
    """Return what training reads, one loader or a collection of them, with its number of batches.

    Raises:
        ConfigurationError: If a loader cannot be iterated over, or loaders are to be read one after another.
    """
    if is_collection(loaders):
        loaders = CombinedLoader(loaders, "max_size_cycle")
    if not isinstance(loaders, CombinedLoader):
        return _source(loaders, wanted)
    if loaders.mode == "sequential":
        raise ConfigurationError(
            f"{wanted.where} returned a CombinedLoader of mode 'sequential', which training does not read. "
            "Use 'min_size', 'max_size_cycle' or 'max_size', or join the data sets with torch's ConcatDataset."
        )
    return _combined(loaders, wanted)


def sources(loaders: Any, wanted: Wanted, side_by_side: bool = True) -> list[Source]:
    """Return the evaluation loaders, to be run one after another.

    Loaders combined in another mode than ``sequential`` are one of them, if *side_by_side* allows that.

    Raises:
        ConfigurationError: If a loader cannot be iterated over, or such a combination is not allowed.
    """
    if not isinstance(loaders, CombinedLoader) or loaders.mode == "sequential":
        found = loaders.flattened if isinstance(loaders, CombinedLoader) else flatten(loaders)
        return [_source(loader, wanted, place) for place, loader in enumerate(found)]
    if not side_by_side:
        raise ConfigurationError(
            f"{wanted.where} returned a CombinedLoader of mode {loaders.mode!r}, but predictions are made for one "
            "loader after another. Use mode 'sequential', or return the loaders themselves."
        )
    return [_combined(loaders, wanted)]


def _combined(loaders: CombinedLoader, wanted: Wanted) -> Source:
    """Apply the limit to each of *loaders*; the user's object is left as it is."""
    found = [_source(loader, wanted, place) for place, loader in enumerate(loaders.flattened)]
    combined = copy.copy(loaders)
    combined.flattened = [source.loader for source in found]
    combined.limits = [source.most for source in found]
    most = total_of(combined.mode, combined.limits)
    return Source(combined, length_of(combined), most, all(source.certain for source in found))


def batches_of(loader: Any) -> Iterator[Any]:
    """Return an iterator over the batches of one loader, or of several read as one.

    The pass belongs to what is returned alone: worker processes that do not stay end with it.
    """
    return map(itemgetter(0), copy.copy(loader)) if isinstance(loader, CombinedLoader) else iter(loader)


def announce(loader: Any, epoch: int) -> None:
    """Tell all samplers which epoch it is, if they want to know."""
    for each in members(loader):
        announce_epoch(each, epoch)


def members(loader: Any) -> list[Any]:
    """Return the loaders that are read as one, or the one that *loader* is."""
    if not isinstance(loader, CombinedLoader):
        return [loader]
    return [each.loader if isinstance(each, Followed) else each for each in loader.flattened]


def _source(loader: Any, wanted: Wanted, place: int = 0) -> Source:
    limit, where, salt = wanted.limit, wanted.where, (wanted.seed or 0, wanted.where, place)
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise ConfigurationError(
            f"{where} returned {loader!r:.80} of type {type(loader).__name__}. Expected something to iterate over, "
            "such as a torch DataLoader. Did you forget the return?"
        )
    _check_order(loader, wanted)
    if wanted.overfit:
        loader, limit = _in_order(loader), wanted.overfit
    if wanted.seed is not None:
        loader = ordered(loader, *salt)
    if wanted.share is not None:
        loader = shared_out(loader, wanted.share, even=wanted.training)
    count = batches_to_take(length_of(loader), limit, where)
    most = limit if isinstance(limit, int) else INFINITE if limit == 1.0 else count
    found = gathering(loader) if wanted.seed is None else sampled(gathering(loader), *salt)
    return Source(found, count, most, is_certain(loader))


def _check_order(loader: Any, wanted: Wanted) -> None:
    """Say of batches that come in the order in which workers happen to have them that no run repeats it.

    Raises:
        ConfigurationError: If the run is to be deterministic.
    """
    if getattr(loader, "in_order", True) or getattr(loader, "num_workers", 0) < 2:
        return
    said = (
        f"{wanted.where} returned a DataLoader(in_order=False) with {loader.num_workers} workers: its batches come in "
        "the order in which the workers have them, which no other run repeats"
    )
    if wanted.seed is not None:
        raise ConfigurationError(f"{said}, but the run is to be deterministic. Leave in_order=False out.")
    warn_once(f"{said}, and a resumed run may see other batches. Leave in_order=False out for a resume that is exact.")


def batches_to_take(length: float, limit: float, where: str) -> float:
    """Apply a limit, a count (int) or a fraction (float), to a loader of *length* batches.

    Raises:
        ConfigurationError: If a fraction is asked of a loader without a length, or leaves nothing.
    """
    if isinstance(limit, int) or limit == 0:
        return min(length, limit)
    if limit == 1.0:
        return length
    if length == INFINITE:
        raise ConfigurationError(
            f"{where} returned a loader without a length, of which the fraction {limit} cannot be taken. "
            "Give the limit as a number of batches, or 1.0 for all."
        )
    count = int(length * limit)
    if count == 0 and length:
        raise ConfigurationError(
            f"the limit {limit} of the {int(length)} batches of {where} leaves none. "
            f"Use at least {1 / length:.3g}, or give a number of batches."
        )
    return count


def _in_order(loader: Any) -> Any:
    """Return *loader* without shuffling, so that overfitting sees the same batches each epoch."""
    if not isinstance(loader, DataLoader) or isinstance(getattr(loader, "sampler", None), SequentialSampler):
        return loader
    if loader.batch_size is None or type(loader.batch_sampler) is not torch.utils.data.BatchSampler:
        warn_once("overfit_batches cannot switch off shuffling in a loader with a batch sampler of its own.")
        return loader
    names = (
        "batch_size num_workers collate_fn pin_memory drop_last timeout worker_init_fn multiprocessing_context "
        "generator prefetch_factor persistent_workers"
    ).split()
    warn_once("overfit_batches: shuffling is switched off, so that every epoch sees the same batches.")
    return DataLoader(loader.dataset, shuffle=False, **{name: getattr(loader, name) for name in names})


class TrainLoader:
    """The training loader together with its position.

    Args:
        source: Loader, or several read as one, and number of batches an epoch.
        strategy: Asks other ranks whether they have a batch, too, where nobody can be sure how many there are.

    Attributes:
        loader: What is read.
        empty: Whether there is nothing to read, for certain.
        end: How many batches this epoch has at most; ``inf`` where the end of the loader decides.
        announced: How many its length says, limits applied; ``inf`` where it has none.
    """

    def __init__(self, source: Source, strategy: Strategy | None = None) -> None:
        self.loader, self.empty = source.loader, source.empty
        self.end, self._most, self.announced = source.most, source.most, source.batches
        self._looks_ahead = not source.certain  # the last batch is known only once the next one is asked for
        self._strategy = None if strategy is None or strategy.world_size == 1 else strategy
        self._between = True  # the next batch is the first of an epoch
        self._before: dict[str, Any] = {}
        self._own: dict[str, Any] | None = None
        self._fetching: dict[str, Any] | None = None  # of a resumed run: as `_noted`, in plain types
        self._noted: Any = None  # the global generators before the batch was fetched that is one ahead
        self._drawing: list[Any] | None = None  # and those that the loaders keep
        self._resumed: list[dict[str, Any]] = []
        self._followed: list[Followed] = []
        self._ahead = self._looks_ahead and isinstance(self.loader, StatefulLoader)
        if isinstance(self.loader, CombinedLoader):
            self._followed = [Followed(each, self._looks_ahead) for each in self.loader.flattened]
            self.loader = copy.copy(self.loader)
            self.loader.flattened = self._followed

    def epoch(self, epoch: int, start: int) -> Iterator[tuple[int, Any, bool]]:
        """Yield index, batch and whether it is the last, from batch *start* of *epoch* on."""
        states = [states_of(generators(each)) for each in members(self.loader)] if start else []
        announce(self.loader, epoch)
        self._count()
        if start == 0:
            self._begin()
            iterator, ahead = self._open(0)
        else:
            with rng.isolated():
                iterator, ahead = self._reopen(start)
            for each, state in zip(members(self.loader), states, strict=True):
                set_states(generators(each), state)  # others may have drawn from those that are shared
        self._between = False
        try:
            yield from self._batches(iterator, ahead, start)
        finally:
            self._between = True

    def _count(self) -> None:
        """Find out how many batches this epoch has: a data set may have grown since the one before."""
        self.announced = min(length_of(self.loader), self._most)
        self.end = self._most if self._looks_ahead else self.announced
        if self._strategy is not None and not self._looks_ahead:
            self.end = self._strategy.reduce(torch.tensor(self.end, dtype=torch.float64), "min").item()

    def _batches(self, iterator: Iterator[Any], ahead: Any, index: int) -> Iterator[tuple[int, Any, bool]]:
        while index < self.end:
            last = index + 1 == self.end
            if not self._looks_ahead:
                batch = next(iterator, END)
            else:
                batch, ahead = ahead, END if last or ahead is END else self._look_ahead(iterator)
                last = ahead is END
            if batch is END:
                break
            self._between = last
            yield index, batch, last
            index += 1
        check_announcement(self.loader, self.announced, index)

    def _begin(self) -> None:
        self._resumed, self._own, self._fetching, self._noted, self._drawing = [], None, None, None, None
        for followed in self._followed:
            followed.begin()
        if not self._followed:
            self._before = {"rng": rng.capture(), **standing(self.loader, between_passes=True)}

    def _open(self, skip: int) -> tuple[Iterator[Any], Any]:
        iterator = batches_of(self.loader)
        passed_over = iterator if self._followed else unfetched(iterator)
        if self._strategy is not None and self._looks_ahead:
            iterator = passed_over = together(iterator, self._strategy, END)
        for _ in range(skip):
            if next(passed_over, END) is END:
                break
        if self._fetching is not None:
            rng.restore(self._fetching)
            for each, state in zip(members(self.loader), self._drawing or [], strict=False):
                set_states(generators(each), state)
        return iterator, self._look_ahead(iterator) if self._looks_ahead and skip < self.end else END

    def _look_ahead(self, iterator: Iterator[Any]) -> Any:
        self._noted, self._fetching = rng.noted(), None
        self._drawing = [states_of(generators(each)) for each in members(self.loader)]
        if self._ahead:
            self._own = self.loader.state_dict()
        return next(iterator, END)

    def _reopen(self, start: int) -> tuple[Iterator[Any], Any]:
        if self._followed:
            self._check_count()
            for followed in self._followed:
                followed.pass_over(start)
        elif self._own is not None and isinstance(self.loader, StatefulLoader):
            self.loader.load_state_dict(self._own)
            self._own = None
            return self._open(0)
        elif self._before:
            rng.restore(self._before["rng"])
            stand_again(self.loader, self._before)
        return self._open(start)

    def _check_count(self) -> None:
        if self._resumed and len(self._resumed) != len(self._followed):
            raise CheckpointError(
                f"the checkpoint holds the positions of {len(self._resumed)} training loaders in the middle of an "
                f"epoch, but there are {len(self._followed)} now. Return the same collection from train_dataloader(), "
                "or go on from a checkpoint of the end of an epoch."
            )

    def state_dict(self) -> dict[str, Any]:
        """Return what finds the position again, together with the number of batches taken."""
        common = {
            "fetching": self._fetching if self._noted is None else rng.stored(self._noted),
            "drawing": self._drawing,
            "now": [standing(each, self._between) for each in members(self.loader)],
        }
        if self._followed:
            return {"loaders": [followed.state_dict() for followed in self._followed], **common}
        own = self._own
        if own is None and isinstance(self.loader, StatefulLoader) and not self._ahead:
            own = self.loader.state_dict()
        return {"before": self._before, "own": own, **common}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self._before, self._own = state.get("before", {}), state.get("own")
        self._fetching, self._noted, self._drawing = state.get("fetching"), None, state.get("drawing")
        self._resumed = state.get("loaders", [])
        for followed, its in zip(self._followed, self._resumed, strict=False):
            followed.load_state_dict(its)
        for each, its in zip(members(self.loader), state.get("now", []), strict=False):
            stand_again(each, its)
            self._between = "workers" in its
