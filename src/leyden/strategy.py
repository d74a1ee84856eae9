"""The contract of a strategy: on which devices and processes a module runs.

A strategy offers contexts and leaf actions around lines of the engine; it never owns a
loop and never calls another plug-in. The one exception is forced by torch: `wrap` may
replace the callable of a step once, at set-up, because calling a bare module under data
parallelism skips the synchronisation of gradients without any error.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from leyden import atomic
from leyden.errors import CheckpointError
from leyden.loading import read

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from leyden.module import LightningModule
    from leyden.precision import Precision
    from leyden.trainer import Trainer

_NOTHING: AbstractContextManager[None] = nullcontext()


class Strategy(ABC):
    """Place a module, and speak for its process among the others."""

    global_rank: int = 0
    local_rank: int = 0
    node_rank: int = 0
    world_size: int = 1
    num_processes: int = 1  # ranks on this machine
    to_start: int = 0  # ranks that somebody has to start before a stage can run; 0 where they are running
    device_mesh: Any = None  # over which a module may be divided: torch's `DeviceMesh`
    divides: bool = False  # whether a rank has but a part of the module; it is loaded once it is divided
    saves_together: bool = False  # whether ranks talk to each other in `save`
    owns_update: bool = False  # whether it clips and updates by itself, with gradients that nobody else sees

    @property
    def share(self) -> tuple[int, int]:
        """Which part of the data is for this process, and into how many parts it is divided."""
        return self.global_rank, self.world_size

    @property
    @abstractmethod
    def root_device(self) -> torch.device:
        """The device of this process."""

    @property
    def is_global_zero(self) -> bool:
        """Whether this process is rank 0, the one that writes."""
        return self.global_rank == 0

    @property
    def store(self) -> Any:
        """What the ranks share to tell each other something beside their work; None where there is one rank."""
        return None

    def check(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Refuse a stage that cannot be run, before anything is touched; called first, on every rank."""

    def precision(self, wanted: Precision) -> Precision:
        """Return the precision to compute in, where *wanted* was asked for."""
        return wanted

    def open(self) -> None:
        """Meet the other ranks; called at the beginning of every stage, on every rank."""

    def setup(self, module: LightningModule) -> None:
        """Move *module* to where it runs."""
        module.to(self.root_device)

    def teardown(self, module: LightningModule) -> None:
        """Bring *module* back to the CPU and free what the stage held."""
        module.cpu()

    def optimize(self, module: LightningModule, optimizers: Sequence[Optimizer]) -> None:
        """Get ready to update *module*, once its optimizers are made."""

    def wrap(self, step: Callable[..., Any], module: LightningModule) -> Callable[..., Any]:
        """Return the callable that runs *step* so that gradients are synchronised."""
        return step

    def enclose(self, step: Callable[..., Any], module: LightningModule) -> Callable[..., Any]:
        """Return the callable that runs *step* of an evaluation."""
        return step

    def sync_gradients(self, enabled: bool) -> AbstractContextManager[Any]:
        """Context around forward and backward of one micro-batch; *enabled* on the last of a window."""
        return _NOTHING

    backward: Callable[..., Any] = staticmethod(Tensor.backward)
    """Differentiates a loss, its first argument; called once for each micro-batch."""

    def before_backward(self, loss: Tensor) -> None:
        """Get ready for a backward pass in the middle of a step: manual optimisation."""

    def before_evaluation(self, module: LightningModule) -> None:
        """Get ready for an evaluation within a fit."""

    def load_checkpoint(
        self, checkpoint_path: str | os.PathLike[str], weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the checkpoint that a stage starts from; *weights_only* as in `Trainer.fit`."""
        return read(checkpoint_path, "cpu", weights_only)

    def save(self, checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> None:
        """Write *checkpoint*, whole or not at all; every rank calls this with its own.

        Where `saves_together` is false, rank 0 may call it alone, and in a thread: see `leyden.engine.saving`.

        Raises:
            CheckpointError: If the disk does not take it.
        """
        if self.is_global_zero:
            _write(checkpoint, path)

    def module_state(self, module: LightningModule) -> dict[str, Any]:
        """Return the weights as `save` wants them; every rank calls this."""
        return module.state_dict()

    def load_module_state(self, module: LightningModule, state: dict[str, Any], strict: bool) -> Any:
        """Take back what `module_state` returned, on this number of ranks or another."""
        return module.load_state_dict(state, strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the state of *optimizer* as `save` wants it; every rank calls this."""
        return optimizer.state_dict()

    def load_optimizer_state(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Take back what `optimizer_state` returned, on this number of ranks or another."""
        optimizer.load_state_dict(state)

    def gradients(self, module: LightningModule) -> dict[str, Tensor]:
        """Return what this rank has accumulated, by the names of parameters, each in full; every rank calls this."""
        return {
            name: parameter.grad.detach() for name, parameter in module.named_parameters() if parameter.grad is not None
        }

    def load_gradients(self, module: LightningModule, gradients: dict[str, Tensor]) -> None:
        """Take back what `gradients` returned."""
        parameters = dict(module.named_parameters())
        for name, gradient in gradients.items():
            parameters[name].grad = gradient.to(parameters[name].device, copy=True)

    def reduce(self, tensor: Tensor, op: str = "mean") -> Tensor:
        """Reduce *tensor* over all ranks by ``mean``, ``sum``, ``min`` or ``max``."""
        return tensor

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> Any:
        """Gather the tensors in *data* from all ranks, stacked in a new first dimension."""
        return data

    def broadcast(self, value: Any, src: int = 0) -> Any:
        """Return rank *src*'s *value* on every rank."""
        return value

    def gather_objects(self, value: Any) -> list[Any]:
        """Return every rank's *value* on rank 0, in their order; on the others a list of no meaning."""
        return [value]

    def explained(self, error: BaseException) -> BaseException:
        """Return what to raise for *error*, which ended a stage: where another rank caused it, what that one said."""
        return error

    def barrier(self, name: str | None = None) -> None:
        """Wait for all ranks."""


def _write(checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> None:
    try:
        atomic.write(path, lambda file: torch.save(checkpoint, file))
    except (OSError, RuntimeError) as error:
        # torch tries to end a file that has no room, and fails again
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise CheckpointError(
            f"the checkpoint {os.fspath(path)} cannot be written: {cause}. Expected a place with room for it that this "
            "process may write to. Make room, or save elsewhere; the earlier checkpoints are untouched."
        ) from cause
