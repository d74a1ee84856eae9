"""Stop training when a monitored value no longer improves, diverges, or is good enough."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from leyden.callback import Callback
from leyden.callbacks.agreement import any_rank
from leyden.callbacks.epoch_ends import at_train_epoch_end
from leyden.errors import ConfigurationError, MissingMetricError
from leyden.warnings import log, warn_once

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class EarlyStoppingReason(Enum):
    """Why a run was stopped; the numbers stand in checkpoints."""

    NOT_STOPPED = 0
    STOPPING_THRESHOLD = 1
    DIVERGENCE_THRESHOLD = 2
    PATIENCE_EXHAUSTED = 3
    NON_FINITE_METRIC = 4


class EarlyStopping(Callback):
    """Ask the trainer to stop; as soon as one rank wants to stop, all do.

    Where ``min_epochs`` or ``min_steps`` is not reached yet, the latest check before they are decides: a value that
    has become better by then takes the stop back.

    Args:
        monitor: Logged key to watch.
        min_delta: An improvement counts only if it is larger than this.
        patience: Number of checks without improvement after which training stops. A check
            happens once per epoch, or once per validation if that is not the same.
        verbose: Whether improvements and the reason of the stop go to the log.
        mode: ``"min"`` or ``"max"``: whether a smaller or a larger value is better.
        strict: Whether a missing key is an error.
        check_finite: Whether NaN and infinity stop at once.
        stopping_threshold: Stop at once when the value is better than this.
        divergence_threshold: Stop at once when the value is worse than this.
        check_on_train_epoch_end: Whether to check at the end of the training epoch or after
            validation; None decides by how often validation runs.
        log_rank_zero_only: Whether only rank 0 writes to the log.

    Attributes:
        wait_count: Checks since the last improvement.
        stopped_epoch: Epoch in which training was stopped, or 0.
        best_score: Best value so far, a scalar tensor on the CPU.
        stopping_reason: Why, as an `EarlyStoppingReason`.
        stopping_reason_message: Why, in words.
    """

    monitors = True

    def __init__(
        self,
        monitor: str,
        min_delta: Annotated[float, Ge(0)] = 0.0,
        patience: Annotated[int, Ge(0)] = 3,
        verbose: bool = False,
        mode: str = "min",
        strict: bool = True,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        check_on_train_epoch_end: bool | None = None,
        log_rank_zero_only: bool = False,
    ) -> None:
        super().__init__()
        if mode not in ("min", "max"):
            raise ConfigurationError(f"EarlyStopping(mode={mode!r}) is unknown. Expected 'min' or 'max'.")
        self.monitor = monitor
        self.min_delta = min_delta if mode == "max" else -min_delta  # signed, so that one comparison serves both
        self.patience = patience
        self.verbose = verbose
        self.mode = mode
        self.strict = strict
        self.check_finite = check_finite
        self.stopping_threshold = stopping_threshold
        self.divergence_threshold = divergence_threshold
        self.log_rank_zero_only = log_rank_zero_only
        self.wait_count = 0
        self.stopped_epoch = 0
        self.best_score = torch.tensor(float("inf") if mode == "min" else float("-inf"))
        self.stopping_reason = EarlyStoppingReason.NOT_STOPPED
        self.stopping_reason_message: str | None = None
        self._check_on_train_epoch_end = check_on_train_epoch_end
        self._given: dict[str, Any] = {
            "patience": patience,
            "min_delta": min_delta,
            "check_finite": check_finite,
            "stopping_threshold": stopping_threshold,
            "divergence_threshold": divergence_threshold,
        }
        self._given_then: dict[str, Any] = {}

    @property
    def state_key(self) -> str:
        """Key in a checkpoint: several callbacks may watch several values."""
        return self._generate_state_key(monitor=self.monitor, mode=self.mode)

    def state_dict(self) -> dict[str, Any]:
        """Return the score to beat and how long it has stood."""
        return {
            "wait_count": self.wait_count,
            "stopped_epoch": self.stopped_epoch,
            "best_score": self.best_score,
            "patience": self.patience,
            "given": dict(self._given),
            "stopping_reason": self.stopping_reason.value,
            "stopping_reason_message": self.stopping_reason_message,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned; a patience that was given anew counts, and not the one of the state."""
        self.wait_count = state_dict["wait_count"]
        self.stopped_epoch = state_dict["stopped_epoch"]
        self.best_score = torch.as_tensor(state_dict["best_score"])
        self._given_then = dict(state_dict.get("given", {"patience": state_dict["patience"]}))
        if self._given_then["patience"] == self._given["patience"]:
            self.patience = state_dict["patience"]  # it may have been changed since
        self.stopping_reason = EarlyStoppingReason(state_dict.get("stopping_reason", 0))
        self.stopping_reason_message = state_dict.get("stopping_reason_message")

    def _under_these_settings(self, key: str, state_dict: Mapping[str, Any]) -> list[str]:
        """Tell the patience that counts, if it is another one."""
        given = state_dict.get("given", state_dict)
        told = [
            f"{name}={new}, no longer {given[name]}"
            for name, new in self._given.items()
            if name in given and given[name] != new
        ]
        return [f"{type(self).__name__}: {', '.join(told)}; best score and count of checks go on"] if told else []

    def _still_stops(self) -> bool:
        """Whether the reason for the stop is one under the settings now."""
        reason, now, then = self.stopping_reason, self._given, self._given_then
        if reason is EarlyStoppingReason.PATIENCE_EXHAUSTED:
            return self.wait_count >= self.patience
        if reason is EarlyStoppingReason.NON_FINITE_METRIC:
            return self.check_finite
        name = reason.name.lower()  # of a threshold: of no other one it is known whether the value would have passed it
        return name not in now or (now[name] is not None and now[name] == then.get(name, now[name]))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check, if this is the place for it."""
        if at_train_epoch_end(trainer, self._check_on_train_epoch_end):
            self._check(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check, if this is the place for it."""
        if not at_train_epoch_end(trainer, self._check_on_train_epoch_end):
            self._check(trainer)

    def _check(self, trainer: Trainer) -> None:
        """Judge the monitored value and ask the trainer to stop if need be."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or trainer.fast_dev_run:
            return
        value = trainer.callback_metrics.get(self.monitor)
        if value is None:
            if not trainer.validation_to_come:
                self._complain(trainer)
            return
        reason, message = self._judge(value.detach().squeeze().cpu())
        stops = any_rank(trainer.strategy, reason is not EarlyStoppingReason.NOT_STOPPED)
        trainer.ask_to_stop(self.state_key, stops)
        self.stopping_reason = reason
        self.stopped_epoch = trainer.current_epoch if stops else 0
        self.stopping_reason_message = message if stops else None
        if message and self.verbose and (trainer.is_global_zero or not self.log_rank_zero_only):
            log.info(message)

    def _judge(self, value: Tensor) -> tuple[EarlyStoppingReason, str | None]:
        """Compare *value* with everything it may not be; returns the reason to stop and what to say."""
        said = f"{self.monitor} = {float(value):.3f}"
        if self.check_finite and not torch.isfinite(value):
            return EarlyStoppingReason.NON_FINITE_METRIC, f"{said} is not finite; the best was {self.best_score:.3f}."
        if self.stopping_threshold is not None and self._better(value, self.stopping_threshold):
            return EarlyStoppingReason.STOPPING_THRESHOLD, f"{said} is better than {self.stopping_threshold}."
        if self.divergence_threshold is not None and self._better(-value, -self.divergence_threshold):
            return EarlyStoppingReason.DIVERGENCE_THRESHOLD, f"{said} is worse than {self.divergence_threshold}."
        if self._better(value - self.min_delta, self.best_score):
            previous, self.best_score, self.wait_count = self.best_score, value, 0
            return EarlyStoppingReason.NOT_STOPPED, f"{said} is the best so far; the best before was {previous:.3f}."
        self.wait_count += 1
        if self.wait_count < self.patience:
            return EarlyStoppingReason.NOT_STOPPED, None
        message = f"{said} did not improve on {self.best_score:.3f} for {self.wait_count} checks."
        return EarlyStoppingReason.PATIENCE_EXHAUSTED, message

    def _better(self, value: Tensor, other: Tensor | float) -> bool:
        """Whether *value* is strictly better than *other*."""
        return bool(value < other if self.mode == "min" else value > other)

    def _complain(self, trainer: Trainer) -> None:
        """Say that the monitored key is missing."""
        message = (
            f"EarlyStopping(monitor={self.monitor!r}) did not find that key among the logged metrics.\n"
            f"  logged so far: {sorted(trainer.callback_metrics)}\n"
            f"  Log it with self.log({self.monitor!r}, value) in the module, monitor one of the above, "
            "or pass strict=False."
        )
        if self.strict:
            raise MissingMetricError(message)
        if self.verbose:
            warn_once(message, RuntimeWarning)
