"""torchmetrics objects: found without importing the package, and all that they have accumulated.

Most of it are the states a metric has registered with ``add_state``. Wrappers keep more, in plain attributes and in
children that are made while they are used: the extremes of a `MinMaxMetric`, the steps of a `MetricTracker`, the
groups of a `MetricCollection`. What has changed of it since the stage began is kept, too: what has not is as the
constructor made it, so that its arguments may be others in the run that goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

# Attributes of torchmetrics that say how a metric is being used at the moment, not what it has accumulated.
_PASSING = {
    *("training", "_computed", "_forward_cache", "_update_count", "_to_sync", "_should_unsync", "_enable_grad"),
    *("_cache", "_is_synced", "_dtype_convert", "_defaults", "_reductions", "_persistent"),
}
_MODULE = set(vars(nn.Module()))
_NUMBERS = (bool, int, float, complex, str, type(None))


def is_metric(value: Any) -> bool:
    """Tell a torchmetrics.Metric without importing torchmetrics: who has one has imported it."""
    torchmetrics = sys.modules.get("torchmetrics")
    return torchmetrics is not None and isinstance(value, torchmetrics.Metric)


def metric_objects(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the metric objects of *module* with their paths."""
    if "torchmetrics" in sys.modules:
        yield from ((path, child) for path, child in module.named_modules() if is_metric(child))


def metric_holders(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the metric objects of *module*, and the collections and trackers of such, with their paths."""
    torchmetrics = sys.modules.get("torchmetrics")
    if torchmetrics is not None:
        kinds = (torchmetrics.Metric, torchmetrics.MetricCollection, torchmetrics.MetricTracker)
        yield from ((path, child) for path, child in module.named_modules() if isinstance(child, kinds))


def metric_state(metric: Any) -> dict[str, Any]:
    """Return the states that *metric* has registered, as plain types and tensors."""
    values = {name: getattr(metric, name) for name in metric._defaults}
    copies = {
        name: [item.detach().clone() for item in value] if isinstance(value, list) else value.detach().clone()
        for name, value in values.items()
    }
    reductions = {name: getattr(reduction, "__name__", None) for name, reduction in metric._reductions.items()}
    return {"values": copies, "updates": int(metric._update_count), "reductions": reductions}


def load_metric_state(metric: Any, saved: dict[str, Any]) -> None:
    """Take back what `metric_state` returned; of nothing, begin anew."""
    if not saved:
        metric.reset()
        return
    for name, value in saved["values"].items():
        moved = [item.to(metric.device) for item in value] if isinstance(value, list) else value.to(metric.device)
        setattr(metric, name, moved)
    metric._update_count = saved["updates"]
    metric._computed = None


def attributes(holder: Any, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return copies of what *holder* keeps beside its registered states, as far as it is plain types and tensors.

    Args:
        holder: A metric, a collection or a tracker.
        before: What this returned earlier: what is still the same is left out.
    """
    passing, known = {*_PASSING, *_MODULE, *getattr(holder, "_defaults", ())}, before or {}
    own = {name: value for name, value in (vars(holder) | holder._buffers).items() if name not in passing}
    return {
        name: _copied(value)
        for name, value in own.items()
        if _is_plain(value) and not (name in known and _are_same(value, known[name]))
    }


def holder_state(holder: Any, before: dict[str, Any]) -> dict[str, Any]:
    """Return what has changed since `attributes` returned *before*, and the names of the metrics within *holder*."""
    return {"attributes": attributes(holder, before), "children": list(holder._modules)}


def load_holder_state(holder: Any, saved: dict[str, Any]) -> None:
    """Take back what `holder_state` returned; a collection of other metrics than then is left as it is.

    A tracker makes the metrics again that it has made in the meantime.
    """
    if isinstance(holder, nn.ModuleList):
        for name in saved["children"][len(holder._modules) :]:
            holder.add_module(name, deepcopy(holder._modules["_base_metric"]))
    if list(holder._modules) != saved["children"]:
        return
    for name, value in saved["attributes"].items():
        target = holder._buffers if name in holder._buffers else vars(holder)
        target[name] = _copied(value, getattr(holder, "device", None))


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, _NUMBERS) and _is_plain(each) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return type(value) in (list, tuple) and all(map(_is_plain, value))
    return isinstance(value, (Tensor, *_NUMBERS))


def _copied(value: Any, device: Any = None) -> Any:
    if isinstance(value, Tensor):
        copy = value.detach().clone()
        return copy if device is None else copy.to(device)
    if isinstance(value, dict):
        return {key: _copied(each, device) for key, each in value.items()}
    return type(value)(_copied(each, device) for each in value) if isinstance(value, (list, tuple)) else value


def _are_same(one: Any, two: Any) -> bool:
    if type(one) is not type(two):
        return False
    if isinstance(one, Tensor):
        return one.dtype == two.dtype and one.device == two.device and torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_are_same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(_are_same, one, two))
    return bool(one == two)


def merged_state(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """Return what a metric has accumulated that saw what two have seen; states without a reduction stay the first's."""
    values = {
        name: _merged(value, two["values"][name], one["reductions"].get(name), one["updates"], two["updates"])
        for name, value in one["values"].items()
    }
    return {**one, "values": values, "updates": one["updates"] + two["updates"]}


def _merged(one: Any, two: Any, reduction: str | None, updates: int, more: int) -> Any:
    if isinstance(one, list):
        return [*one, *two]
    if reduction == "dim_zero_sum":
        return one + two
    if reduction == "dim_zero_mean":
        return (one * updates + two * more) / max(1, updates + more)
    if reduction == "dim_zero_cat":
        return torch.cat([one, two])
    if reduction in ("dim_zero_max", "dim_zero_min"):
        return (torch.maximum if reduction == "dim_zero_max" else torch.minimum)(one, two)
    return one
