"""Batches on their way to the device: hooks around the move, and the next batch ahead of its step.

    side stream      copy 1 ─► copy 2 ─► copy 3 ─► ...
    main stream              step 0 ─► step 1 ─► step 2 ...     (each waits for its own copy, the host for none)

A batch is copied ahead only where nobody can tell: it comes from a worker process, so that
asking for it early draws no random number in this process, and no hook but ours moves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from leyden.datamodule import LightningDataModule
from leyden.engine.hooks import is_overridden
from leyden.module import LightningModule
from leyden.precision import Precision
from leyden.tree import map_children, move, moves_itself

if TYPE_CHECKING:
    from leyden.metrics import Metrics

Transfer = Callable[[Any, int], Any]
TransferHook = Callable[..., Any] | None
Fetched = tuple[int, Any, bool]
_WITH_STREAMS = ("cuda", "xpu")
_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def transfer_hooks(module: LightningModule, datamodule: LightningDataModule | None) -> list[TransferHook]:
    """Return what is overridden of the three transfer hooks; the data module's version wins over the module's."""

    def own(name: str) -> TransferHook:
        if datamodule is not None and is_overridden(datamodule, name, LightningDataModule):
            return getattr(datamodule, name)  # type: ignore[no-any-return]
        return getattr(module, name) if is_overridden(module, name, LightningModule) else None

    return [own(name) for name in _HOOKS]


def transfer_function(
    hooks: list[TransferHook], device: torch.device, precision: Precision, metrics: Metrics
) -> Transfer | None:
    """Return what brings a batch to *device*, or None where nothing is to be done."""
    before, custom, after = hooks
    converts = type(precision).convert_input is not Precision.convert_input
    hooked = any(hooks)
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


def prefetch(loader: Any, device: torch.device, hooks: list[TransferHook]) -> Prefetch | None:
    """Return what copies the batches of *loader* ahead, or None where that could be told."""
    from_workers = type(loader) is DataLoader and loader.num_workers > 0
    return Prefetch(device) if from_workers and device.type in _WITH_STREAMS and not any(hooks) else None


class Prefetch:
    """Copies tensors to *device* one batch ahead; what moves itself, or is no tensor, stays for the transfer to move.

    Args:
        device: Where to.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._streams = torch.get_device_module(device)
        self._stream = self._streams.Stream()

    def __call__(self, fetched: Iterator[Fetched]) -> Iterator[Fetched]:
        """Yield what *fetched* does, with its tensors on the device and ready for the caller's stream."""
        ahead: tuple[Fetched, list[Tensor]] | None = None
        for index, batch, last in fetched:
            copies: list[Tensor] = []
            with self._streams.stream(self._stream):
                copied = (index, self._copied(batch, copies), last), copies
            if ahead is not None:
                yield self._handed_over(*ahead)
            ahead = copied
        if ahead is not None:
            yield self._handed_over(*ahead)

    def _copied(self, item: Any, copies: list[Tensor]) -> Any:
        if not isinstance(item, Tensor):
            return item if moves_itself(item) else map_children(item, lambda child: self._copied(child, copies))
        if item.device == self._device:
            return item
        if item.device.type == "cpu" and not item.is_pinned():
            item = item.pin_memory()  # or the host would wait for the copy
        copies.append(item.to(self._device, non_blocking=True))
        return copies[-1]

    def _handed_over(self, fetched: Fetched, copies: list[Tensor]) -> Fetched:
        current = self._streams.current_stream()
        current.wait_stream(self._stream)
        for tensor in copies:
            if tensor.device.type != "cpu":
                tensor.record_stream(current)  # its memory is not free before the step is through
        return fetched
