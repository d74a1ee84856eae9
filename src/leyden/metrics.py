"""Values given to ``self.log``: accumulated where they are, read only when somebody looks.

The first call of a (hook, name) pair checks everything there is to check and opens an
`Entry`; later calls find it and add. Values stay where they are: on an accelerator as
tensors, which nobody waits for until a row is due, the bar is redrawn, or somebody reads a
dictionary of metrics; on the CPU, where nothing has to be waited for, as Python numbers
rounded as tensors of their type would be: the same sums, at a tenth of the time.

    self.log ─► Metrics.log ─► Results.entries[(hook, name, loader)] ─► Entry.add
                                 training │ evaluation
    gather ─► values for loggers, for callbacks, for the bar

The mean over an epoch is weighted: ``sum(value * batch_size) / sum(batch_size)``, summed
in the order of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from leyden.errors import ConfigurationError
from leyden.log_rules import EPOCH_HOOKS, checked_name, levels, reduction_name, squeezed
from leyden.metric_objects import (
    attributes,
    holder_state,
    is_metric,
    load_holder_state,
    load_metric_state,
    metric_holders,
    metric_objects,
    metric_state,
)
from leyden.rounding import single
from leyden.tree import batch_sizes
from leyden.warnings import warn_once

Options = tuple[bool, bool | None, bool | None, bool | None, Any, bool, bool, bool]


class Gathered(NamedTuple):
    """Values by name, for each audience."""

    log: dict[str, Tensor]
    callback: dict[str, Tensor]
    bar: dict[str, Tensor]


@dataclass(slots=True)
class Entry:
    """What was logged under one name, from one hook, for one loader."""

    name: str
    hook: str
    loader: int | None
    options: Options
    prog_bar: bool
    logger: bool
    on_step: bool
    on_epoch: bool
    reduction: str
    sync: bool
    suffix: str
    dtype: torch.dtype = torch.float32
    metric: Any = None
    total: Any = None  # a tensor, or a Python number of type `dtype`
    weight: Any = 0
    last: Any = None
    reduced: bool = False  # over all ranks

    def add(self, value: Tensor, weight: int) -> None:
        """Take in a detached float tensor that nobody else will change."""
        if isinstance(self.total, float):
            self.total = torch.tensor(self.total, dtype=self.dtype, device=value.device)
        if self.on_step:
            self.last = value
        if not self.on_epoch:
            return
        if self.reduction == "mean":
            value = value * weight
            self.weight += weight
        if self.total is None:
            self.total = value
        elif self.reduction in ("mean", "sum"):
            self.total = self.total + value
        elif self.reduction == "max":
            self.total = torch.maximum(self.total, value)
        else:
            self.total = torch.minimum(self.total, value)

    def add_number(self, value: float, weight: int) -> None:
        """Take in a Python number that a tensor of type `dtype` can hold."""
        if self.on_step:
            self.last = value
        if not self.on_epoch:
            return
        short = self.dtype is torch.float32
        if self.reduction == "mean":
            value = single(value * weight) if short else value * weight
            self.weight += weight
        total = self.total
        if total is None:
            self.total = value
        elif self.reduction in ("mean", "sum"):
            self.total = single(total + value) if short else total + value
        elif isnan(value) or (value > total if self.reduction == "max" else value < total):
            self.total = value  # and one that is not a number stays

    def takes_number(self, dtype: torch.dtype) -> bool:
        """Whether a number of type *dtype* can be added as it is: so far there were none but those."""
        return dtype is self.dtype and (self.total is None or isinstance(self.total, float))

    def step_value(self) -> Any:
        """The value of the latest step."""
        return self._tensor(self.last) if self.metric is None or self.last is None else self._computed(self.last)

    def epoch_value(self) -> Any:
        """The reduction over all steps so far."""
        if self.metric is not None:
            return self._computed(self.metric.compute()).detach()
        total = self._tensor(self.total)
        return total / self.weight if total is not None and self.reduction == "mean" else total

    def _computed(self, value: Any) -> Any:
        """Return what a metric object has computed, where it was called in the step: one tensor."""
        if not isinstance(value, Tensor):
            raise ConfigurationError(
                f"compute() of the metric logged as {self.name!r} returned {type(value).__name__}; "
                "a logged metric must compute one tensor. Log its parts one by one, or use log_dict."
            )
        return value

    def reduce(self, reduce: Any) -> None:
        """Bring the reduction over all steps to that over all steps of all ranks."""
        total = self._tensor(self.total)
        if self.reduction == "mean":
            both = torch.stack([total.double(), torch.tensor(self.weight, dtype=torch.float64, device=total.device)])
            both = reduce(both, "sum")
            self.total, self.weight = both[0].to(total.dtype), both[1].to(total.dtype)
        else:
            self.total = reduce(total, self.reduction)
        self.reduced = True

    def _tensor(self, value: Any) -> Any:
        return torch.tensor(value, dtype=self.dtype) if isinstance(value, float) else value

    def names(self, per_step: bool) -> tuple[str, str]:
        """The plain name, and the one told apart by ``_step`` or ``_epoch`` when both are logged."""
        forked = self.name
        if self.on_step and self.on_epoch:
            forked += "_step" if per_step else "_epoch"
        return self.name + self.suffix, forked + self.suffix


@dataclass
class Results:
    """All entries of training, or of the evaluation being run."""

    training: bool
    entries: dict[tuple[str, str, int | None], Entry] = field(default_factory=dict)
    per_batch: bool = False

    def gather(self, per_step: bool, loader: int | None = None, every_loader: bool = True) -> Gathered:
        """Collect the values of the latest step, or the reductions over the epoch."""
        found = Gathered({}, {}, {})
        for entry in self.entries.values():
            if not every_loader and entry.loader != loader:
                continue
            if not (entry.on_step if per_step else entry.on_epoch):
                continue
            value = entry.step_value() if per_step else entry.epoch_value()
            if value is None:
                continue
            name, forked = entry.names(per_step)
            if entry.logger:
                found.log[forked] = value
            if self.training or not per_step:
                found.callback[name] = value
                found.callback[forked] = value
            if entry.prog_bar:
                found.bar[forked] = value
        return found

    def reduce(self, reduce: Any) -> None:
        """Reduce what was asked for over all ranks: sums and weights, so that means are exact.

        Args:
            reduce: `Strategy.reduce`; None on a single rank. All ranks have to have logged the same names.
        """
        if reduce is None:
            return
        for entry in self.entries.values():
            if entry.sync and not entry.reduced and entry.on_epoch and entry.metric is None and entry.total is not None:
                entry.reduce(reduce)

    def clear(self) -> None:
        """Forget everything, and reset the metric objects that were logged."""
        for entry in self.entries.values():
            if entry.metric is not None:
                entry.metric.reset()
        self.entries.clear()


class Metrics:
    """Everything logged by a trainer's module and callbacks.

    The engine keeps three facts up to date, by plain assignment as they change on every
    step: `hook`, the one being run; `batch`, the current batch; `loader`, the index of the
    evaluation loader where there are several.
    """

    def __init__(self) -> None:
        self.hook = ""
        self.batch: Any = None
        self.loader: int | None = None
        self.size: int | None = None
        self.device = torch.device("cpu")
        self.training = Results(training=True)
        self.evaluation = Results(training=False)
        self.active = self.training
        self.reduce: Any = None  # Strategy.reduce, when there are several ranks
        self._first: dict[str, dict[str, Any]] = {}
        self._callback: dict[str, Tensor] = {}
        self._logged: dict[str, Tensor] = {}
        self._bar: dict[str, Any] = {}

    def log(self, name: str, value: Any, options: Options, batch_size: int | None) -> None:
        """Add *value* to its entry; see `LightningModule.log`."""
        entry = self.active.entries.get((self.hook, name, self.loader))
        if entry is None:
            entry = self._open(name, value, options)
        elif entry.options != options:
            _check_same(entry, options)
        if entry.metric is not None:
            entry.last = value._forward_cache if entry.on_step else None
            return
        if entry.on_epoch and entry.reduction == "mean":
            if batch_size is None:
                batch_size = self.size if self.size is not None else self._find_size(name)
        else:
            batch_size = 1
        if not isinstance(value, Tensor):
            value = _tensor(name, value)
        elif value.dim():
            value = squeezed(name, value)
        if value.is_cpu and entry.takes_number(value.dtype) and not (entry.sync and self.reduce is not None):
            entry.add_number(value.item(), batch_size)
            return
        value = value.detach().to(self.device, _float(value.dtype), copy=True)
        entry.add(value, batch_size)
        if entry.sync and self.reduce is not None:
            if entry.on_step:
                entry.last = self.reduce(value, entry.reduction)
            if entry.hook in EPOCH_HOOKS:  # there is nothing to wait for
                entry.reduce(self.reduce)

    def _open(self, name: str, value: Any, options: Options) -> Entry:
        """Check the first call of a (hook, name) pair and open its entry."""
        prog_bar, logger, on_step, on_epoch, reduction, sync, add_index, _ = options
        hook = self.hook
        on_step, on_epoch = levels(hook, on_step, on_epoch)
        metric = value if is_metric(value) else None
        entry = Entry(
            name=checked_name(name),
            hook=hook,
            loader=self.loader,
            options=options,
            prog_bar=prog_bar,
            logger=True if logger is None else logger,
            on_step=on_step,
            on_epoch=on_epoch,
            reduction=reduction_name(name, reduction),
            sync=sync,
            suffix=f"/dataloader_idx_{self.loader}" if add_index and self.loader is not None else "",
            metric=metric,
            dtype=_float(value.dtype if isinstance(value, Tensor) else torch.get_default_dtype()),
        )
        self.active.entries[(hook, name, self.loader)] = entry
        return entry

    def _find_size(self, name: str) -> int:
        """Look for the number of samples in the current batch, once per batch."""
        if self.batch is None:
            return 1
        sizes = batch_sizes(self.batch)
        if not sizes:
            raise ConfigurationError(
                f"no batch size was found for {name!r}: the batch (a {type(self.batch).__name__}) holds no tensor. "
                "Pass it: self.log(..., batch_size=...)."
            )
        if sizes.count(sizes[0]) < len(sizes):
            warn_once(
                "the batch size is ambiguous, as the tensors of the batch differ in their first dimension; "
                f"took {sizes[0]}. "
                "Pass it to be sure: self.log(..., batch_size=...)."
            )
        self.size = sizes[0]
        return sizes[0]

    # --- what others read --------------------------------------------------------------------

    def refresh(self) -> None:
        """Bring the three dictionaries up to what was logged last."""
        found = self.active.gather(self.active.per_batch)
        self._callback.update(found.callback)
        self._logged.update(found.log)
        self._bar.update(found.bar)

    def absorb(self, found: Gathered) -> None:
        """Keep the reductions of an epoch that is over."""
        self._callback.update(found.callback)
        self._logged.update(found.log)
        self._bar.update(found.bar)

    @property
    def callback(self) -> dict[str, Tensor]:
        """Values by name for callbacks to monitor."""
        self.refresh()
        return self._callback

    @property
    def logged(self) -> dict[str, Tensor]:
        """Values by name as sent to the loggers."""
        self.refresh()
        return self._logged

    @property
    def bar(self) -> dict[str, float]:
        """Numbers by name for the progress bar; reading them waits for the device."""
        self.refresh()
        return numbers(self._bar)

    def begin(self) -> None:
        """Start a stage: what an earlier one logged is no longer to be read."""
        self.evaluation.clear()
        self.active = self.evaluation
        self.forget()

    def forget(self) -> None:
        """Drop all values, as after the sanity check."""
        self._callback.clear()
        self._logged.clear()
        self._bar.clear()

    def to_cpu(self) -> None:
        """Bring what remains readable after a stage back from its device."""
        for values in (self._callback, self._logged, self._bar):
            for name, value in values.items():
                values[name] = value.cpu() if isinstance(value, Tensor) else value

    # --- checkpoints ---------------------------------------------------------------------------

    def note_objects(self, module: nn.Module) -> None:
        """Note what the metric objects of *module* are like before anything is restored or done."""
        self._first = {path: attributes(holder) for path, holder in metric_holders(module)}

    def state_dict(self, module: nn.Module) -> dict[str, Any]:
        """Return half-accumulated values, and the states of the module's metric objects."""
        paths = {id(child): path for path, child in metric_objects(module)}
        return {
            "training": [_entry_state(entry, paths) for entry in self.training.entries.values()],
            "evaluation": [_entry_state(entry, paths) for entry in self.evaluation.entries.values()],
            "callback": {name: value.detach().clone() for name, value in self._callback.items()},
            "objects": {path: metric_state(child) for path, child in metric_objects(module)},
            "holders": {
                path: holder_state(holder, self._first.get(path, {})) for path, holder in metric_holders(module)
            },
        }

    def load_state_dict(self, state: dict[str, Any], module: nn.Module) -> None:
        """Take back what `state_dict` returned."""
        for path, kept in state.get("holders", {}).items():  # an outer one comes first, and makes the inner ones
            holder = dict(metric_holders(module)).get(path)
            if holder is not None:
                load_holder_state(holder, kept)
        objects = dict(metric_objects(module))
        for path, saved in state["objects"].items():
            if path in objects:
                load_metric_state(objects[path], saved)
        for results, saved in ((self.training, state["training"]), (self.evaluation, state["evaluation"])):
            results.entries.clear()
            for item in saved:
                entry = _load_entry(item, objects, self.device)
                results.entries[(entry.hook, entry.name, entry.loader)] = entry
        self._callback.update(state["callback"])


def numbers(values: dict[str, Any]) -> dict[str, float]:
    """Turn tensors into Python numbers, with one wait for the device instead of one each."""
    moved = [name for name, value in values.items() if isinstance(value, Tensor) and value.device.type != "cpu"]
    read: dict[str, float] = {}
    if moved:
        exact = [_widest(values[name]).reshape(()) for name in moved]
        stacked = torch.stack(exact).cpu()
        read = dict(zip(moved, stacked.tolist(), strict=True))
    return {
        name: read[name] if name in read else value.item() if isinstance(value, Tensor) else value
        for name, value in values.items()
    }


def _widest(value: Tensor) -> Tensor:
    """Cast to 64 bits, which every device but Apple's has."""
    return value.float() if value.device.type == "mps" else value.double()


def _check_same(entry: Entry, options: Options) -> None:
    """Refuse other arguments than those of the first call; spellings of one reduction are the same."""
    if (*options[:4], reduction_name(entry.name, options[4]), *options[5:]) != (
        *entry.options[:4],
        entry.reduction,
        *entry.options[5:],
    ):
        raise ConfigurationError(
            f"{entry.name!r} was logged twice in {entry.hook} with different arguments. "
            "Log it once, or give the second one a name of its own."
        )
    entry.options = options


def _tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, (int, float)) or (hasattr(value, "item") and getattr(value, "size", None) == 1):
        number = value if isinstance(value, (int, float)) else value.item()
        return torch.tensor(number, dtype=_float(torch.get_default_dtype()))
    if isinstance(value, dict):
        raise ConfigurationError(
            f"{name!r} was logged with a dict of {len(value)} values. Use self.log_dict(...) for several values."
        )
    raise ConfigurationError(
        f"{name!r} was logged with a value of type {type(value).__name__}: {value!r:.80}. "
        "Expected a number, a one-element tensor or a torchmetrics.Metric."
    )


def _float(dtype: torch.dtype) -> torch.dtype:
    """Values are kept in 32 bits or more, whatever the step computes in."""
    return dtype if dtype in (torch.float32, torch.float64) else torch.float32


def _entry_state(entry: Entry, paths: dict[int, str]) -> dict[str, Any]:
    copy = {name: getattr(entry, name) for name in Entry.__slots__ if name not in ("metric", "options")}
    prog_bar, logger, on_step, on_epoch, _, sync, add_index, rank_zero = entry.options
    copy["options"] = [prog_bar, logger, on_step, on_epoch, entry.reduction, sync, add_index, rank_zero]
    copy["metric"] = paths.get(id(entry.metric)) if entry.metric is not None else None
    return copy


def _load_entry(saved: dict[str, Any], objects: dict[str, Any], device: torch.device) -> Entry:
    values: dict[str, Any] = {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in saved.items()
        if name not in ("metric", "options")
    }
    return Entry(**values, options=tuple(saved["options"]), metric=objects.get(saved["metric"]))
