"""Which run writes a checkpoint, and which of two is the newer one: what the files say, not the disk's clock.

    checkpoint["leyden"]["run"] = {
        "id":         of the run, drawn when its directory was made; None where that was before there were ids
        "directory":  its name then, for messages
        "attempt":    which attempt at the run has written this
        "save":       how many checkpoints that attempt had written with this one
    }

Clocks that jump, and copies that get new times, change nothing of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PLACES = ("BATCH", "TRAINED", "LOGGED", "VALIDATED", "EPOCH_ENDED")
_KINDS = ("last.ckpt", "interrupted.ckpt")  # of files that are equal otherwise, these are the newer ones


@dataclass
class Identity:
    """The attempt at a run that a trainer is: see the module.

    Args:
        run: Identity of the run; None for one without.
        directory: Name of its directory.
        attempt: Number of the attempt.
        resumed: Checkpoint that the run itself has chosen to go on from.
        ahead: Checkpoints of this run from behind that point, and damaged ones: training will write them once more,
            under the same names.
    """

    run: str | None
    directory: str
    attempt: int
    resumed: str | None = None
    ahead: list[str] = field(default_factory=list)
    _saves: int = field(default=0, init=False)

    def entry(self) -> dict[str, Any]:
        """Count one more checkpoint, and return what it says of its run."""
        self._saves += 1
        return {"id": self.run, "directory": self.directory, "attempt": self.attempt, "save": self._saves}


def identity_of(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a checkpoint says of its run; nothing if it was written outside of one."""
    ours = checkpoint.get("leyden")
    found = ours.get("run") if isinstance(ours, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def order(checkpoint: Mapping[str, Any], path: Path) -> tuple[Any, ...]:
    """Return a key that sorts checkpoints from the oldest to the newest.

    Args:
        checkpoint: Its content; tensors are not looked at.
        path: Where it lies; its name decides between files that are equal otherwise.
    """
    said, ours = identity_of(checkpoint), checkpoint.get("leyden")
    progress = ours.get("progress") if isinstance(ours, Mapping) else None
    progress = progress if isinstance(progress, Mapping) else {}
    place = progress.get("place")
    return (
        _count(said.get("attempt")),
        _count(checkpoint.get("global_step")),
        _count(said.get("save")),
        _count(progress.get("batches")),
        _PLACES.index(place) if place in _PLACES else 0,
        _KINDS.index(path.name) + 1 if path.name in _KINDS else 0,
        path.name,
    )


def _count(value: Any) -> int:
    return value if type(value) is int else 0
