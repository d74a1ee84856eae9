"""What strategies that divide a module among ranks have in common: states, checkpoints, and the way through a step.

    state_dict()                          parts (DTensors)
      ├─ one file       every tensor put together, on rank 0      the same file as that of a single process
      └─ a folder       every rank writes its parts               see `leyden.sharded`

Steps are run in the place of the module's `forward` where the module itself is one of torch's `FSDPModule`: its
hooks, which fetch parameters and send gradients away, surround whatever a call of the module does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import partial, wraps
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

from leyden import atomic, sharded
from leyden.divided import divided_like, is_divided, whole
from leyden.errors import CheckpointError
from leyden.loading import read
from leyden.module import LightningModule
from leyden.sharded import Stored
from leyden.strategies.calling import called
from leyden.strategies.distributed import DEFAULT_TIMEOUT, Distributed
from leyden.strategies.waiting_gradients import load_waiting, waiting
from leyden.tree import map_tensors

_NOTHING: AbstractContextManager[None] = nullcontext()


class Sharded(Distributed):
    """Abstract: each rank holds a part of the module.

    Args:
        folders: Whether a checkpoint is a folder of which each rank writes a part; else one file.
        process_group_backend: See `Distributed`.
        timeout: See `Distributed`.
    """

    strategy_name = "sharded"
    divides = True

    def __init__(
        self,
        folders: bool,
        process_group_backend: str | None = None,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT,
    ) -> None:
        super().__init__(process_group_backend, timeout)
        self._folders = self.saves_together = folders
        self._casts_batches = False
        self._roots: list[FSDPModule] = []
        self._sync = True

    def _begin(self, module: LightningModule) -> None:
        """Find what torch has to be told about, and forget the gradients of an earlier fit."""
        self._roots = [each for each in module.modules() if isinstance(each, FSDPModule)]
        self._sync = True
        for each in self._roots:
            each.set_requires_gradient_sync(True, recurse=False)
        load_waiting(self._roots, module, {})

    def teardown(self, module: LightningModule) -> None:
        """Leave *module* divided: the whole of it may not fit anywhere."""
        if isinstance(module, FSDPModule):
            module.reshard()

    # --- a step ------------------------------------------------------------------------------

    def wrap(self, step: Callable[..., Any], module: LightningModule) -> Callable[..., Any]:
        """Run *step* as a call of the module, so that torch hears of it."""
        if not isinstance(module, FSDPModule) or not module.automatic_optimization:
            return step

        @wraps(step)
        def run(*args: Any, **kwargs: Any) -> Any:
            return self._called(module, step, args, kwargs)

        return run

    def enclose(self, step: Callable[..., Any], module: LightningModule) -> Callable[..., Any]:
        """Run a step of an evaluation as a call of the module, and give its parameters back afterwards."""
        if not isinstance(module, FSDPModule):
            return step

        @wraps(step)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return self._called(module, step, args, kwargs)
            finally:
                module.reshard()

        return run

    def _called(self, module: nn.Module, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run *step* as a call of *module*; torch sees a batch only where it is to cast it."""
        if self._casts_batches:
            return called(module, step, *args, **kwargs)
        return called(module, partial(step, *args, **kwargs))

    def sync_gradients(self, enabled: bool) -> AbstractContextManager[Any]:
        """Send gradients to the ranks they belong to on the last micro-batch of a window only."""
        if enabled is not self._sync:
            self._sync = enabled
            for each in self._roots:
                each.set_requires_gradient_sync(enabled, recurse=False)
        return _NOTHING

    def before_evaluation(self, module: LightningModule) -> None:
        """Give every rank the buffers of rank 0, which a checkpoint would hold: running statistics say."""
        for buffer in module.buffers():
            if not is_divided(buffer):
                dist.broadcast(buffer, 0)

    # --- states ------------------------------------------------------------------------------

    def module_state(self, module: LightningModule) -> dict[str, Any]:
        """Return the weights: parts of them for a folder; else whole ones, on rank 0."""
        return self._for_saving(module.state_dict())

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the state of *optimizer*: parts of it for a folder; else all of it, on rank 0."""
        return self._for_saving(optimizer.state_dict())

    def _for_saving(self, state: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = state if self._folders else map_tensors(state, self._at_rank_zero)
        return found

    def _at_rank_zero(self, tensor: Tensor) -> Tensor:
        """Put the parts of *tensor* together, one tensor after the other; other ranks keep theirs."""
        found = whole(tensor)
        return found.cpu() if self.is_global_zero else tensor

    def load_module_state(self, module: LightningModule, state: dict[str, Any], strict: bool) -> Any:
        """Take the parts of this rank out of *state*."""
        own = module.state_dict()
        given = _read({name: (value, own.get(name)) for name, value in state.items()})
        return module.load_state_dict(given, strict=strict)

    def load_optimizer_state(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Take the parts of this rank out of *state*."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        numbers = [number for group in state["param_groups"] for number in group["params"]]
        owners = dict(zip(numbers, parameters, strict=False))
        wanted = {
            (number, name): (value, _like(value, owners.get(number)))
            for number, values in state["state"].items()
            for name, value in values.items()
        }
        states: dict[Any, dict[str, Any]] = {number: {} for number in state["state"]}
        for (number, name), value in _read(wanted).items():
            states[number][name] = value
        optimizer.load_state_dict({**state, "state": states})

    def gradients(self, module: LightningModule) -> dict[str, Tensor]:
        """Return what this rank has accumulated, each gradient in full."""
        held = {**super().gradients(module), **waiting(self._roots, module)}
        return {name: whole(gradient) for name, gradient in held.items()}

    def load_gradients(self, module: LightningModule, gradients: dict[str, Tensor]) -> None:
        """Take back what `gradients` returned: where it was waiting to be sent away."""
        rest = gradients
        if module.automatic_optimization:
            rest = load_waiting(self._roots, module, gradients)
        for name, parameter in module.named_parameters():
            if name in rest:
                parameter.grad = divided_like(rest[name].to(parameter.device, copy=True), parameter)

    # --- checkpoints -------------------------------------------------------------------------

    def load_checkpoint(
        self, checkpoint_path: str | os.PathLike[str], weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; of a folder no more than what this rank needs, which is read later."""
        return read(checkpoint_path, "cpu", weights_only, whole=False)

    def save(self, checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> None:
        """Write *checkpoint*, whole or not at all."""
        if not self._folders:
            super().save(checkpoint, path)
            return
        tensors, rest = sharded.split(checkpoint)
        scratch, target = sharded.scratch_of(path), Path(path)
        self._on_rank_zero(lambda: _empty(scratch), target)
        self._check_seen(scratch, target)
        own = {name: each for name, each in tensors.items() if is_divided(each) or self.is_global_zero}
        sharded.write(own, scratch)
        self._on_rank_zero(lambda: _complete(rest, scratch, target), target)

    def _on_rank_zero(self, action: Callable[[], None], path: Path) -> None:
        """Let rank 0 do something to the disk; where it cannot, all ranks raise.

        Raises:
            CheckpointError: If it cannot.
        """
        problem: BaseException | None = None
        if self.is_global_zero:
            try:
                action()
            except Exception as error:  # whatever it is, the others must hear of it
                problem = error
        told = self.broadcast(None if problem is None else f"{type(problem).__name__}: {problem}")
        if told is not None:
            raise CheckpointError(
                f"the checkpoint {path} cannot be written: {told}. Make room, or save elsewhere; the earlier "
                "checkpoints are untouched."
            ) from problem

    def _check_seen(self, scratch: Path, path: Path) -> None:
        seen = torch.tensor(float(scratch.is_dir()), device=self.root_device)
        if not Distributed.reduce(self, seen, "min"):
            raise CheckpointError(
                f"the checkpoint {path} cannot be written: not every rank sees the folder that rank 0 has made. "
                "Expected a file system that all machines share. Save there, or write one file: "
                "FSDPStrategy(state_dict_type='full'), ModelParallelStrategy(save_distributed_checkpoint=False)."
            )


def _read(wanted: dict[Any, tuple[Any, Any]]) -> dict[Any, Any]:
    """Return values, each divided as its counterpart is; what lies in a folder is read into the counterpart."""
    found: dict[Any, Any] = {}
    lying: dict[str, Tensor] = {}
    folders: list[Path] = []
    for key, (value, other) in wanted.items():
        if not isinstance(value, Stored):
            found[key] = divided_like(value, other)
            continue
        found[key] = torch.empty(value.shape, dtype=value.dtype, device="meta")  # what does not fit is told by torch
        if isinstance(other, Tensor) and other.shape == value.shape:
            folders.append(value.folder)
            found[key] = lying[value.name] = other
    if lying:
        sharded.fill(folders[0], lying)
    return found


def _like(value: Any, parameter: Any) -> Any:
    """Return a tensor into which a state of *parameter* can be read; for one in memory, the parameter."""
    if not isinstance(value, Stored):
        return parameter
    whole_one = torch.empty(value.shape, dtype=value.dtype)
    if not is_divided(parameter) or not value.shape:
        return whole_one
    if value.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=value.dtype).detach()
    return divided_like(whole_one, parameter)


def _empty(scratch: Path) -> None:
    atomic.remove(scratch)
    scratch.mkdir(parents=True)


def _complete(rest: dict[str, Any], scratch: Path, target: Path) -> None:
    """Write what is not divided, and give the folder its name."""
    content = sharded.seal(rest, scratch)
    atomic.write(scratch / sharded.META, lambda file: torch.save(content, file))
    atomic.put(scratch, target)
