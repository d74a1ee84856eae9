"""attempts.jsonl: how each attempt at a run ended, a line each.

    {"attempt": 2, "job": "1234_5", "started": ..., "ended": ..., "host": ..., "from_step": 40, "to_step": 120,
     "outcome": "finished" | "failed" | "interrupted" | "requeued", "reason": "stopped by SIGUSR2",
     "requeue": "stalled", "decision": "It was not requeued: ..."}

The last two stand where a scheduler might have begun the run again: see `leyden.launch.requeue`.
An attempt that was killed leaves no line: its absence is the evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leyden import atomic, regular
from leyden.runs.record.fields import text, whole
from leyden.runs.record.state import Outcome

FILE = "attempts.jsonl"
_LARGEST = 16_000_000  # bytes
_OUTCOMES = {each.value: each for each in Outcome}


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended.

    Args:
        number: Counted from 1; 0 if its line does not say.
        outcome: How it ended; None if its line names none.
        reason: Why, in words.
        job: The SLURM job that it was part of; empty outside of SLURM.
        host: Machine it ran on.
        started: UTC.
        ended: UTC.
        from_step: Optimizer steps done when it began to train; None if it had not begun to.
        to_step: Optimizer steps done at its end.
        requeue: Code of the decision on putting it back into the queue; empty if none was made.
        decision: That decision as a sentence.
    """

    number: int = 0
    outcome: Outcome | None = None
    reason: str = ""
    job: str = ""
    host: str = ""
    started: str = ""
    ended: str = ""
    from_step: int | None = None
    to_step: int = 0
    requeue: str = ""
    decision: str = ""

    @property
    def advanced(self) -> bool:
        """Whether it got further than where it had begun."""
        return self.from_step is not None and self.to_step > self.from_step

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Attempt:
        """Return what a line says."""
        return cls(
            number=whole(found, "attempt") or 0,
            outcome=_OUTCOMES.get(text(found, "outcome")),
            reason=text(found, "reason"),
            job=text(found, "job"),
            host=text(found, "host"),
            started=text(found, "started"),
            ended=text(found, "ended"),
            from_step=whole(found, "from_step"),
            to_step=whole(found, "to_step") or 0,
            requeue=text(found, "requeue"),
            decision=text(found, "decision"),
        )

    def line(self) -> dict[str, Any]:
        """Return what is written; texts that are empty are null, as they always were."""
        decided = {"requeue": self.requeue, "decision": self.decision} if self.requeue else {}
        return {
            "attempt": self.number, "job": self.job or None, "started": self.started or None,
            "ended": self.ended or None, "host": self.host or None, "from_step": self.from_step,
            "to_step": self.to_step, "outcome": self.outcome, "reason": self.reason or None, **decided,
        }  # fmt: skip


def read(path: Path) -> tuple[Attempt, ...]:
    """Return the attempts recorded in the run directory *path*, the oldest first; torn lines are passed over."""
    return tuple(Attempt.of(line) for line in _lines(path))


def append(path: Path, attempt: Attempt) -> None:
    """Add the line of an attempt; the file is whole at any moment."""
    _write(path, [*_lines(path), attempt.line()])


def amend(path: Path, **changes: Any) -> None:
    """Change the latest line: what became of an attempt may be known only after it has ended."""
    lines = _lines(path)
    if lines:
        _write(path, [*lines[:-1], {**lines[-1], **changes}])


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        lines = regular.read(path, FILE, _LARGEST).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return []
    return [found for line in lines if (found := _parsed(line)) is not None]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, lines: list[dict[str, Any]]) -> None:
    atomic.write_text(path / FILE, "".join(f"{json.dumps(each)}\n" for each in lines))
