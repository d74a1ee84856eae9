"""The contract of a model: a `torch.nn.Module` that also says how it is trained.

Override `training_step` and `configure_optimizers` (or leave the latter to the optimizer
group of a config); everything else has a default. The names, arguments and meanings are
Lightning's: a module written for it runs here once the import is changed.

The engine keeps what changes on every step outside of the module: `torch.nn.Module` pays
for each attribute that is set on it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NoReturn, Self

import torch
from torch import Tensor, nn

from leyden import updates
from leyden.export import to_onnx, to_tensorrt, to_torchscript
from leyden.hyperparameters import AttributeDict, initial, keep
from leyden.loading import class_only, load_module
from leyden.tree import move
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from leyden.logger import Logger
    from leyden.metrics import Metrics
    from leyden.trainer import Trainer


class LightningModule(nn.Module):
    """A model together with its steps, its optimizers and its hooks."""

    # Set by the engine while a stage is open, straight into __dict__.
    _trainer: Trainer | None = None
    _metrics: Metrics | None = None
    _device: torch.device | None = None
    _hparams_name: str | None = None

    __jit_unused_properties__: list[str]
    __jit_ignored_attributes__: list[str]

    # Keys under which a checkpoint holds the constructor's arguments.
    CHECKPOINT_HYPER_PARAMS_KEY = "hyper_parameters"
    CHECKPOINT_HYPER_PARAMS_NAME = "hparams_name"
    CHECKPOINT_HYPER_PARAMS_TYPE = "hparams_type"

    automatic_optimization: bool = True
    prepare_data_per_node: bool = True
    allow_zero_length_dataloader_with_multiple_devices: bool = False
    strict_loading: bool = True
    example_input_array: Any = None

    # --- steps ---------------------------------------------------------------------------

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss of one batch.

        Called as ``training_step(batch, batch_idx)``; ``batch_idx`` may be left out. With
        several optimizers a further parameter ``optimizer_idx`` makes them alternate.

        Returns:
            The loss, or a dict with the key ``"loss"``, or None to skip the batch.
        """
        raise NotImplementedError

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate one batch: ``validation_step(batch, batch_idx, dataloader_idx=0)``."""

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate one batch: ``test_step(batch, batch_idx, dataloader_idx=0)``."""

    def predict_step(self, *args: Any, **kwargs: Any) -> Any:
        """Predict one batch: ``predict_step(batch, batch_idx, dataloader_idx=0)``; by default ``self(batch)``."""
        return self(kwargs.get("batch", args[0] if args else None))

    # --- what is built -------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """Return optimizers and schedulers.

        One optimizer; a list of them; ``([optimizers], [schedulers])``; a dict with the
        keys ``optimizer`` and ``lr_scheduler``; a list of such dicts; or None. A scheduler
        is one object or a dict with the keys ``scheduler``, ``interval`` (``"epoch"`` or
        ``"step"``), ``frequency``, ``monitor``, ``strict`` and ``name``.
        """
        raise NotImplementedError

    def configure_model(self) -> None:
        """Create layers late, once the device is known; called once per stage, so make it repeatable."""

    def configure_callbacks(self) -> Any:
        """Return callbacks that this module brings along; they replace trainer callbacks of their type."""
        return []

    # --- data ----------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download or preprocess, in one process; do not assign state here."""

    def setup(self, stage: str) -> None:
        """A stage opens; *stage* is ``fit``, ``validate``, ``test`` or ``predict``."""

    def teardown(self, stage: str) -> None:
        """A stage closes; called after an exception, too."""

    def train_dataloader(self) -> Any:
        """Return an iterable of training batches."""
        raise NotImplementedError

    def val_dataloader(self) -> Any:
        """Return an iterable of validation batches, or several in a list or dict."""
        raise NotImplementedError

    def test_dataloader(self) -> Any:
        """Return an iterable of test batches, or several in a list or dict."""
        raise NotImplementedError

    def predict_dataloader(self) -> Any:
        """Return an iterable of prediction batches, or several in a list or dict."""
        raise NotImplementedError

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change *batch* before it goes to the device; returns the batch."""
        return batch

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move *batch* to *device*; override for batch types of your own."""
        return move(batch, device)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change *batch* on the device (augmentation on a GPU, say); returns the batch."""
        return batch

    # --- hooks, in the order of a run ----------------------------------------------------

    def on_fit_start(self) -> None:
        """Optimizers exist; nothing has been restored yet."""

    def on_fit_end(self) -> None:
        """Training is over and the module is back on the CPU."""

    def on_train_start(self) -> None:
        """Everything is restored; the first epoch comes next."""

    def on_train_end(self) -> None:
        """The last epoch is done."""

    def on_train_epoch_start(self) -> None:
        """An epoch begins."""

    def on_train_epoch_end(self) -> None:
        """An epoch ends; values logged here can be monitored."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """The batch is on the device; return -1 to skip the rest of the epoch."""

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """*outputs* is ``{"loss": detached, ...}``: what the step returned."""

    def on_validation_model_zero_grad(self) -> None:
        """Free the gradients before a validation inside a fit."""
        self.zero_grad()

    def on_validation_model_eval(self) -> None:
        """Switch to evaluation mode; every submodule's own mode is restored afterwards."""
        self.eval()

    def on_validation_model_train(self) -> None:
        """After a validation; called only if overridden, as the modes are restored anyway."""
        self.train()

    def on_test_model_eval(self) -> None:
        """Switch to evaluation mode; every submodule's own mode is restored afterwards."""
        self.eval()

    def on_test_model_train(self) -> None:
        """After a test; called only if overridden, as the modes are restored anyway."""
        self.train()

    def on_predict_model_eval(self) -> None:
        """Switch to evaluation mode; every submodule's own mode is restored afterwards."""
        self.eval()

    def on_predict_model_train(self) -> None:
        """After a prediction run; called only if overridden, as the modes are restored anyway."""
        self.train()

    def on_validation_start(self) -> None:
        """A validation begins."""

    def on_validation_end(self) -> None:
        """Epoch metrics have been reduced and sent to the loggers."""

    def on_validation_epoch_start(self) -> None:
        """Before the first validation batch."""

    def on_validation_epoch_end(self) -> None:
        """After the last validation batch."""

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Before one validation batch."""

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """After one validation batch."""

    def on_test_start(self) -> None:
        """A test run begins."""

    def on_test_end(self) -> None:
        """Epoch metrics have been reduced and sent to the loggers."""

    def on_test_epoch_start(self) -> None:
        """Before the first test batch."""

    def on_test_epoch_end(self) -> None:
        """After the last test batch."""

    def on_test_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Before one test batch."""

    def on_test_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """After one test batch."""

    def on_predict_start(self) -> None:
        """A prediction run begins."""

    def on_predict_end(self) -> None:
        """A prediction run ends."""

    def on_predict_epoch_start(self) -> None:
        """Before the first prediction batch."""

    def on_predict_epoch_end(self) -> None:
        """After the last prediction batch."""

    def on_predict_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Before one prediction batch."""

    def on_predict_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """After one prediction batch."""

    def on_before_zero_grad(self, optimizer: Optimizer) -> None:
        """Gradients are about to be cleared."""

    def on_before_backward(self, loss: Tensor) -> None:
        """The loss is about to be differentiated."""

    def on_after_backward(self) -> None:
        """Gradients are there, not yet unscaled or clipped."""

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Gradients are unscaled, not yet clipped."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add to *checkpoint* before it is written; plain types and tensors only."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read from *checkpoint* before the weights are loaded."""

    # --- optimisation, each overridable ----------------------------------------------------

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Differentiate *loss*; override to do it your way."""
        loss.backward(*args, **kwargs)  # type: ignore[no-untyped-call]

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Update the weights; overriding it moves the whole step into *optimizer_closure*."""
        optimizer.step(closure=optimizer_closure)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Clear the gradients of *optimizer*."""
        updates.clear(optimizer)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Advance *scheduler*; *metric* is the monitored value, or None."""
        if metric is None:
            scheduler.step()
        else:
            scheduler.step(metric)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients of *optimizer*; override to clip your way."""
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def clip_gradients(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients of *optimizer* by norm (default) or by value.

        Args:
            optimizer: Whose parameters are meant.
            gradient_clip_val: Largest total 2-norm, or largest absolute value; None or 0 clips nothing.
            gradient_clip_algorithm: ``"norm"`` or ``"value"``.
        """
        self.trainer._clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        """Return the optimizer, or the list of them, for manual optimisation.

        Args:
            use_pl_optimizer: Whether ``step()`` of what is returned goes through the engine
                (hooks, precision, counters). False gives the bare torch optimizers.
        """
        found = self.trainer._module_optimizers(wrapped=use_pl_optimizer)
        return found[0] if len(found) == 1 else found

    def lr_schedulers(self) -> Any:
        """Return None, the scheduler, or the list of them, for manual optimisation."""
        found = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        return None if not found else found[0] if len(found) == 1 else found

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Differentiate *loss* in manual optimisation, scaled as the precision demands."""
        self.trainer._manual_backward(loss, *args, **kwargs)

    def toggle_optimizer(self, optimizer: Any) -> None:
        """Let gradients flow only into the parameters of *optimizer*, until `untoggle_optimizer`."""
        self._untoggled: dict[nn.Parameter, bool] = {}
        inner = getattr(optimizer, "optimizer", optimizer)
        own = {parameter for group in inner.param_groups for parameter in group["params"]}
        for other in self.optimizers(use_pl_optimizer=False) if len(self.trainer.optimizers) > 1 else []:
            for group in other.param_groups:
                for parameter in group["params"]:
                    self._untoggled[parameter] = parameter.requires_grad
                    parameter.requires_grad = parameter.requires_grad and parameter in own

    def untoggle_optimizer(self, optimizer: Any) -> None:
        """Undo `toggle_optimizer`: every parameter gets back the flag it had."""
        for parameter, flag in self.__dict__.pop("_untoggled", {}).items():
            parameter.requires_grad = flag

    @contextmanager
    def toggled_optimizer(self, optimizer: Any) -> Iterator[None]:
        """Do `toggle_optimizer` and `untoggle_optimizer` around a block."""
        self.toggle_optimizer(optimizer)
        try:
            yield
        finally:
            self.untoggle_optimizer(optimizer)

    # --- logging ---------------------------------------------------------------------------

    def log(
        self,
        name: str,
        value: Any,
        prog_bar: bool = False,
        logger: bool | None = None,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: Any = "mean",
        enable_graph: bool = False,
        sync_dist: bool = False,
        sync_dist_group: Any = None,
        add_dataloader_idx: bool = True,
        batch_size: int | None = None,
        metric_attribute: str | None = None,
        rank_zero_only: bool = False,
    ) -> None:
        """Log one value. Costs no device synchronisation until a row is due or somebody reads.

        Args:
            name: Name of the metric; unique among the loggers of a run.
            value: A number, a one-element tensor, or a `torchmetrics.Metric` held by this module.
            prog_bar: Show it on the progress bar.
            logger: Send it to the loggers; default True.
            on_step: Log the value of each step. Default: in training hooks that see a batch.
            on_epoch: Log the reduction over the epoch. Default: everywhere else.
            reduce_fx: ``"mean"`` (weighted by batch size), ``"sum"``, ``"min"`` or ``"max"``.
            enable_graph: Accepted for compatibility; values are always detached.
            sync_dist: Reduce over all ranks.
            sync_dist_group: Process group for *sync_dist*; default all.
            add_dataloader_idx: With several evaluation loaders, append ``/dataloader_idx_<i>``.
            batch_size: Weight in the epoch's mean; default the first dimension found in the batch.
            metric_attribute: Accepted for compatibility; metrics are found by identity.
            rank_zero_only: The value exists on rank 0 alone.

        Raises:
            ConfigurationError: If *value* is not loggable, or logging makes no sense in this hook.
        """
        metrics = self._metrics
        if metrics is None:
            warn_once(
                "self.log() was called outside of a run and did nothing: no Trainer is attached to "
                f"{type(self).__name__}. Call it inside hooks of a running Trainer."
            )
            return
        metrics.log(
            name,
            value,
            (prog_bar, logger, on_step, on_epoch, reduce_fx, sync_dist, add_dataloader_idx, rank_zero_only),
            batch_size,
        )

    def log_dict(
        self,
        dictionary: Mapping[str, Any],
        prog_bar: bool = False,
        logger: bool | None = None,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: Any = "mean",
        enable_graph: bool = False,
        sync_dist: bool = False,
        sync_dist_group: Any = None,
        add_dataloader_idx: bool = True,
        batch_size: int | None = None,
        rank_zero_only: bool = False,
    ) -> None:
        """Log every item of a mapping or a `torchmetrics.MetricCollection`; arguments as in `log`."""
        items = dictionary.items(keep_base=False) if _is_collection(dictionary) else dictionary.items()  # type: ignore[call-arg]
        for name, value in items:
            self.log(
                name,
                value,
                prog_bar=prog_bar,
                logger=logger,
                on_step=on_step,
                on_epoch=on_epoch,
                reduce_fx=reduce_fx,
                sync_dist=sync_dist,
                add_dataloader_idx=add_dataloader_idx,
                batch_size=batch_size,
                rank_zero_only=rank_zero_only,
            )

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on rank 0 only, without tearing the progress bar."""
        if self._trainer is None:
            print(*args, **kwargs)  # noqa: T201
        else:
            self._trainer.print(*args, **kwargs)

    # --- where it stands -------------------------------------------------------------------

    @property
    def trainer(self) -> Trainer:
        """The trainer running this module.

        Raises:
            RuntimeError: If there is none.
        """
        if self._trainer is None:
            raise RuntimeError(
                f"{type(self).__name__} is not attached to a Trainer. Pass it to trainer.fit(...) first."
            )
        return self._trainer

    @trainer.setter
    def trainer(self, trainer: Trainer | None) -> None:
        self.__dict__["_trainer"] = trainer

    @property
    def current_epoch(self) -> int:
        """Number of the epoch being run, from 0; 0 without a trainer."""
        return self._trainer.current_epoch if self._trainer is not None else 0

    @property
    def global_step(self) -> int:
        """Number of optimizer steps done; 0 without a trainer."""
        return self._trainer.global_step if self._trainer is not None else 0

    @property
    def global_rank(self) -> int:
        """Index of this process among all."""
        return self._trainer.global_rank if self._trainer is not None else 0

    @property
    def local_rank(self) -> int:
        """Index of this process on its machine."""
        return self._trainer.local_rank if self._trainer is not None else 0

    @property
    def device(self) -> torch.device:
        """Device of the run, or of the first parameter outside of one."""
        if self._device is not None:
            return self._device
        first = next(self.parameters(), None)
        return first.device if first is not None else torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Type of the first floating-point parameter."""
        floats = (parameter.dtype for parameter in self.parameters() if parameter.is_floating_point())
        return next(floats, torch.get_default_dtype())

    @property
    def on_gpu(self) -> bool:
        """Whether the module is on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def device_mesh(self) -> Any:
        """Over which devices `configure_model` may divide the module: torch's `DeviceMesh`; None for one device."""
        return self._trainer.strategy.device_mesh if self._trainer is not None else None

    @property
    def fabric(self) -> None:
        """None: a module here runs under a `Trainer`."""

    @property
    def logger(self) -> Logger | None:
        """The first logger, if there is one."""
        return self._trainer.logger if self._trainer is not None else None

    @property
    def loggers(self) -> list[Logger]:
        """All loggers."""
        return self._trainer.loggers if self._trainer is not None else []

    # --- hyper-parameters and checkpoints --------------------------------------------------

    def save_hyperparameters(
        self, *args: Any, ignore: Iterable[str] | str | None = None, frame: Any = None, logger: bool = True
    ) -> None:
        """Keep the constructor's arguments as `hparams`; call it inside ``__init__``.

        Args:
            *args: Names of arguments to keep, or one mapping that holds all; none keeps all.
            ignore: Names of arguments to leave out.
            frame: Frame of the constructor, when called from elsewhere.
            logger: Whether the loggers get these values.
        """
        keep(self, LightningModule, frame or sys._getframe(1), args, ignore)
        self._log_hyperparams = logger

    @property
    def hparams(self) -> Any:
        """Arguments kept by `save_hyperparameters`, as keys and as attributes."""
        if "_hparams" not in self.__dict__:
            self.__dict__["_hparams"] = AttributeDict()
        return self.__dict__["_hparams"]

    @property
    def hparams_initial(self) -> Any:
        """A copy of the arguments as `save_hyperparameters` found them, whatever became of `hparams` since."""
        return initial(self)

    @class_only
    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | IO[bytes],
        map_location: Any = None,
        hparams_file: str | None = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Build a module from the hyper-parameters in a checkpoint and load its weights.

        Args:
            checkpoint_path: File written by a trainer.
            map_location: Where tensors go, as in `torch.load`.
            hparams_file: YAML or CSV file with hyper-parameters to take instead of the checkpoint's.
            strict: Whether every weight must match; default the module's ``strict_loading``.
            weights_only: False allows arbitrary pickles, which can execute code: only for
                files you trust. Default True.
            **kwargs: Constructor arguments that win over the saved ones.
        """
        return load_module(cls, checkpoint_path, map_location, hparams_file, strict, weights_only, kwargs)

    def to_torchscript(
        self,
        file_path: str | os.PathLike[str] | None = None,
        method: str | None = "script",
        example_inputs: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Compile `forward` to TorchScript, in evaluation mode; returns the compiled module.

        Args:
            file_path: Where to write it, too.
            method: ``"script"`` compiles the source, ``"trace"`` follows one call.
            example_inputs: Input for that call; default ``example_input_array``.
            **kwargs: Further arguments of `torch.jit.script` or `torch.jit.trace`.
        """
        return to_torchscript(self, file_path, method, example_inputs, kwargs)

    def to_onnx(self, file_path: Any = None, input_sample: Any = None, **kwargs: Any) -> Any:
        """Write `forward` as an ONNX graph, in evaluation mode.

        Args:
            file_path: Where to.
            input_sample: Input to follow; default ``example_input_array``.
            **kwargs: Further arguments of `torch.onnx.export`.
        """
        return to_onnx(self, file_path, input_sample, kwargs)

    def to_tensorrt(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse, and say what to do instead.

        Raises:
            ConfigurationError: Always.
        """
        to_tensorrt(self)

    def freeze(self) -> Self:
        """Switch off gradients of every parameter, and go to evaluation mode."""
        self.requires_grad_(False)
        return self.eval()

    def unfreeze(self) -> Self:
        """Switch on gradients of every parameter, and go to training mode."""
        self.requires_grad_(True)
        return self.train()

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> Any:
        """Gather tensors of all ranks; on one rank they come back as they are."""
        return self.trainer.strategy.all_gather(data, group=group, sync_grads=sync_grads)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the trainer behind: a module can be pickled and copied during a run."""
        state = dict(self.__dict__)
        for name in ("_trainer", "_metrics", "_device"):
            state.pop(name, None)
        return state


# TorchScript compiles every property and annotated attribute of a module, whether forward needs it or not.
LightningModule.__jit_ignored_attributes__ = [*LightningModule.__annotations__]
LightningModule.__jit_unused_properties__ = [
    name for name, value in vars(LightningModule).items() if isinstance(value, property)
]


def _is_collection(dictionary: Any) -> bool:
    """Tell a torchmetrics.MetricCollection without importing torchmetrics."""
    return isinstance(dictionary, nn.ModuleDict) and hasattr(dictionary, "compute_groups")
