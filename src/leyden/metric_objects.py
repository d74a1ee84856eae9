"""torchmetrics objects: found without importing the package, and their half-accumulated states."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

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
    return {"values": copies, "updates": int(metric._update_count)}


def load_metric_state(metric: Any, saved: dict[str, Any]) -> None:
    """Take back what `metric_state` returned."""
    for name, value in saved["values"].items():
        moved = [item.to(metric.device) for item in value] if isinstance(value, list) else value.to(metric.device)
        setattr(metric, name, moved)
    metric._update_count = saved["updates"]
    metric._computed = None
