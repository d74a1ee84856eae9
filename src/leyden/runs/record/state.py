"""The states of a run, and the ways an attempt at it ends.

    queued ─► running ─┬─► finished
       ▲               ├─► failed         by an error of its own
       └── requeued ◄──┼─► interrupted    stopped from outside; it can go on
                       ├─► dead           its process is gone without a word
                       └─► silent         on another machine, and not heard of

``dead``, ``silent`` and ``unknown`` are never written: `leyden.runs.record.liveness` and a damaged file tell them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RunState(StrEnum):
    """How a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DEAD = "dead"
    SILENT = "silent"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, word: object) -> RunState:
        """Return the state that *word* names; `UNKNOWN` for anything else."""
        return _STATES.get(word, cls.UNKNOWN) if isinstance(word, str) else cls.UNKNOWN


class Outcome(StrEnum):
    """How an attempt at a run ended; one that was killed has none."""

    FINISHED = RunState.FINISHED.value
    FAILED = RunState.FAILED.value
    INTERRUPTED = RunState.INTERRUPTED.value
    REQUEUED = "requeued"


_STATES: Final = {each.value: each for each in RunState}

OVER: Final = frozenset((RunState.FINISHED, RunState.FAILED, RunState.INTERRUPTED))
"""Written by the run itself at its end."""

ENDED: Final = OVER | {RunState.DEAD}
"""No process executes the run, and none is about to."""

EXECUTED: Final = frozenset((RunState.RUNNING, RunState.SILENT))
"""A process executes the run, as far as can be told."""

PENDING: Final = frozenset((RunState.QUEUED, RunState.RUNNING))
"""More is to be expected of the run."""

UNSETTLED: Final = frozenset(RunState) - OVER
"""Not the run's own last word: its scheduler may know better."""
