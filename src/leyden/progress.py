"""How far a run is: the counters, and the exact place inside the loop.

Counters are named by what they completed. `place` says which part of the current batch
or epoch is done, so that a checkpoint written in the middle of it can be resumed without
doing anything twice or leaving anything out:

    BATCH ─► step ─► TRAINED ─► rows ─► LOGGED ─► validation ─► VALIDATED ─► plateau schedulers ─► BATCH
                     on_train_batch_end           on_validation_end
    after the last batch: on_train_epoch_end ─► EPOCH_ENDED ─► plateau schedulers, rows ─► BATCH
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

Place = Literal["BATCH", "TRAINED", "LOGGED", "VALIDATED", "EPOCH_ENDED"]
MAX_TIME = "max_time"
SOMEBODY = "trainer.should_stop"


@dataclass
class Progress:
    """Counters of a fit, and of the evaluations beside it.

    Attributes:
        epochs: Epochs completed; so also the index of the one being run.
        batch: Micro-batches completed in this epoch.
        batches: Micro-batches completed in all epochs.
        updates: Optimizer steps done: Lightning's ``global_step``.
        windows: Batches that ended with an update; one ahead of the axis of logged rows.
        pending: Micro-batches whose gradients wait for the end of their window.
        fetched: Micro-batches of this epoch handed out: one more than `batch` within a step.
        last: Whether the micro-batch handed out latest is the last one of its epoch.
        place: See the module's drawing.
        seconds: Time spent in training, over all attempts.
        validated: How much of that had been spent when the latest validation ended.
        validations: Validations completed in this fit, the sanity check not counted.
        stops: Who asks for a stop: keys of callbacks, `MAX_TIME`, or `SOMEBODY` who has set ``trainer.should_stop``.
        should_stop: Whether anybody does.
        evaluated: Batches seen by each kind of evaluation since the trainer was made.
    """

    epochs: int = 0
    batch: int = 0
    batches: int = 0
    updates: int = 0
    windows: int = 0
    pending: int = 0
    fetched: int = 0
    last: bool = False
    place: Place = "BATCH"
    seconds: float = 0.0
    validated: float = 0.0
    validations: int = 0
    stops: list[str] = field(default_factory=list)
    should_stop: bool = False
    evaluated: dict[str, int] = field(default_factory=dict)

    @property
    def log_step(self) -> int:
        """Position of a row on the one axis of the run: updates done before the latest one."""
        return max(0, self.windows - 1)

    def ask_to_stop(self, who: str, wanted: bool = True) -> None:
        """Note that *who* asks for a stop, or does so no longer."""
        others = [each for each in self.stops if each != who]
        self.stops = [*others, who] if wanted else others
        self.should_stop = bool(self.stops)

    def begin(self) -> None:
        """Forget what belongs to an earlier fit: who asked it to stop, and that it has validated."""
        self.stops, self.should_stop, self.validations = [], False, 0

    def state_dict(self) -> dict[str, Any]:
        """Return all counters."""
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned; files from before stops had names say only whether it was the clock."""
        for name, value in state.items():
            setattr(self, name, value)
        if self.should_stop and "stops" not in state:
            self.stops = [MAX_TIME if state.get("timed_out") else SOMEBODY]
