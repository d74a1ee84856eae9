"""Where batches come from: whose loader, how many batches, on which device, from which position.

The position inside an epoch is part of a checkpoint. It is the number of batches taken
and the state of the generators from before the loader's iterator was made; a resumed run
makes that iterator again from the same state and passes over as many batches, so that it
continues with the very batch that comes next, in the very order. A loader that keeps its
own state (``state_dict`` / ``load_state_dict``) is asked instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader, SequentialSampler

from leyden import rng
from leyden.datamodule import LightningDataModule
from leyden.engine.gather import gathering
from leyden.engine.hooks import is_overridden
from leyden.errors import ConfigurationError
from leyden.module import LightningModule
from leyden.precision import Precision
from leyden.tree import move
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from leyden.metrics import Metrics

INFINITE = float("inf")
Transfer = Callable[[Any, int], Any]


class Source(NamedTuple):
    """One loader and the number of batches to take of it (``inf`` where nobody knows)."""

    loader: Any
    batches: float


@runtime_checkable
class StatefulLoader(Protocol):
    """A loader that can save and restore its own position."""

    def state_dict(self) -> dict[str, Any]:
        """Return the position."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a position."""


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


def single_source(loader: Any, limit: float, overfit: float, where: str) -> Source:
    """Return the one training loader with its number of batches.

    Raises:
        ConfigurationError: If *loader* cannot be iterated over, or is a collection of loaders.
    """
    if isinstance(loader, Mapping) or (isinstance(loader, (list, tuple)) and any(map(_is_loader, loader))):
        raise ConfigurationError(
            f"{where} returned a {type(loader).__name__} of loaders; training takes one loader so far. "
            "Put the data sets into one data set that returns what a step needs."
        )
    return _source(loader, limit, overfit, where)


def sources(loaders: Any, limit: float, overfit: float, where: str) -> list[Source]:
    """Return the evaluation loaders, to be run one after another."""
    if isinstance(loaders, Mapping):
        loaders = list(loaders.values())
    if not (isinstance(loaders, (list, tuple)) and any(map(_is_loader, loaders))):
        loaders = [loaders]
    return [_source(loader, limit, overfit, where) for loader in loaders]


def _is_loader(value: Any) -> bool:
    return isinstance(value, DataLoader) or (hasattr(value, "__iter__") and not isinstance(value, (torch.Tensor, str)))


def _source(loader: Any, limit: float, overfit: float, where: str) -> Source:
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise ConfigurationError(
            f"{where} returned {loader!r:.80} of type {type(loader).__name__}. Expected something to iterate over, "
            "such as a torch DataLoader. Did you forget the return?"
        )
    if overfit:
        loader, limit = _in_order(loader), overfit
    return Source(gathering(loader), batches_to_take(_length(loader), limit, where))


def _length(loader: Any) -> float:
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return INFINITE


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
        source: Loader and number of batches an epoch.
    """

    def __init__(self, source: Source) -> None:
        self.loader, self.batches = source
        self._before: dict[str, Any] = {}
        self._own: dict[str, Any] | None = None

    def epoch(self, epoch: int, start: int) -> Iterator[tuple[int, Any, bool]]:
        """Yield index, batch and whether it is the last, from batch *start* of *epoch* on."""
        for sampler in self._samplers():
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
        if start == 0:
            self._before = {"rng": rng.capture(), "generators": [each.get_state() for each in self._generators()]}
            iterator, ahead = self._open(0)
        else:
            with rng.isolated():
                iterator, ahead = self._reopen(start)
        index = start
        while index < self.batches:
            if self.batches != INFINITE:
                batch = next(iterator, _END)
                if batch is _END:
                    return
                last = index + 1 == self.batches
            else:
                batch, ahead = ahead, _END if ahead is _END else next(iterator, _END)
                if batch is _END:
                    return
                last = ahead is _END
            yield index, batch, last
            index += 1

    def _open(self, skip: int) -> tuple[Iterator[Any], Any]:
        iterator = iter(self.loader)
        if skip:
            _pass_over(iterator, skip)
        # Without a length the last batch is known only once the next one is asked for.
        return iterator, next(iterator, _END) if self.batches == INFINITE else _END

    def _reopen(self, start: int) -> tuple[Iterator[Any], Any]:
        if self._own is not None and isinstance(self.loader, StatefulLoader):
            self.loader.load_state_dict(self._own)
            self._own = None
            return self._open(0)
        if self._before:
            rng.restore(self._before["rng"])
            for generator, state in zip(self._generators(), self._before["generators"], strict=False):
                generator.set_state(state)
        return self._open(start)

    def _samplers(self) -> list[Any]:
        batch_sampler = getattr(self.loader, "batch_sampler", None)
        found = [getattr(self.loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)]
        return [each for index, each in enumerate(found) if each is not None and each not in found[:index]]

    def _generators(self) -> list[torch.Generator]:
        found = [getattr(owner, "generator", None) for owner in (self.loader, *self._samplers())]
        return [each for index, each in enumerate(found) if each is not None and each not in found[:index]]

    def state_dict(self) -> dict[str, Any]:
        """Return what finds the position again, together with the number of batches taken."""
        own = self.loader.state_dict() if isinstance(self.loader, StatefulLoader) else None
        return {"before": self._before, "own": own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self._before, self._own = state["before"], state["own"]


_END: Any = object()


def _pass_over(iterator: Iterator[Any], count: int) -> None:
    """Drop *count* batches; without fetching them where only their indices matter."""
    indices = getattr(iterator, "_sampler_iter", None)
    if type(iterator).__name__ == "_SingleProcessDataLoaderIter" and getattr(iterator, "_dataset_kind", None) == 0:
        iterator = indices if indices is not None else iterator
    for _ in range(count):
        if next(iterator, _END) is _END:
            return


def transfer_function(
    module: LightningModule,
    datamodule: LightningDataModule | None,
    device: torch.device,
    precision: Precision,
    metrics: Metrics,
) -> Transfer | None:
    """Return what brings a batch to *device*, or None where nothing is to be done.

    The data module's version of a transfer hook wins over the module's.
    """

    def own(name: str) -> Callable[..., Any] | None:
        if datamodule is not None and is_overridden(datamodule, name, LightningDataModule):
            return getattr(datamodule, name)  # type: ignore[no-any-return]
        return getattr(module, name) if is_overridden(module, name, LightningModule) else None

    before, custom, after = (
        own(name) for name in ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
    )
    converts = type(precision).convert_input is not Precision.convert_input
    hooked = before is not None or custom is not None or after is not None
    if not hooked and not converts and device.type == "cpu":
        return None

    def transfer(batch: Any, loader: int) -> Any:
        if hooked:
            metrics.hook = "transfer_batch_to_device"
        if converts:
            batch = precision.convert_input(batch)
        if before is not None:
            batch = before(batch, loader)
        batch = move(batch, device) if custom is None else custom(batch, device, loader)
        return batch if after is None else after(batch, loader)

    return transfer
