"""Keep an average of the weights beside those being trained, and evaluate, save and end with the average.

step ─► update the average ─► ... ─► validation: module holds the average ─► module holds its own weights again
checkpoint: state_dict = average, current_model_state = weights being trained, averaging_state = counters
on_train_end: module holds the average for good
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from leyden.accelerators import device_named
from leyden.callback import Callback
from leyden.callbacks.undivided import check_undivided
from leyden.module import LightningModule
from leyden.warnings import log, warn_once

if TYPE_CHECKING:
    from leyden.trainer import Trainer

_PREFIX = "module."  # of the weights in the state of an AveragedModel


class WeightAveraging(Callback):
    """Average the weights with torch's `AveragedModel`: equally by default, or by an *avg_fn* of yours.

    Override `should_update` to say when a state of the weights enters the average.

    Args:
        device: Where the average is kept; None for the module's device, ``"cpu"`` saves memory there.
        use_buffers: Whether buffers are averaged, too; if not, they are copied from the module.
        kwargs: Further arguments of `AveragedModel`: ``avg_fn`` or ``multi_avg_fn``.
    """

    def __init__(self, device: torch.device | str | int | None = None, use_buffers: bool = True, **kwargs: Any) -> None:
        self._device = device_named(device, type(self).__name__) if isinstance(device, str) else device
        self._use_buffers = use_buffers
        self._kwargs = kwargs
        self._average_model: AveragedModel | None = None
        self._source: LightningModule | None = None  # whose average it is
        self._current: list[Tensor] | None = None  # the weights being trained, while the module holds the average
        self._latest_update_step = 0
        self._latest_update_epoch = -1

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Tell whether the weights enter the average now; by default after every optimizer step.

        Args:
            step_idx: Index of the optimizer step just done, from 0; None at the end of an epoch.
            epoch_idx: Index of the epoch just done, from 0; None after a step.
        """
        return step_idx is not None

    # --- hooks -----------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copy the module when a fit begins."""
        if stage != "fit":
            return
        check_undivided(self, trainer.strategy)
        if type(pl_module).configure_model is not LightningModule.configure_model:
            pl_module.configure_model()  # the copy must have all layers
        device: Any = self._device if self._device is not None else pl_module.device
        self._average_model = AveragedModel(pl_module, device=device, use_buffers=self._use_buffers, **self._kwargs)
        self._source, self._current = pl_module, None
        self._latest_update_step, self._latest_update_epoch = trainer.global_step, -1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the average at least as precise as the module, which has its precision by now."""
        self._widen(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after an optimizer step, if it is wanted."""
        done = trainer.global_step
        if done > self._latest_update_step and self.should_update(step_idx=done - 1):
            self._averaged().update_parameters(pl_module)
            self._latest_update_step = done

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Update the average after an epoch, if it is wanted."""
        epoch = trainer.current_epoch
        if epoch > self._latest_update_epoch and self.should_update(epoch_idx=epoch):
            self._averaged().update_parameters(pl_module)
            self._latest_update_epoch = epoch

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Within a fit, validate the average."""
        if trainer.state.fn == "fit":
            self._show_average(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the module its own weights back."""
        if trainer.state.fn == "fit":
            self._show_current(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the module its own weights back, if a validation was broken off."""
        if trainer.state.fn == "fit":
            self._show_current(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the module with the average; a checkpoint saved from now on still holds both."""
        self._show_average(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the device of the fit, as the module does."""
        if stage == "fit" and self._average_model is not None:
            self._average_model.cpu()
            self._current = None if self._current is None else [tensor.cpu() for tensor in self._current]

    # --- state -----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return when the average was updated last; the average itself is saved with the weights."""
        return {"latest_update_step": self._latest_update_step, "latest_update_epoch": self._latest_update_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self._latest_update_step = state_dict["latest_update_step"]
        self._latest_update_epoch = state_dict.get("latest_update_epoch", -1)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the average as the weights, and the weights being trained beside them."""
        if self._average_model is None or pl_module is not self._source:
            log.info("WeightAveraging has no average of this module: the checkpoint holds the module's weights.")
            return
        average = self._average_model.state_dict()
        checkpoint["current_model_state"] = self._current_state(pl_module, checkpoint["state_dict"])
        checkpoint["state_dict"] = {
            name.removeprefix(_PREFIX): value for name, value in average.items() if name.startswith(_PREFIX)
        }
        checkpoint["averaging_state"] = {name: value for name, value in average.items() if not name.startswith(_PREFIX)}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on with both sets of weights in a fit; any other stage runs with the average."""
        if trainer.state.fn != "fit":
            return
        self._widen(pl_module)
        average = self._averaged()
        if "current_model_state" in checkpoint and "averaging_state" in checkpoint:
            weights = {_PREFIX + name: value for name, value in checkpoint["state_dict"].items()}
            average.load_state_dict(weights | checkpoint["averaging_state"])
            pl_module.load_state_dict(checkpoint["current_model_state"])
            return
        warn_once(
            f"The checkpoint {trainer.ckpt_path} was written without WeightAveraging: the average begins with its "
            "weights."
        )
        average.module.load_state_dict(checkpoint["state_dict"], strict=False)
        self._latest_update_step = checkpoint.get("global_step", 0)

    # --- exchanging weights ------------------------------------------------------------------

    def _averaged(self) -> AveragedModel:
        if self._average_model is None:
            raise RuntimeError(f"{type(self).__name__} has no average yet: it is made by setup, when a fit begins.")
        return self._average_model

    def _widen(self, pl_module: LightningModule) -> None:
        """Give the average the wider number format of the two."""
        for averaged, own in zip(_tensors(self._averaged().module), _tensors(pl_module), strict=True):
            if own.dtype.itemsize > averaged.dtype.itemsize:
                averaged.data = averaged.data.to(own.dtype)

    def _show_average(self, pl_module: LightningModule) -> None:
        """Let the module hold the average, and keep its own weights."""
        if self._current is None:
            self._current = [tensor.detach().clone() for tensor in _tensors(pl_module)]
            _copy(_tensors(self._averaged().module), _tensors(pl_module))

    def _show_current(self, pl_module: LightningModule) -> None:
        """Let the module hold the weights being trained."""
        if self._current is not None:
            _copy(self._current, _tensors(pl_module))
            self._current = None

    def _current_state(self, pl_module: LightningModule, shown: dict[str, Any]) -> dict[str, Any]:
        """Return the state of the weights being trained, whatever the module holds now."""
        if self._current is None:
            return shown
        kept = {id(held): own for held, own in zip(_tensors(pl_module), self._current, strict=True)}
        held = pl_module.state_dict(keep_vars=True)
        return {name: kept.get(id(held[name]), value) for name, value in shown.items()}


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())


def _copy(sources: Any, targets: Iterator[Tensor]) -> None:
    with torch.no_grad():
        for source, target in zip(sources, targets, strict=True):
            target.copy_(source)
