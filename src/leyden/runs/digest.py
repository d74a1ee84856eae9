"""sha256 of what a run came to: weights, metrics, rows.

A hash stands for bits, not for values: it is the same on every device, and differs as soon
as one number differs in its last bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from leyden import divided


def of_weights(module: nn.Module) -> str:
    """Hash parameters and buffers in the order of their names: name, type, shape and bytes of each.

    Of a module that is divided among ranks the whole is hashed, for which every rank calls this.
    """
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    found = sha256()
    for name in sorted(named):
        if is_lazy(named[name]):
            found.update(f"{name} not initialised\n".encode())
            continue
        tensor = divided.whole(named[name]).detach()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(_bytes(tensor))
    return found.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    """Return the elements of *tensor* in row order, in whatever format they are."""
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    plain = tensor.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return plain.view(torch.uint8).numpy() if plain.numel() else b""


def of_metrics(values: Mapping[str, float]) -> str:
    """Hash names and exact values, in the order of the names."""
    exact = {name: float(values[name]).hex() for name in sorted(values)}
    return sha256(json.dumps(exact).encode()).hexdigest()


class Rows:
    """A hash over all rows that the loggers were sent, and how many they were.

    Each hash covers the one before it, so that two values are all a checkpoint has to hold.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sha256 = sha256().hexdigest()

    def add(self, row: Mapping[str, float], step: int) -> None:
        """Add a row at its position."""
        self.sha256 = sha256(f"{self.sha256} {step} {sorted(row.items())!r}".encode()).hexdigest()
        self.count += 1

    def plain(self) -> dict[str, Any]:
        """Return number and hash."""
        return {"rows": self.count, "sha256": self.sha256}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `plain` returned."""
        self.count, self.sha256 = int(state["rows"]), str(state["sha256"])
