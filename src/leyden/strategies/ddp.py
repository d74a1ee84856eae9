"""Data parallelism: every rank has the whole model and its own part of each batch.

    training_step ─► DistributedDataParallel ─► backward: gradients averaged while they are computed ─► the same update

See Li et al., PyTorch Distributed: Experiences on Accelerating Data Parallel Training, VLDB 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from leyden.errors import ConfigurationError
from leyden.module import LightningModule
from leyden.strategies.distributed import DEFAULT_TIMEOUT, Distributed

_NOTHING: AbstractContextManager[None] = nullcontext()


class DDPStrategy(Distributed):
    """Average gradients over all ranks.

    Args:
        process_group_backend: See `Distributed`.
        timeout: See `Distributed`.
        ddp_comm_state: First argument of the communication hook.
        ddp_comm_hook: Compresses gradients on their way, ``torch.distributed.algorithms.ddp_comm_hooks``
            ``.default_hooks.bf16_compress_hook`` say.
        ddp_comm_wrapper: Wraps the hook, `bf16_compress_wrapper` say.
        start_method: How ranks are started where nobody has: ``"spawn"``.
        **kwargs: Arguments of `torch.nn.parallel.DistributedDataParallel`: ``find_unused_parameters``,
            ``static_graph``, ``gradient_as_bucket_view``, ``bucket_cap_mb`` ...
    """

    strategy_name = "ddp"

    def __init__(
        self,
        process_group_backend: str | None = None,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT,
        ddp_comm_state: object | None = None,
        ddp_comm_hook: Callable[..., Any] | None = None,
        ddp_comm_wrapper: Callable[..., Any] | None = None,
        start_method: str = "spawn",
        **kwargs: Any,
    ) -> None:
        super().__init__(process_group_backend, timeout)
        self._comm = (ddp_comm_state, ddp_comm_hook, ddp_comm_wrapper)
        self.start_method = start_method
        self._options = kwargs
        self._model: DistributedDataParallel | None = None

    def wrap(self, step: Callable[..., Any], module: LightningModule) -> Callable[..., Any]:
        """Run *step* inside of torch's wrapper, which hears of every gradient."""
        self._model = None
        if not any(parameter.requires_grad for parameter in module.parameters()):
            return step
        manual = not module.automatic_optimization

        def forward(*args: Any, **kwargs: Any) -> Any:
            output = step(*args, **kwargs)
            if manual:  # its backward passes are over
                model.require_backward_grad_sync = False
            return output

        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return model(*args, **kwargs)
            finally:
                model.require_backward_grad_sync = model.require_forward_param_sync = True

        ids = None if self.root_device.type == "cpu" else [self.root_device.index]
        self._model = model = DistributedDataParallel(_Step(module, forward), device_ids=ids, **self._options)
        self._register_hook(model)
        return run if manual else model

    def _register_hook(self, model: DistributedDataParallel) -> None:
        state, hook, wrapper = self._comm
        if hook is None:
            return
        try:
            model.register_comm_hook(state, hook if wrapper is None else wrapper(hook))
        except TypeError as error:
            raise ConfigurationError(
                f"DDPStrategy(ddp_comm_hook={getattr(hook, '__name__', hook)}) cannot be used on "
                f"{self.root_device.type} with {self.process_group_backend}: {error}. Leave it out there, or take "
                "fp16_compress_hook, which gloo carries, too."
            ) from error

    def sync_gradients(self, enabled: bool) -> AbstractContextManager[Any]:
        """Average gradients on the last micro-batch of a window only."""
        return _NOTHING if enabled or self._model is None else self._model.no_sync()

    def before_backward(self, loss: Tensor) -> None:
        """Tell the reducer of a backward pass that begins before the step has returned."""
        model = self._model
        if model is None or not model.require_backward_grad_sync:
            return
        model.reducer._rebuild_buckets()
        model.reducer.prepare_for_backward([loss] if model.find_unused_parameters else [])

    def before_evaluation(self, module: LightningModule) -> None:
        """Give every rank the buffers of rank 0, which a checkpoint would hold: running statistics say."""
        if self._model is not None and self._model.broadcast_buffers:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def teardown(self, module: LightningModule) -> None:
        """Drop torch's wrapper, and bring *module* back to the CPU."""
        self._model = None
        super().teardown(module)


class _Step(nn.Module):
    """A training step in the place of `forward`, over the parameters of its module."""

    def __init__(self, module: LightningModule, step: Callable[..., Any]) -> None:
        super().__init__()
        self.module = module
        self.step = step

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the step."""
        return self.step(*args, **kwargs)
