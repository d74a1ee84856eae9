"""A module that ZeRO has divided, or is about to: made whole again, and loaded.

DeepSpeed writes into the parameters and the modules it divides: attributes, methods and another kind of dictionary.
All that is taken out again, so that what comes back is the module that was passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from leyden.divided import in_zero


class Untouched:
    """What a module was like before DeepSpeed got it.

    Args:
        module: The module, in its own number format.
    """

    def __init__(self, module: nn.Module) -> None:
        self._modules = {each: set(vars(each)) for each in module.modules()}
        self._parameters = {each: (each.dtype, dict(vars(each))) for each in module.parameters()}
        self._uncast: dict[nn.Parameter, Tensor] = {}

    def cast(self, dtype: torch.dtype) -> None:
        """Give every parameter another number format until `uncast`."""
        for parameter in self._parameters:
            self._uncast[parameter] = parameter.data
            parameter.data = parameter.data.to(dtype)

    def uncast(self) -> None:
        """Give back what `cast` has taken."""
        for parameter, data in self._uncast.items():
            parameter.data = data

    def restore(self, whole: Callable[[Tensor], Tensor]) -> None:
        """Give every parameter what *whole* returns for it, in its own format and on the CPU, and forget DeepSpeed."""
        found = {each: whole(each).to("cpu", dtype) for each, (dtype, _) in self._parameters.items()}
        for parameter, (_, attributes) in self._parameters.items():
            vars(parameter).clear()
            vars(parameter).update({name: each for name, each in attributes.items() if not _of_deepspeed(name, each)})
            parameter.data, parameter.grad = found[parameter], None
        for module, names in self._modules.items():
            slots = vars(module)
            slots["_parameters"] = dict(slots["_parameters"])
            for name in set(slots) - names:
                del slots[name]


def load(module: nn.Module, state: Mapping[str, Any], strict: bool) -> None:
    """Load weights into a module whose parameters are divided; every rank calls this with the same *state*.

    Raises:
        RuntimeError: If they do not fit.
    """
    from deepspeed.runtime.zero import GatheredParameters

    own = module.state_dict()
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
    if strict and (missing or unexpected):
        raise RuntimeError(f"missing keys: {sorted(missing)}; unexpected keys: {sorted(unexpected)}.")
    parameters: dict[str, Any] = dict(module.named_parameters(remove_duplicate=False))
    divided = {name: each for name, each in parameters.items() if name in state and in_zero(each)}
    for name, parameter in divided.items():
        if state[name].shape != parameter.ds_shape:
            raise RuntimeError(
                f"size mismatch for {name}: {tuple(state[name].shape)} in the checkpoint, {tuple(parameter.ds_shape)} "
                "in the module."
            )
        with GatheredParameters([parameter], modifier_rank=0):
            parameter.data.copy_(state[name])
    rest = {name: each for name, each in state.items() if name not in divided}
    module.load_state_dict(rest, strict=False)


def _of_deepspeed(name: str, value: Any) -> bool:
    """Whether `deepspeed.zero.Init` has given a parameter the attribute *name*."""
    return name.startswith("ds_") or name in ("is_external_param", "nvme_swapper") or callable(value)
