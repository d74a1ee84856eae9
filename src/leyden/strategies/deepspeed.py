"""DeepSpeed's ZeRO: optimizer states (stage 1), gradients (2) and parameters (3) divided among ranks.

    configure_optimizers ─► deepspeed.initialize ─► [weights and states of a checkpoint]
    training_step through the engine ─► engine.backward ─► ... ─► engine.step: clip, update, give to the other ranks
    teardown ─► the module as it was passed in, every rank with the whole of it

DeepSpeed is asked for what it alone can do. Windows of accumulation, schedulers and the division of the loss stay
the engine's, and checkpoints are those of a single process (`leyden.strategies.zero_states`): plain tensors in one
file, where DeepSpeed's own would be folders of pickles that execute code when they are read.

The package is an optional extra: ``pip install "leyden[deepspeed]"``.
"""

from __future__ import annotations

import logging
import os
import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from leyden import divided
from leyden.module import LightningModule
from leyden.precision import Precision
from leyden.state import TrainerStatus
from leyden.strategies import deepspeed_limits as limits
from leyden.strategies import deepspeed_options as options
from leyden.strategies.calling import called_through
from leyden.strategies.deepspeed_precision import DeepSpeedPrecision
from leyden.strategies.distributed import DEFAULT_TIMEOUT, Distributed
from leyden.strategies.zero_modules import Untouched, load
from leyden.strategies.zero_states import ZeroStates, shapes_of
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from leyden.trainer import Trainer

_NOTHING: AbstractContextManager[None] = nullcontext()


class DeepSpeedStrategy(Distributed):
    """Divide what a module is trained with among ranks, by DeepSpeed.

    Args:
        zero_optimization: Has to be True: without it nothing is divided.
        stage: 1 divides the states of the optimizer, 2 gradients, too, 3 parameters, too.
        remote_device: Where layers are that ``configure_model`` makes, in stage 3: ``"cpu"``, or None for the device.
        offload_optimizer: Whether the optimizer's states are kept, and updated, on *offload_optimizer_device*.
        offload_parameters: Whether parameters are kept on *offload_params_device*; in stage 3.
        offload_params_device: ``"cpu"``.
        offload_optimizer_device: ``"cpu"``.
        pin_memory: Whether what is kept there is page-locked.
        sub_group_size: Elements that are updated at once, in stage 3.
        contiguous_gradients: Whether gradients are copied into one piece of memory as they come.
        overlap_comm: Whether gradients are sent while others are computed.
        allgather_partitions: Whether updated parameters are gathered, instead of broadcast one by one.
        reduce_scatter: Whether gradients are reduced to the ranks they belong to only.
        allgather_bucket_size: Elements gathered at once.
        reduce_bucket_size: Elements reduced at once.
        zero_allow_untested_optimizer: Whether optimizers are accepted that DeepSpeed was not tested with.
        logging_batch_size_per_gpu: Samples of a batch, for DeepSpeed's own log of its throughput; ``"auto"`` says 1.
        config: DeepSpeed's configuration in the place of all these arguments: a dict, or the path of a JSON file; by
            default of the file that ``PL_DEEPSPEED_CONFIG_PATH`` names, if it names one.
        logging_level: Of DeepSpeed's own log.
        loss_scale: For losses in fp16; 0 adapts it.
        initial_scale_power: It begins with 2 to the power of this.
        loss_scale_window: Updates without overflow after which it is raised.
        hysteresis: Overflows after which it is lowered.
        min_loss_scale: Below which it does not fall.
        partition_activations: Whether `deepspeed.checkpointing` divides what it keeps among ranks.
        cpu_checkpointing: Whether it keeps that on the CPU.
        contiguous_memory_optimization: Whether it keeps that in one piece of memory.
        synchronize_checkpoint_boundary: Whether it waits for the device where it begins and ends.
        process_group_backend: See `Distributed`.
        timeout: See `Distributed`.
        start_method: How ranks are started where nobody has: ``"spawn"``.
        **kwargs: Refused: Lightning's other arguments, with what to do instead.

    Raises:
        ConfigurationError: If DeepSpeed is not installed, or an argument has another value than these.
    """

    strategy_name = "deepspeed"
    divides = True  # but for the time of an evaluation
    owns_update = True

    def __init__(
        self,
        *,
        zero_optimization: bool = True,
        stage: int = 2,
        remote_device: str | None = None,
        offload_optimizer: bool = False,
        offload_parameters: bool = False,
        offload_params_device: str = "cpu",
        offload_optimizer_device: str = "cpu",
        pin_memory: bool = False,
        sub_group_size: int = 1_000_000_000_000,
        contiguous_gradients: bool = True,
        overlap_comm: bool = True,
        allgather_partitions: bool = True,
        reduce_scatter: bool = True,
        allgather_bucket_size: int = 200_000_000,
        reduce_bucket_size: int = 200_000_000,
        zero_allow_untested_optimizer: bool = True,
        logging_batch_size_per_gpu: int | str = "auto",
        config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        logging_level: int = logging.WARNING,
        loss_scale: float = 0,
        initial_scale_power: int = 16,
        loss_scale_window: int = 1000,
        hysteresis: int = 2,
        min_loss_scale: int = 1,
        partition_activations: bool = False,
        cpu_checkpointing: bool = False,
        contiguous_memory_optimization: bool = False,
        synchronize_checkpoint_boundary: bool = False,
        process_group_backend: str | None = None,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT,
        start_method: str = "spawn",
        **kwargs: Any,
    ) -> None:
        super().__init__(process_group_backend, timeout)
        options.refuse_unsupported(kwargs)
        found = options.given(config)
        if found is None:
            zero = {
                "contiguous_gradients": contiguous_gradients,
                "overlap_comm": overlap_comm,
                "allgather_partitions": allgather_partitions,
                "reduce_scatter": reduce_scatter,
                "allgather_bucket_size": allgather_bucket_size,
                "reduce_bucket_size": reduce_bucket_size,
                "sub_group_size": sub_group_size,
            }
            activations = {
                "partition_activations": partition_activations,
                "cpu_checkpointing": cpu_checkpointing,
                "contiguous_memory_optimization": contiguous_memory_optimization,
                "synchronize_checkpoint_boundary": synchronize_checkpoint_boundary,
            }
            offload = (
                offload_optimizer_device if offload_optimizer else None,
                offload_params_device if offload_parameters else None,
            )
            stage = stage if zero_optimization else 0
            found = options.made(stage, zero, offload, pin_memory, zero_allow_untested_optimizer, activations)
        batch = 1 if logging_batch_size_per_gpu == "auto" else logging_batch_size_per_gpu
        self.config = {"train_micro_batch_size_per_gpu": batch, **options.checked(found)}
        section = self.config["zero_optimization"]
        self.stage: int = section["stage"]
        limits.check_installed(self.stage, offload="offload_optimizer" in section)
        self.start_method = start_method
        self._remote_device = remote_device
        self._logging_level = logging_level
        self._loss_scaling = {
            "loss_scale": loss_scale,
            "initial_scale_power": initial_scale_power,
            "loss_scale_window": loss_scale_window,
            "hysteresis": hysteresis,
            "min_loss_scale": min_loss_scale,
        }
        self._half: torch.dtype | None = None
        self._engine: Any = None
        self._states: ZeroStates | None = None  # of the latest fit: it may be saved after its end
        self._untouched: Untouched | None = None
        self._weights: dict[str, Any] = {}  # of the checkpoint that a fit starts from
        self._length_known = False

    @property
    def deepspeed_engine(self) -> Any:
        """DeepSpeed's engine, while a fit runs."""
        return self._engine

    # --- a stage -----------------------------------------------------------------------------

    def check(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Refuse what DeepSpeed cannot do; an evaluation by itself has the whole module on every rank."""
        self.divides = stage == "fit"
        if self.divides:
            limits.check_module(trainer, module)

    def precision(self, wanted: Precision) -> Precision:
        """Leave number formats to DeepSpeed."""
        found = DeepSpeedPrecision(wanted.name, self._update, self._late, lambda: self._engine.optimizer.loss_scaler)
        self._half = found.half
        return found

    def open(self) -> None:
        """Meet the other ranks, and get the library ready."""
        super().open()
        os.environ.setdefault("LOCAL_RANK", str(self.local_rank))  # it wants to be told
        library = _library(self._device.type)
        library.utils.logging.logger.setLevel(self._logging_level)

    def setup(self, module: LightningModule) -> None:
        """Move *module* to the device of this process; for an evaluation in 16 bits, where it is computed in them."""
        self._states = None
        self._untouched = Untouched(module)
        if not any(map(divided.in_zero, module.parameters())):
            super().setup(module)
        if not self.divides and self._half is not None:
            self._untouched.cast(self._half)

    def optimize(self, module: LightningModule, optimizers: Sequence[Optimizer]) -> None:
        """Divide *module* and its optimizer.

        Raises:
            ConfigurationError: If there is another number of optimizers than one, or one DeepSpeed would replace.
        """
        optimizer = limits.only(module, optimizers)
        groups = [list(group["params"]) for group in optimizer.param_groups]
        shapes = shapes_of(each for group in groups for each in group)
        library = _library(self._device.type)
        self._engine, zero, _, _ = library.initialize(
            args=Namespace(device_rank=self._device.index or 0),
            model=module,
            optimizer=optimizer,
            model_parameters=[each for each in module.parameters() if each.requires_grad],
            config=self._config_of(module.trainer),
            dist_init_required=False,
        )
        if activations := options.activations_of(self.config):
            library.checkpointing.configure(None, **activations)
        vars(optimizer).update(add_param_group=limits.refuse_group, zero_grad=_leave)
        self._states = ZeroStates(zero, groups, shapes, self.stage)
        for name, parameter in module.named_parameters():  # in 32 bits, of which the module got 16
            if name in self._weights and self._states.holds(parameter):
                self._states.fill(parameter, self._weights[name])
        self._weights, self._length_known = {}, False

    def _config_of(self, trainer: Trainer) -> dict[str, Any]:
        config = {"gradient_clipping": trainer.gradient_clip_val or 0.0, **self.config}
        config["gradient_accumulation_steps"] = trainer.accumulate_grad_batches
        return {**config, **self._formats()}

    def _formats(self) -> dict[str, Any]:
        if self._half is torch.float16:
            return {"fp16": {"enabled": True, **self._loss_scaling}}
        return {"bf16": {"enabled": True}} if self._half is torch.bfloat16 else {}

    def _late(self) -> AbstractContextManager[Any]:
        """Context in which layers are divided as they are made."""
        if self.stage != 3 or not self.divides:
            return nullcontext()
        init: AbstractContextManager[Any] = _library(self._device.type).zero.Init(
            remote_device=self._remote_device,
            config_dict_or_path={**self.config, **self._formats(), "gradient_accumulation_steps": 1},
        )
        return init

    def teardown(self, module: LightningModule) -> None:
        """Give the module back as it was passed in, and end DeepSpeed's engine.

        After an error the other ranks may have gone, so that nothing is put together with them.
        """
        untouched, engine = self._untouched, self._engine
        self._untouched = self._engine = None
        if untouched is not None:
            untouched.uncast()
        if engine is not None:
            if untouched is not None and module.trainer.state.status is TrainerStatus.RUNNING:
                untouched.restore(self._whole)
            engine.destroy()
        super().teardown(module)

    # --- a step ------------------------------------------------------------------------------

    def wrap(self, step: Callable[..., Any], module: LightningModule) -> Callable[..., Any]:
        """Run *step* as a call of DeepSpeed's engine, which fetches parameters and counts forward passes."""
        engine = self._engine

        @wraps(step)
        def run(*args: Any, **kwargs: Any) -> Any:
            return called_through(engine, module, step, args, kwargs)

        return run

    def enclose(self, step: Callable[..., Any], module: LightningModule) -> Callable[..., Any]:
        """Run a step of an evaluation as a call of the module, where parameters have to be fetched for it."""
        if self._engine is None or self.stage != 3:
            return step

        @wraps(step)
        def run(*args: Any, **kwargs: Any) -> Any:
            return called_through(module, module, step, args, kwargs)

        return run

    def sync_gradients(self, enabled: bool) -> AbstractContextManager[Any]:
        """Tell DeepSpeed whether this micro-batch ends its window."""
        if not enabled and not self._length_known:
            limits.check_length(self._engine.module.trainer)
            self._length_known = True
        self._engine.set_gradient_accumulation_boundary(enabled)
        return _NOTHING

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Differentiate *loss*, which is divided by the size of its window already."""
        self._engine.backward(loss, *args, scale_wrt_gas=False, **kwargs)

    def _update(self) -> None:
        self._engine.step()

    def before_evaluation(self, module: LightningModule) -> None:
        """Give every rank the buffers of rank 0, which a checkpoint would hold: running statistics say."""
        for buffer in module.buffers():
            dist.broadcast(buffer, 0)

    # --- states ------------------------------------------------------------------------------

    def _whole(self, parameter: Tensor) -> Tensor:
        """Return *parameter* in full, in 32 bits where it is trained."""
        if self._states is not None and self._states.holds(parameter):
            return self._states.whole(parameter)
        return divided.whole(parameter).detach()

    def _kept(self, tensor: Tensor) -> Tensor:
        return tensor.cpu() if self.is_global_zero else tensor.new_empty(0)

    def module_state(self, module: LightningModule) -> dict[str, Any]:
        """Return the weights, on rank 0: whole, and in 32 bits."""
        found = module.state_dict()
        for name, parameter in module.named_parameters(remove_duplicate=False):
            if self._engine is not None and name in found:
                found[name] = self._kept(self._whole(parameter))
        return found

    def load_module_state(self, module: LightningModule, state: dict[str, Any], strict: bool) -> Any:
        """Take back what `module_state` returned; the optimizer gets it later, in 32 bits."""
        self._weights = state if self.divides else {}
        if any(map(divided.in_zero, module.parameters())):
            return load(module, state, strict)
        return module.load_state_dict(state, strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the state of *optimizer* as if nothing were divided, on rank 0."""
        return optimizer.state_dict() if self._states is None else self._states.state_dict(self._kept)

    def load_optimizer_state(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Take back what `optimizer_state` returned, on this number of ranks or another."""
        if self._states is not None:
            self._states.load_state_dict(state)

    def gradients(self, module: LightningModule) -> dict[str, Tensor]:
        """Return nothing: DeepSpeed keeps the gradients of an unfinished window to itself."""
        warn_once(
            "a checkpoint was saved in the middle of a window of accumulated gradients, which DeepSpeed keeps to "
            "itself: a run that goes on from it lacks them in its first update. Save at the end of a window: let "
            "val_check_interval be a multiple of accumulate_grad_batches."
        )
        return {}


def _leave(set_to_none: bool = True) -> None:
    """Take the place of ``zero_grad``: DeepSpeed clears gradients when it has updated, and keeps buffers for them."""


def _library(kind: str) -> Any:
    """Import DeepSpeed for devices of *kind*.

    On CPUs it would compile an extension for what ranks exchange, which takes a minute and a compiler; the process
    group carries that, too.
    """
    if kind == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    if kind == "cpu":
        vars(deepspeed.ops).setdefault("__compatible_ops__", {})  # found on first access, by trying to compile each
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+_tensor` is deprecated", FutureWarning)
    return deepspeed
