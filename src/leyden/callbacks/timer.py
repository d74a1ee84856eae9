"""How long training, validation and tests take, and an end to training when its time is up.

Times are read from the monotonic clock: setting the computer's clock changes nothing.
Training time is part of a checkpoint, so that a limit covers all attempts of a run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from leyden.callback import Callback
from leyden.errors import ConfigurationError
from leyden.state import RunningStage
from leyden.warnings import log

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class Timer(Callback):
    """Measure every stage; stop training once it has taken *duration*.

    Args:
        duration: Limit of the training time: ``"DD:HH:MM:SS"``, a timedelta, or a dict of
            its arguments; None only measures.
        interval: ``"step"`` looks at the clock after every batch, ``"epoch"`` after every
            epoch. At the start of training both do.
        verbose: Whether to say that the time is up.

    Raises:
        ConfigurationError: If *duration* or *interval* cannot be read.

    Example:
        >>> timer = Timer(duration="00:12:00:00")
        >>> timer.time_remaining() / 3600
        12.0
    """

    def __init__(
        self,
        duration: str | timedelta | Mapping[str, int] | None = None,
        interval: Literal["step", "epoch"] = "step",
        verbose: bool = True,
    ) -> None:
        super().__init__()
        if interval not in ("step", "epoch"):
            raise ConfigurationError(f"Timer(interval={interval!r}) is unknown. Expected 'step' or 'epoch'.")
        self._duration = _seconds(duration)
        self._interval = interval
        self._verbose = verbose
        self._starts: dict[RunningStage, float] = {}
        self._ends: dict[RunningStage, float] = {}
        self._stopped = False  # by this timer
        self._offset = 0.0  # training time of the attempts before this one

    # --- reading ---------------------------------------------------------------------------

    def start_time(self, stage: str = RunningStage.TRAINING) -> float | None:
        """Return when *stage* began last, in seconds of the monotonic clock; None if it never did."""
        return self._starts.get(RunningStage(stage))

    def end_time(self, stage: str = RunningStage.TRAINING) -> float | None:
        """Return when *stage* ended last, in seconds of the monotonic clock; None if it did not yet."""
        return self._ends.get(RunningStage(stage))

    def time_elapsed(self, stage: str = RunningStage.TRAINING) -> float:
        """Return how long *stage* took, or has taken so far, in seconds.

        Training counts the attempts before a resume; the others count the latest time only.
        """
        offset = self._offset if stage == RunningStage.TRAINING else 0.0
        start, end = self.start_time(stage), self.end_time(stage)
        if start is None:
            return offset
        return offset + (time.monotonic() if end is None else end) - start

    def time_remaining(self, stage: str = RunningStage.TRAINING) -> float | None:
        """Return what is left of the duration, in seconds; None without a limit."""
        return None if self._duration is None else self._duration - self.time_elapsed(stage)

    # --- hooks -----------------------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """With no time left from the start, training does not begin."""
        self._check(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; a run resumed with no time left ends before its first batch."""
        self._stopped = False
        self._start(RunningStage.TRAINING)
        self._check(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the clock."""
        if self._interval == "step":
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the clock."""
        if self._interval == "epoch":
            self._check(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._end(RunningStage.TRAINING)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of validation."""
        self._start(RunningStage.VALIDATING)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock of validation."""
        self._end(RunningStage.VALIDATING)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the test."""
        self._start(RunningStage.TESTING)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock of the test."""
        self._end(RunningStage.TESTING)

    def _still_stops(self) -> bool:
        """Whether the time that it has now is up as well."""
        return self._duration is not None and self._offset >= self._duration

    def state_dict(self) -> dict[str, Any]:
        """Return the time taken by each stage, and whether it was this timer that stopped training."""
        times = {stage.value: self.time_elapsed(stage) for stage in RunningStage}
        return {"time_elapsed": times, "stopped": self._stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting training from where the checkpoint was written."""
        self._starts.clear()
        self._ends.clear()
        self._offset = state_dict.get("time_elapsed", {}).get(RunningStage.TRAINING.value, 0.0)

    def _start(self, stage: RunningStage) -> None:
        self._starts[stage] = time.monotonic()
        self._ends.pop(stage, None)

    def _end(self, stage: RunningStage) -> None:
        self._ends[stage] = time.monotonic()

    def _check(self, trainer: Trainer) -> None:
        """Ask for a stop if the time is up; rank 0's clock counts for all."""
        if self._duration is None or not trainer.strategy.broadcast(self.time_elapsed() >= self._duration):
            return
        if self._stopped and trainer.should_stop:
            return
        if self._verbose and trainer.is_global_zero:
            log.info("Timer: training has taken %s, its time is up.", timedelta(seconds=int(self.time_elapsed())))
        self._stopped = True
        trainer.ask_to_stop(self.state_key)


def _seconds(duration: Any) -> float | None:
    """Read a duration; returns seconds."""
    if duration is None:
        return None
    if isinstance(duration, str) and (found := re.fullmatch(r"(\d+):(\d\d):(\d\d):(\d\d)", duration.strip())):
        duration = dict(zip(("days", "hours", "minutes", "seconds"), map(int, found.groups()), strict=True))
    if isinstance(duration, Mapping):
        try:
            return timedelta(**duration).total_seconds()
        except TypeError:
            pass
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    raise ConfigurationError(
        f"Timer(duration={duration!r}) is no duration. Expected 'DD:HH:MM:SS' (such as '00:12:00:00' for twelve "
        "hours), a timedelta, or a dict of its arguments such as {'hours': 12}."
    )
