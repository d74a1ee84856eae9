"""Everything that steps change, put back when they have been tried.

The copies are in the computer's memory, not the device's: whoever tries how much fits on
the device must not find half of it taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from leyden.tree import tensors

if TYPE_CHECKING:
    from leyden.trainer import Trainer


@contextmanager
def unchanged(trainer: Trainer) -> Iterator[None]:
    """Put weights, optimizers, schedulers, loss scale, counters and what was logged back at the end."""
    module, optimization, metrics = trainer.lightning_module, trainer._optimization, trainer._metrics
    schedulers = list(optimization.schedulers)
    owners = [*(config.scheduler for config in schedulers), trainer.precision_plugin, trainer._progress]
    flags = {child: child.training for child in module.modules()}
    with torch.inference_mode(False), torch.no_grad():
        weights = _copied(module.state_dict())
        buffers = list(_unsaved_buffers(module))
        optimizers = [_copied(optimizer.state_dict()) for optimizer in optimization.optimizers]
        states = [deepcopy(owner.state_dict()) for owner in owners]
        logged = deepcopy(metrics.state_dict(module))
    try:
        yield
    finally:
        optimization.schedulers[:] = schedulers
        module.zero_grad()
        with torch.inference_mode(False), torch.no_grad():
            module.load_state_dict(weights)
            for owner, name, buffer, content in buffers:
                owner._buffers[name] = buffer.copy_(content)
            for optimizer, state in zip(optimization.optimizers, optimizers, strict=True):
                optimizer.load_state_dict(state)
            for each, saved in zip(owners, states, strict=True):
                each.load_state_dict(saved)
            metrics.load_state_dict(logged, module)
        for child, flag in flags.items():
            child.training = flag


def _copied(state: Any) -> Any:
    """Return a deep copy of *state*, its tensors on the CPU; the rates of an optimizer stay where they are."""
    large = state["state"] if "param_groups" in state else state
    return deepcopy(state, {id(each): each.detach().to("cpu", copy=True) for each in tensors(large)})


def _unsaved_buffers(module: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor, Tensor]]:
    """Yield owner, name, tensor and a copy of each buffer that no checkpoint holds."""
    for owner in module.modules():
        for name in owner._non_persistent_buffers_set:
            buffer = owner._buffers[name]
            if buffer is not None:
                yield owner, name, buffer, buffer.detach().to("cpu", copy=True)
