"""What a trainer is doing, in Lightning's terms."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto


class TrainerFn(StrEnum):
    """The method of the trainer that was called."""

    FITTING = "fit"
    VALIDATING = "validate"
    TESTING = "test"
    PREDICTING = "predict"


class RunningStage(StrEnum):
    """The loop that is running; a fit alternates between training and validation."""

    TRAINING = "train"
    SANITY_CHECKING = "sanity_check"
    VALIDATING = "validate"
    TESTING = "test"
    PREDICTING = "predict"

    @property
    def evaluating(self) -> bool:
        """Whether this is a validation or a test."""
        return self in (RunningStage.VALIDATING, RunningStage.TESTING, RunningStage.SANITY_CHECKING)


class StageOutcome(StrEnum):
    """How a stage ended, as loggers are told; Lightning's loggers say ``finished``, too."""

    SUCCESS = auto()
    FINISHED = auto()
    FAILED = auto()


class TrainerStatus(StrEnum):
    """How the latest call stands."""

    INITIALIZING = auto()
    RUNNING = auto()
    FINISHED = auto()
    INTERRUPTED = auto()

    @property
    def stopped(self) -> bool:
        """Whether it is over, one way or the other."""
        return self in (TrainerStatus.FINISHED, TrainerStatus.INTERRUPTED)


@dataclass
class TrainerState:
    """Method, loop and status."""

    status: TrainerStatus = TrainerStatus.INITIALIZING
    fn: TrainerFn | None = None
    stage: RunningStage | None = None

    @property
    def finished(self) -> bool:
        """Whether the latest call ended well."""
        return self.status is TrainerStatus.FINISHED

    @property
    def stopped(self) -> bool:
        """Whether the latest call is over."""
        return self.status.stopped
