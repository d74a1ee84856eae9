"""Stochastic weight averaging: at the end of a fit, train on at a constant rate and average the epochs.

From epoch `swa_start` on the learning rate is annealed to *swa_lrs* by torch's `SWALR`, which
takes the place of the module's scheduler, and at the start of each epoch the weights enter
the average. After the last epoch the module gets the average.

The statistics of batch norm layers belong to the weights they were gathered with, so a module
that has such layers is run through one more epoch, forwards only, after it got the average.

The method is that of Izmailov et al., "Averaging weights leads to wider optima and better
generalization" (2018).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.optim.swa_utils import SWALR

from leyden.callback import Callback
from leyden.callbacks.batch_norm_statistics import BatchNormStatistics
from leyden.callbacks.undivided import check_undivided
from leyden.errors import ConfigurationError
from leyden.warnings import log, warn_once

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer

Average = Callable[[Tensor, Tensor, Tensor], Tensor]


class StochasticWeightAveraging(Callback):
    """Average the weights of the last epochs of a fit.

    Args:
        swa_lrs: Learning rate to arrive at, for all parameter groups or one for each.
        swa_epoch_start: First epoch that is averaged, counted from 1 (int), or which share of ``max_epochs``
            comes before (float).
        annealing_epochs: Epochs until the learning rate arrives.
        annealing_strategy: How it gets there: ``"cos"`` or ``"linear"``.
        avg_fn: Takes the averaged parameter, the current one and how many are in the average; returns the new
            average. None for equal weights.
        device: Where the average is kept; None for the module's device.

    Attributes:
        n_averaged: How many states are in the average, a scalar tensor; None before the first.

    Raises:
        ConfigurationError: If an argument cannot be meant.
    """

    def __init__(
        self,
        swa_lrs: float | list[float],
        swa_epoch_start: int | float = 0.8,
        annealing_epochs: Annotated[int, Ge(0)] = 10,
        annealing_strategy: Literal["cos", "linear"] = "cos",
        avg_fn: Average | None = None,
        device: torch.device | str | None = "cpu",
    ) -> None:
        _check(swa_lrs, swa_epoch_start, annealing_strategy, avg_fn, device)
        self.n_averaged: Tensor | None = None
        self._swa_epoch_start = swa_epoch_start
        self._swa_lrs = swa_lrs
        self._annealing_epochs = annealing_epochs
        self._annealing_strategy = annealing_strategy
        self._avg_fn: Average = avg_fn or self.avg_fn
        self._device = device
        self._given: dict[str, Any] = {
            "swa_lrs": swa_lrs,
            "annealing_epochs": annealing_epochs,
            "annealing_strategy": annealing_strategy,
        }
        self._max_epochs = -1
        self._forget()

    def _forget(self) -> None:
        """Be ready for a new fit."""
        self.n_averaged = None
        self._statistics = BatchNormStatistics()
        self._average_model: LightningModule | None = None
        self._swa_scheduler: Any = None
        self._scheduler_state: dict[str, Any] | None = None
        self._init_n_averaged = 0
        self._latest_update_epoch = -1
        self._batches_per_update: int | None = None  # the trainer's, while it is set aside
        self._prolonged = False

    @property
    def swa_start(self) -> int:
        """Index of the first epoch that is averaged."""
        return max(int(self._swa_epoch_start) - 1, 0)

    @property
    def swa_end(self) -> float:
        """Index of the last epoch; ``inf`` where there is none."""
        return math.inf if self._max_epochs == -1 else self._max_epochs - 1

    # --- hooks -----------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copy the module when a fit begins."""
        if stage == "fit":
            check_undivided(self, trainer.strategy)
            self._forget()
            self._average_model = deepcopy(pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Settle the epochs; on a resumed run, put the scheduler back that was running.

        Raises:
            ConfigurationError: If there are several optimizers or schedulers, or no number of epochs.
        """
        self._check_trainer(trainer)
        if isinstance(self._swa_epoch_start, float):
            self._swa_epoch_start = int(trainer.max_epochs * self._swa_epoch_start)
        self._max_epochs = trainer.max_epochs
        if self._statistics.layers(pl_module) and trainer.max_epochs != -1:
            trainer.max_epochs += 1  # for the statistics
            self._prolonged = True
        if self._scheduler_state is not None:
            self._begin(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on gathering statistics, if that is where a resumed run was stopped."""
        if self._prolonged and trainer.current_epoch == self.swa_end + 1:
            self._gather_statistics(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the weights enter the average; after the last epoch, begin to gather statistics."""
        epoch = trainer.current_epoch
        if self.swa_start <= epoch <= self.swa_end:
            if self._swa_scheduler is None:
                if epoch != self.swa_start:
                    warn_once(
                        f"StochasticWeightAveraging begins in epoch {epoch}, not in {self.swa_start} as it was asked "
                        "to: the checkpoint this fit goes on from knows nothing of it."
                    )
                self._begin(trainer, pl_module)
            if epoch > self._latest_update_epoch and self.n_averaged is not None:
                self.update_parameters(self._average(), pl_module, self.n_averaged, self._avg_fn)
                self._latest_update_epoch = epoch
        if self._prolonged and epoch == self.swa_end + 1:
            self.transfer_weights(self._average(), pl_module)
            self._gather_statistics(trainer, pl_module)
            self._statistics.empty(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train again, where only statistics were gathered."""
        trainer.forward_only = False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the average to the module, unless it has it."""
        done = trainer.current_epoch - 1
        if self._prolonged and done == self.swa_end + 1:
            self._end_statistics(trainer)
        elif (done == self.swa_end or self._max_epochs == -1) and self.n_averaged is not None:
            self.transfer_weights(self._average(), pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give back what was changed of the trainer, whatever happened."""
        self._end_statistics(trainer)

    # --- state -----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the average, the state of the scheduler, and the arguments that this was made from."""
        scheduler, average = self._swa_scheduler, self._average_model
        return {
            "n_averaged": 0 if self.n_averaged is None else int(self.n_averaged),
            "latest_update_epoch": self._latest_update_epoch,
            "scheduler_state": None if scheduler is None else scheduler.state_dict(),
            "average_model_state": None if average is None else average.state_dict(),
            "given": dict(self._given),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self._init_n_averaged = state_dict["n_averaged"]
        self._latest_update_epoch = state_dict["latest_update_epoch"]
        self._scheduler_state = state_dict["scheduler_state"]
        if self._average_model is not None:
            self._average_model.load_state_dict(state_dict["average_model_state"])

    def _under_these_settings(self, key: str, state_dict: Mapping[str, Any]) -> list[str]:
        """Tell what is kept of the rates: once the averaging has begun, its scheduler goes on."""
        given = state_dict.get("given", {})
        changed = [name for name, now in self._given.items() if name in given and given[name] != now]
        if not changed or state_dict.get("scheduler_state") is None:
            return []
        told = ", ".join(f"{name}={given[name]}, not {self._given[name]}" for name in changed)
        return [f"{type(self).__name__} has begun to average and goes on with {told}"]

    # --- averaging ---------------------------------------------------------------------------

    def _average(self) -> LightningModule:
        if self._average_model is None:
            raise RuntimeError("StochasticWeightAveraging has no average yet: setup makes it when a fit begins.")
        return self._average_model

    def _check_trainer(self, trainer: Trainer) -> None:
        optimizers, schedulers = len(trainer.optimizers), len(trainer.lr_scheduler_configs)
        if optimizers != 1 or schedulers > 1:
            raise ConfigurationError(
                f"StochasticWeightAveraging works with one optimizer and at most one scheduler; configure_optimizers "
                f"returned {optimizers} and {schedulers}. Take it out of the callbacks, or return fewer."
            )
        if isinstance(self._swa_epoch_start, float) and trainer.max_epochs == -1:
            raise ConfigurationError(
                f"StochasticWeightAveraging(swa_epoch_start={self._swa_epoch_start}) is a share of max_epochs, but "
                "Trainer(max_epochs=-1) has no end. Give a number of epochs (int)."
            )

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the scheduler of the averaging in the place of the module's."""
        device = self._device or pl_module.device
        self._average_model = self._average().to(device)
        optimizer = trainer.optimizers[0]
        groups = optimizer.param_groups
        rates = [float(self._swa_lrs)] * len(groups) if isinstance(self._swa_lrs, (int, float)) else self._swa_lrs
        for rate, group in zip(rates, groups, strict=False):
            group["initial_lr"] = rate
        self._swa_scheduler = SWALR(
            optimizer,
            swa_lr=rates,  # type: ignore[arg-type]
            anneal_epochs=self._annealing_epochs,
            anneal_strategy=self._annealing_strategy,
            last_epoch=trainer.max_epochs if self._annealing_strategy == "cos" else -1,
        )
        if self._scheduler_state is not None:
            self._swa_scheduler.load_state_dict(self._scheduler_state)
        replaced = trainer.lr_scheduler_configs
        if replaced and (replaced[0].interval != "epoch" or replaced[0].frequency != 1):
            warn_once("StochasticWeightAveraging steps the learning rate once an epoch, unlike the scheduler before.")
        if replaced:
            log.info("SWALR takes the place of the scheduler %s.", type(replaced[0].scheduler).__name__)
        trainer.replace_schedulers(self._swa_scheduler)
        self.n_averaged = torch.tensor(self._init_n_averaged, dtype=torch.long, device=pl_module.device)

    @staticmethod
    def update_parameters(average_model: nn.Module, model: nn.Module, n_averaged: Tensor, avg_fn: Average) -> None:
        """Let the parameters of *model* enter *average_model*, and count them in *n_averaged*."""
        first = bool(n_averaged == 0)
        with torch.no_grad():
            for averaged, parameter in zip(average_model.parameters(), model.parameters(), strict=True):
                current = parameter.detach().to(averaged.device)
                averaged.copy_(current if first else avg_fn(averaged.detach(), current, n_averaged.to(averaged.device)))
        n_averaged += 1

    @staticmethod
    def avg_fn(averaged_model_parameter: Tensor, model_parameter: Tensor, num_averaged: Tensor) -> Tensor:
        """Return the mean of ``num_averaged + 1`` states."""
        return averaged_model_parameter + (model_parameter - averaged_model_parameter) / (num_averaged + 1)

    @staticmethod
    def transfer_weights(src_pl_module: nn.Module, dst_pl_module: nn.Module) -> None:
        """Copy the parameters of one module into another."""
        with torch.no_grad():
            for source, target in zip(src_pl_module.parameters(), dst_pl_module.parameters(), strict=True):
                target.copy_(source)

    # --- statistics of batch norm ----------------------------------------------------------------

    def _gather_statistics(self, trainer: Trainer, pl_module: nn.Module) -> None:
        """Run the epoch forwards only, as one window that ends with it."""
        trainer.forward_only = True
        self._statistics.gather(pl_module)
        if self._batches_per_update is None:
            self._batches_per_update = trainer.accumulate_grad_batches
            batches = trainer.num_training_batches
            trainer.accumulate_grad_batches = sys.maxsize if batches == math.inf else int(batches) + 1

    def _end_statistics(self, trainer: Trainer) -> None:
        """Put back what `on_fit_start` and `_gather_statistics` changed."""
        self._statistics.end()
        trainer.forward_only = False
        if self._batches_per_update is not None:
            trainer.accumulate_grad_batches, self._batches_per_update = self._batches_per_update, None
        if self._prolonged:
            trainer.max_epochs -= 1
            self._prolonged = False


def _check(swa_lrs: Any, swa_epoch_start: Any, annealing_strategy: Any, avg_fn: Any, device: Any) -> None:
    """Refuse arguments that cannot be meant."""
    name = "StochasticWeightAveraging"
    rates = swa_lrs if isinstance(swa_lrs, list) else [swa_lrs]
    if not rates or not all(isinstance(rate, float) and rate > 0 for rate in rates):
        raise ConfigurationError(f"{name}(swa_lrs={swa_lrs!r}): expected a float above 0, or a list of such floats.")
    whole = isinstance(swa_epoch_start, int) and not isinstance(swa_epoch_start, bool) and swa_epoch_start >= 1
    if not whole and not (isinstance(swa_epoch_start, float) and 0 <= swa_epoch_start <= 1):
        raise ConfigurationError(
            f"{name}(swa_epoch_start={swa_epoch_start!r}): expected an int from 1 on, or a float from 0 to 1."
        )
    if annealing_strategy not in ("cos", "linear"):
        raise ConfigurationError(f"{name}(annealing_strategy={annealing_strategy!r}): expected 'cos' or 'linear'.")
    if avg_fn is not None and not callable(avg_fn):
        raise ConfigurationError(f"{name}(avg_fn={avg_fn!r:.80}): expected a function of three tensors, or None.")
    if device is not None and not isinstance(device, (torch.device, str)):
        raise ConfigurationError(f"{name}(device={device!r}): expected a torch.device, its name, or None.")
