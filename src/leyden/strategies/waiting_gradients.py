"""Gradients that wait on a rank to be sent to the ranks they belong to, under accumulation.

Torch adds them up in full on every rank, and keeps them where no parameter shows them: a checkpoint in the middle of
a window has to ask for them, and a resumed run puts them back. Whoever sees nothing but `parameter.grad` would lose
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from leyden.divided import divided_like


def waiting(units: Iterable[FSDPModule], module: nn.Module) -> dict[str, Tensor]:
    """Return what waits in *units*, by the names of the parameters in *module*."""
    found = {}
    for name, parameter in _parameters(units, module):
        unsharded = getattr(parameter, "_unsharded_param", None)
        gradient = parameter.unsharded_accumulated_grad
        if gradient is None and unsharded is not None:
            gradient = unsharded.grad
        if gradient is not None:
            found[name] = gradient.detach()
    return found


def load_waiting(units: Iterable[FSDPModule], module: nn.Module, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """Let *gradients* wait in *units*, and nothing else; returns those that belong to none of them."""
    rest = dict(gradients)
    for name, parameter in _parameters(units, module):
        unsharded = getattr(parameter, "_unsharded_param", None)
        if unsharded is not None:
            unsharded.grad = None
        gradient = rest.pop(name, None)
        if gradient is not None:
            gradient = divided_like(gradient.to(parameter.device, copy=True), unsharded)
        parameter.unsharded_accumulated_grad = gradient
    return rest


def _parameters(units: Iterable[FSDPModule], module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield torch's records of parameters, with their names in *module*."""
    for unit in units:
        unit.reshard()
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    for unit in units:
        for group in unit._get_fsdp_state()._fsdp_param_groups:
            for parameter in group.fsdp_params:
                yield names[id(parameter.sharded_param)], parameter
