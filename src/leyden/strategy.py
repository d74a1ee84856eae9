"""The contract of a strategy: on which devices and processes a module runs.

A strategy offers contexts and leaf actions around lines of the engine; it never owns a
loop and never calls another plug-in. The one exception is forced by torch: `wrap` may
replace the callable of a step once, at set-up, because calling a bare module under data
parallelism skips the synchronisation of gradients without any error.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from leyden.loading import read

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from leyden.module import LightningModule

_NOTHING: AbstractContextManager[None] = nullcontext()


class Strategy(ABC):
    """Place a module, and speak for its process among the others."""

    global_rank: int = 0
    local_rank: int = 0
    node_rank: int = 0
    world_size: int = 1

    @property
    @abstractmethod
    def root_device(self) -> torch.device:
        """The device of this process."""

    @property
    def is_global_zero(self) -> bool:
        """Whether this process is rank 0, the one that writes."""
        return self.global_rank == 0

    def setup(self, module: LightningModule) -> None:
        """Move *module* to where it runs."""
        module.to(self.root_device)

    def teardown(self, module: LightningModule) -> None:
        """Bring *module* back to the CPU and free what the stage held."""
        module.cpu()

    def wrap(self, step: Callable[..., Any], module: LightningModule) -> Callable[..., Any]:
        """Return the callable that runs *step* so that gradients are synchronised."""
        return step

    def sync_gradients(self, enabled: bool) -> AbstractContextManager[Any]:
        """Context around forward and backward of one micro-batch; *enabled* on the last of a window."""
        return _NOTHING

    def load_checkpoint(
        self, checkpoint_path: str | os.PathLike[str], weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the checkpoint that a stage starts from; *weights_only* as in `Trainer.fit`."""
        return read(checkpoint_path, "cpu", weights_only)

    def reduce(self, tensor: Tensor, op: str = "mean") -> Tensor:
        """Reduce *tensor* over all ranks by ``mean``, ``sum``, ``min`` or ``max``."""
        return tensor

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> Any:
        """Gather the tensors in *data* from all ranks, stacked in a new first dimension."""
        return data

    def broadcast(self, value: Any, src: int = 0) -> Any:
        """Return rank *src*'s *value* on every rank."""
        return value

    def barrier(self, name: str | None = None) -> None:
        """Wait for all ranks."""
