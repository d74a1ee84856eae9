"""What a ZeRO optimizer holds, one whole tensor after the other: 32-bit weights and the states of the optimizer.

A rank's parts of many parameters lie behind each other in a flat tensor, which is what the optimizer updates:

    parameters      [   a   ][ b ][     c     ]
    ranks           |----- 0 -----|----- 1 -----|      stages 1 and 2: a group of parameters is cut anywhere
                    |0--|1--||0|1||--0--|--1--|        stage 3: every parameter is cut

So a checkpoint holds what that of a single process does, and any number of ranks goes on from it, with DeepSpeed or
without. See Rajbhandari et al., ZeRO: Memory Optimizations Toward Training Trillion Parameter Models, SC 2020.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer


class Part(NamedTuple):
    """What this rank holds of a parameter.

    Attributes:
        flat: Where it lies, with parts of other parameters; shape ``(N,)``.
        start: At which element of *flat*.
        place: Which element of the flattened parameter is its first one.
        length: How many elements it has, from 0 on.
    """

    flat: Tensor
    start: int
    place: int
    length: int


class ZeroStates:
    """The states of one ZeRO optimizer.

    Args:
        zero: DeepSpeed's optimizer, as `deepspeed.initialize` returned it.
        groups: The parameters of each group of the module's optimizer, from before DeepSpeed took them over.
        shapes: Of these parameters, whole.
        stage: 1, 2 or 3.
    """

    def __init__(
        self, zero: Any, groups: Sequence[Sequence[Tensor]], shapes: Mapping[Tensor, torch.Size], stage: int
    ) -> None:
        self._optimizer: Optimizer = zero.optimizer
        self._groups = groups
        self._shapes = shapes
        self._flats: list[Tensor] = (
            zero.fp32_partitioned_groups_flat if stage == 3 else zero.single_partition_of_fp32_groups
        )
        find = _cut_parameter if stage == 3 else _cut_group
        trained = [each for group in groups for each in group if each.requires_grad]
        self._parts = {each: find(zero, each, shapes[each].numel()) for each in trained}

    def holds(self, parameter: Tensor) -> bool:
        """Whether *parameter* is one of those that are updated."""
        return parameter in self._parts

    def whole(self, parameter: Tensor, key: str | None = None) -> Tensor:
        """Return the weights of *parameter* in 32 bits, or the state *key* of it; every rank calls this.

        Returns:
            A tensor of the parameter's shape, float32, on the device of the ranks.
        """
        part, shape = self._parts[parameter], self._shapes[parameter]
        found = torch.zeros(shape.numel(), dtype=torch.float32, device=parameter.device)
        if part is not None:
            found[part.place : part.place + part.length] = self._source(part, key)[
                part.start : part.start + part.length
            ]
        dist.all_reduce(found)
        return found.view(shape)

    def fill(self, parameter: Tensor, value: Tensor, key: str | None = None) -> None:
        """Take this rank's part of *value*, which `whole` returned."""
        part = self._parts[parameter]
        if part is not None:
            mine = value.detach().reshape(-1)[part.place : part.place + part.length]
            self._source(part, key)[part.start : part.start + part.length] = mine.to(part.flat.device, part.flat.dtype)

    def _source(self, part: Part, key: str | None) -> Tensor:
        found: Tensor = part.flat if key is None else self._optimizer.state[part.flat][key]
        return found.detach()

    def state_dict(self, kept: Any) -> dict[str, Any]:
        """Return the state of the optimizer as torch's own would be, had nothing been divided; every rank calls this.

        Args:
            kept: Called with each whole tensor; returns what is to be kept of it.
        """
        divided, shared = self._keys()
        states: dict[int, dict[str, Any]] = {}
        groups, number = [], 0
        for options, parameters in zip(self._optimizer.param_groups, self._groups, strict=True):
            for at, parameter in enumerate(parameters, number):
                if parameter in self._parts and (divided or shared):
                    own = {key: _copied(value) for key, value in shared.items()}  # torch would count in a shared one
                    states[at] = {**own, **{key: kept(self.whole(parameter, key)) for key in divided}}
            numbers = list(range(number, number + len(parameters)))
            groups.append({**_without_parameters(options), "params": numbers})
            number += len(parameters)
        return {"state": states, "param_groups": groups}

    def _keys(self) -> tuple[list[str], dict[str, Any]]:
        """Return the names of states that are divided, and the states that all parameters share: a count of updates."""
        for flat in self._flats:
            state = self._optimizer.state.get(flat)
            if state:
                divided = [key for key, value in state.items() if _as_long(value, flat)]
                return divided, {key: value for key, value in state.items() if key not in divided}
        return [], {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned, or what torch's own optimizer did.

        Raises:
            ValueError: If it has other groups of parameters.
        """
        numbers = [len(group["params"]) for group in state["param_groups"]]
        own = [len(group) for group in self._groups]
        if numbers != own:
            raise ValueError(f"loaded state dict has groups of {numbers} parameters, the optimizer has groups of {own}")
        parameters = [each for group in self._groups for each in group]
        order = [number for group in state["param_groups"] for number in group["params"]]
        found = {parameters[at]: state["state"][number] for at, number in enumerate(order) if number in state["state"]}
        for flat in self._flats:
            self._optimizer.state[flat] = self._empty(flat, found)
        for parameter, values in found.items():
            for key, value in values.items():
                if isinstance(value, Tensor) and value.ndim and parameter in self._parts:
                    self.fill(parameter, value, key)
        for options, saved in zip(self._optimizer.param_groups, state["param_groups"], strict=True):
            options.update(_without_parameters(saved))

    def _empty(self, flat: Tensor, states: Mapping[Tensor, Mapping[str, Any]]) -> dict[str, Any]:
        """Return a state for *flat* with what all parameters share, and zeros for what is divided."""
        first: Mapping[str, Any] = next(iter(states.values()), {})
        on_device = any(group.get("fused") or group.get("capturable") for group in self._optimizer.param_groups)
        found: dict[str, Any] = {}
        for key, value in first.items():
            if isinstance(value, Tensor) and value.ndim:
                found[key] = torch.zeros_like(flat).detach()
            else:
                found[key] = _copied(value, flat.device if on_device else None)
        return found


def _cut_group(zero: Any, parameter: Any, size: int) -> Part | None:
    """Stages 1 and 2: DeepSpeed has written at each parameter which part of it this rank updates."""
    mapping = parameter._hp_mapping
    if mapping is None:
        return None
    flat, here, there = (
        zero.single_partition_of_fp32_groups[mapping.param_group_index],
        mapping.hp_fragment_address,
        mapping.lp_fragment_address,
    )
    return Part(flat, here.start, there.start, here.numel)


def _cut_parameter(zero: Any, parameter: Any, size: int) -> Part | None:
    """Stage 3: all ranks have parts of the same length, the last ones beyond the end of the parameter."""
    group, start, length = zero.grad_position[zero.get_param_id(parameter)]
    place = min(length * dist.get_rank(), size)
    return Part(zero.fp32_partitioned_groups_flat[group], start, place, min(length, size - place))


def _as_long(value: Any, flat: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == flat.shape


def _copied(value: Any, device: torch.device | None = None) -> Any:
    return value.detach().to(device, copy=True) if isinstance(value, Tensor) else value


def _without_parameters(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != "params"}


def shapes_of(parameters: Iterable[Tensor]) -> dict[Tensor, torch.Size]:
    """Return the whole shape of each parameter, those that are divided already included."""
    return {each: vars(each).get("ds_shape", each.shape) for each in parameters}
