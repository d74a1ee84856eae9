"""torchmetrics objects: found without importing the package, and their half-accumulated states."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn


def is_metric(value: Any) -> bool:
    """Tell a torchmetrics.Metric without importing torchmetrics: who has one has imported it."""
    torchmetrics = sys.modules.get("torchmetrics")
    return torchmetrics is not None and isinstance(value, torchmetrics.Metric)


def metric_objects(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the metric objects of *module* with their paths."""
    if "torchmetrics" in sys.modules:
        yield from ((path, child) for path, child in module.named_modules() if is_metric(child))


def metric_state(metric: Any) -> dict[str, Any]:
    """Return what *metric* has accumulated, as plain types and tensors."""
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
