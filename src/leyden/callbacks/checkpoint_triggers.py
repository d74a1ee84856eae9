"""When a checkpoint is due: every so many updates, seconds or epochs, and at which hook."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from leyden.errors import ConfigurationError

if TYPE_CHECKING:
    from leyden.trainer import Trainer


@dataclass
class Triggers:
    """The three triggers, of which at most one may be set; none set means every epoch.

    Attributes:
        steps: Save each time the number of optimizer steps done has reached, or passed, a multiple of this; 0 never.
        epochs: Save at the end of every so many epochs; 0 never.
        interval: Save when so much time has passed since the last save of this trigger.
        seen: Optimizer steps done at the latest look; None where nobody knows.
    """

    steps: int
    epochs: int
    interval: timedelta | None
    started: float | None = field(default=None, repr=False)
    seen: int | None = field(default=None, repr=False)

    @classmethod
    def from_options(cls, steps: int | None, epochs: int | None, interval: timedelta | None) -> Triggers:
        """Check the constructor arguments of `ModelCheckpoint` and fill in the default.

        Raises:
            ConfigurationError: If a number is negative, or more than one trigger is set.
        """
        for name, number in (("every_n_train_steps", steps), ("every_n_epochs", epochs)):
            if number is not None and number < 0:
                raise ConfigurationError(f"ModelCheckpoint({name}={number}) is negative. Expected 0 (never) or more.")
        if steps is None and epochs is None and interval is None:
            return cls(0, 1, None)
        if sum((bool(steps), bool(epochs), interval is not None)) > 1:
            raise ConfigurationError(
                f"ModelCheckpoint(every_n_train_steps={steps}, every_n_epochs={epochs}, "
                f"train_time_interval={interval}) sets more than one trigger; they are mutually exclusive.\n"
                "  Use one callback for each trigger, e.g. two ModelCheckpoint with different filenames."
            )
        return cls(steps or 0, epochs or 0, interval)

    @property
    def within_epoch(self) -> bool:
        """Whether anything can become due between two batches."""
        return self.steps > 0 or self.interval is not None

    def start_clock(self) -> None:
        """Begin to count time: training starts."""
        self.started = time.monotonic()

    def due_at_step(self, trainer: Trainer) -> bool:
        """Whether a checkpoint is due after this batch; rank 0's clock counts for all ranks."""
        if self.steps > 0:
            before, self.seen = self.seen, trainer.global_step
            if before is None:
                return self.seen % self.steps == 0
            return self.seen // self.steps > before // self.steps  # one batch may step several optimizers
        if self.interval is None or self.started is None:
            return False
        now = time.monotonic()
        due = bool(trainer.strategy.broadcast(now - self.started >= self.interval.total_seconds()))
        if due:
            self.started = now
        return due

    def due_at_epoch(self, epoch: int) -> bool:
        """Whether a checkpoint is due at the end of *epoch*, counted from 0."""
        return self.epochs > 0 and (epoch + 1) % self.epochs == 0
