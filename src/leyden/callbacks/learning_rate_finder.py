"""Search for a learning rate when a fit begins: raise it step by step, and watch where the loss falls most steeply.

The search is that of Smith, "Cyclical learning rates for training neural networks" (2017).
It leaves no trace but the rate it found.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from leyden.callback import Callback
from leyden.callbacks import tried_attribute
from leyden.callbacks.learning_rate_search import LearningRateSearch
from leyden.errors import ConfigurationError, StageEnded
from leyden.warnings import log, warn_once

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer

_NAMES = ("lr", "learning_rate")


class LearningRateFinder(Callback):
    """Try growing learning rates in a rehearsal, and go on with the one suggested.

    Args:
        min_lr: The first rate.
        max_lr: The rate to grow towards.
        num_training_steps: Rates to try, one an optimizer step; fewer where ``max_epochs`` ends earlier.
        mode: ``"exponential"`` or ``"linear"``: how the rate grows.
        early_stop_threshold: Stop when the loss is so many times the best one; None to try all rates.
        update_attr: Whether the suggestion is used: set in the optimizer, and in the attribute *attr_name*.
        attr_name: Attribute of the module, its hyper-parameters or the data module that holds the rate; empty for
            ``lr`` or ``learning_rate``.

    Attributes:
        optimal_lr: What was found, a `LearningRateSearch`; None before.
    """

    SUPPORTED_MODES = ("linear", "exponential")

    def __init__(
        self,
        min_lr: float = 1e-8,
        max_lr: float = 1,
        num_training_steps: int = 100,
        mode: str = "exponential",
        early_stop_threshold: float | None = 4.0,
        update_attr: bool = True,
        attr_name: str = "",
    ) -> None:
        if mode.lower() not in self.SUPPORTED_MODES:
            raise ConfigurationError(f"LearningRateFinder(mode={mode!r}): expected 'exponential' or 'linear'.")
        self._min_lr = min_lr
        self._max_lr = max_lr
        self._num_training_steps = num_training_steps
        self._mode = mode.lower()
        self._early_stop_threshold = early_stop_threshold
        self._update_attr = update_attr
        self._attr_name = attr_name
        self._early_exit = False
        self.optimal_lr: LearningRateSearch | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search before the first epoch; override this, and call `lr_find` elsewhere, to search at another time."""
        self.lr_find(trainer, pl_module)

    def lr_find(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search now: when a fit or an epoch begins.

        Raises:
            ConfigurationError: If there are several optimizers, or no attribute for the rate.
        """
        if trainer.fast_dev_run:
            warn_once("LearningRateFinder does nothing under fast_dev_run.")
        else:
            name = self._attribute(trainer) if self._update_attr else ""
            self.optimal_lr = self._search(trainer)
            if name and (rate := self.optimal_lr.suggestion()) is not None:
                tried_attribute.write(trainer, name, rate)
                for group in trainer.optimizers[0].param_groups:
                    group["lr"] = rate
                log.info("Learning rate set to %s.", rate)
        if self._early_exit:
            raise StageEnded("the learning rate was found, and nothing else was asked for.")

    def _search(self, trainer: Trainer) -> LearningRateSearch:
        """Rehearse with growing rates."""
        if len(trainer.optimizers) != 1:
            raise ConfigurationError(
                f"LearningRateFinder works with one optimizer; configure_optimizers returned {len(trainer.optimizers)}."
            )
        found = LearningRateSearch(self._mode, self._min_lr, self._max_lr, self._num_training_steps)
        curve = Curve(self._early_stop_threshold)
        with trainer.rehearsal(self._num_training_steps, [curve]) as rehearse:
            optimizer = trainer.optimizers[0]
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] = self._min_lr
            growing = Growing(optimizer, self._max_lr, self._num_training_steps, self._mode)
            trainer.replace_schedulers({"scheduler": growing, "interval": "step"})
            rehearse()
        if len(curve.losses) < self._num_training_steps:
            log.info("The search for a learning rate stopped after %d steps.", len(curve.losses))
        found.results = {"lr": curve.lrs, "loss": curve.losses}
        return found

    def _attribute(self, trainer: Trainer) -> str:
        """Return the name of the attribute that holds the rate."""
        names = (self._attr_name,) if self._attr_name else _NAMES
        for name in names:
            if tried_attribute.holders(trainer, name):
                return name
        raise ConfigurationError(
            f"LearningRateFinder found no attribute {' or '.join(map(repr, names))} in "
            f"{type(trainer.lightning_module).__name__}, its hparams or the data module, so that it could not set the "
            "learning rate. Give the attribute that configure_optimizers reads as attr_name, or pass "
            "update_attr=False."
        )


class Curve(Callback):
    """Note rate and smoothed loss of each optimizer step, and stop when the loss grows beyond bounds.

    Args:
        threshold: Stop when the loss is so many times the best one; None for never.
        beta: How much of the smoothed loss stays at a step.
    """

    def __init__(self, threshold: float | None, beta: float = 0.98) -> None:
        self.threshold = threshold
        self.beta = beta
        self.lrs: list[float] = []
        self.losses: list[float] = []
        self.average = 0.0
        self.best = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note the rate."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.lrs.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss; NaN where the step was skipped."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        if not outputs:
            self.losses.append(math.nan)
            return
        step, loss = trainer.global_step, outputs["loss"]
        if trainer.world_size > 1:  # or ranks would stop at different steps
            loss = trainer.strategy.reduce(loss, "mean")
        self.average = self.beta * self.average + (1 - self.beta) * float(loss)
        smoothed = self.average / (1 - self.beta ** (step + 1))
        if self.threshold is not None and step > 1 and smoothed > self.threshold * self.best:
            trainer.should_stop = True
        if smoothed < self.best or step == 1:
            self.best = smoothed
        self.losses.append(smoothed)


class Growing(LRScheduler):
    """Raise the learning rate from where it is to *end*.

    Args:
        optimizer: Whose rate it is.
        end: The rate after *steps*.
        steps: Steps it takes.
        mode: ``"exponential"`` or ``"linear"``.
    """

    def __init__(self, optimizer: Optimizer, end: float, steps: int, mode: str) -> None:
        self.end = end
        self.steps = steps
        self.mode = mode
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        """Return the rate of each group."""
        if self.last_epoch <= 0:
            return list(self.base_lrs)
        share = (self.last_epoch + 1) / self.steps
        if self.mode == "linear":
            return [first + share * (self.end - first) for first in self.base_lrs]
        return [first * (self.end / first) ** share for first in self.base_lrs]
