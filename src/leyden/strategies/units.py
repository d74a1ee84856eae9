"""Which modules FSDP divides on their own, and how a module gets ready to be divided.

policy ─► units, the innermost first ─► parameters made, on the device, those of rank 0 ─► divided
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from leyden.divided import is_divided
from leyden.errors import ConfigurationError

Policy = Callable[[nn.Module, bool, int], bool]


def policy_of(given: Any, argument: str) -> Policy:
    """Return a function of a module, whether its children are asked about, and its number of elements.

    Args:
        given: None for no module, layer classes or their names, a function of a module, or a policy of
            `torch.distributed.fsdp.wrap`.
        argument: How it was called.

    Raises:
        ConfigurationError: If it is anything else.
    """
    if given is None:
        return lambda module, recurse, size: recurse
    listed = (given,) if isinstance(given, (type, str)) else given
    if isinstance(listed, Collection) and all(isinstance(each, (type, str)) for each in listed):
        kinds = tuple(each for each in listed if isinstance(each, type))
        names = [each for each in listed if isinstance(each, str)]
        return lambda module, recurse, size: recurse or isinstance(module, kinds) or type(module).__name__ in names
    if not callable(given):
        raise ConfigurationError(
            f"FSDPStrategy({argument}={given!r:.80}): expected a set of layer classes, such as {{nn.TransformerEncoder"
            "Layer}, or a function that tells of a module whether it is meant."
        )
    ask: Callable[..., Any] = given
    if {"recurse", "nonwrapped_numel"} & inspect.signature(given).parameters.keys() or not isinstance(
        given, (type(lambda: None), partial)
    ):
        return lambda module, recurse, size: bool(ask(module=module, recurse=recurse, nonwrapped_numel=size))
    return lambda module, recurse, size: recurse or bool(ask(module))


def chosen(module: nn.Module, policy: Policy) -> list[nn.Module]:
    """Return the modules below *module* that *policy* means, the innermost first."""
    found: list[nn.Module] = []

    def visit(each: nn.Module) -> int:
        size = sum(parameter.numel() for parameter in each.parameters())
        taken = sum(visit(child) for child in each.children()) if policy(each, True, size) else 0
        if each is not module and each not in found and policy(each, False, size - taken):
            found.append(each)
            return size
        return taken

    visit(module)
    return found


def recomputed(module: nn.Module) -> None:
    """Let *module* compute its activations again in the backward pass, in place of keeping them."""
    if "forward" not in vars(module):
        module.forward = partial(checkpoint, module.forward, use_reentrant=False)


def make_ready(unit: nn.Module, device: torch.device, loading: bool) -> None:
    """Give what is not divided yet in *unit* its first values, on *device*: those of rank 0, as data parallelism does.

    Args:
        unit: Whose parameters may be on the meta device: its layers fill them with their ``reset_parameters``.
        device: Where this rank computes.
        loading: Whether a checkpoint is loaded next, so that a layer need not know how.

    Raises:
        ConfigurationError: If a layer on the meta device does not know how.
    """
    for name, layer in unit.named_modules():
        own = [each for each in (*layer.parameters(recurse=False), *layer.buffers(recurse=False)) if each.is_meta]
        if own and not any(map(is_divided, own)):
            _fill(layer, name, device, loading)
    tensors = [each for each in (*unit.parameters(), *unit.buffers()) if not is_divided(each)]
    for tensor in tensors:
        _take_from_rank_zero(tensor, device)


def _fill(layer: nn.Module, name: str, device: torch.device, loading: bool) -> None:
    layer.to_empty(device=device, recurse=False)
    reset: Any = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
    elif not loading:
        raise ConfigurationError(
            f"{name or 'the module'} is a {type(layer).__name__} on the meta device, without values, and has no method "
            "reset_parameters to make them. Define it, build the layer outside of torch.device('meta'), or go on from "
            "a checkpoint."
        )


def _take_from_rank_zero(tensor: Tensor, device: torch.device) -> None:
    moved = tensor.detach().to(device)
    dist.broadcast(moved, 0)
    tensor.data = moved
