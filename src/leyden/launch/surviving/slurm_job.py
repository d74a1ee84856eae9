"""The SLURM job that this process is part of, and what SLURM is about to do to it.

A cluster may announce with SIGUSR2 that a job's time is up or that it has to make room, or send nothing but SIGTERM,
which may mean anything. ``scontrol show job`` tells which, as seen with SLURM 22.05:

| what happens | ``JobState`` | also |
|---|---|---|
| asked to make room, time left | ``RUNNING`` | ``PreemptTime`` is set |
| requeued by SLURM, or by ``scontrol requeue`` | ``COMPLETING`` | ``Restarts`` is one more than ours |
| time limit | ``RUNNING``, ``COMPLETING`` | ``Reason=TimeLimit`` once it is up |
| cancelled | ``COMPLETING`` | neither |
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from leyden.launch.requeue import Event
from leyden.launch.slurm_queries import details, said
from leyden.runs.record.ending import slurm_job

ANNOUNCED = (signal.SIGUSR1, signal.SIGUSR2)
_NEAR = 900.0  # seconds: a time limit is announced as long before it as somebody has asked for
_PATIENCE = 20.0  # seconds for one answer of the controller
_BUSY = ("contact", "timed out", "did not answer", "try again")  # what is said of a controller that is away for a while
_WAITS = "pending execution"  # somebody else has put it back: that is what was wanted
_NONE = ("", "None", "N/A", "Unknown", "UNLIMITED", "NOT_SET")


@dataclass(frozen=True)
class SlurmJob:
    """A batch job of SLURM.

    Args:
        name: What SLURM is asked by: its number; for an element of an array the array's, ``_`` and its index. Its own
            number would not do: one of the elements has that of the whole array.
        restarts: How often it has been put back into the queue.
    """

    name: str
    restarts: int

    @classmethod
    def current(cls) -> SlurmJob | None:
        """Return the job of this process; None outside of SLURM."""
        number = os.environ.get("SLURM_JOB_ID", "")
        if not number.isdigit():
            return None
        restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
        return cls(slurm_job() or number, int(restarts or 0))

    def ends(self) -> float | None:
        """Return when its time limit is up, in seconds since 1970; None if there is none, or nobody knows."""
        return moment(details(self.name, _PATIENCE).get("EndTime", ""))

    def event(self, signum: int) -> Event:
        """Return what the signal *signum* meant."""
        found = details(self.name, _PATIENCE)
        if self._was_requeued(found):
            return Event.REQUEUED
        if found.get("PreemptTime", "") not in _NONE:
            return Event.PREEMPTED
        if signum == signal.SIGXCPU or found.get("Reason") == "TimeLimit":
            return Event.TIME_LIMIT
        if signum in ANNOUNCED:  # sent by hand, the time may be far from up
            ends = moment(found.get("EndTime", ""))
            return Event.MAKE_ROOM if ends is None or ends - time.time() > _NEAR else Event.TIME_LIMIT
        if found.get("JobState", "").split("+")[0] in ("COMPLETING", "CANCELLED"):
            return Event.CANCELLED
        return Event.UNKNOWN

    def _was_requeued(self, found: Mapping[str, str]) -> bool:
        restarts = found.get("Restarts", "")
        return restarts.isdigit() and int(restarts) > self.restarts

    def requeue(self, patience: float = 60.0) -> str | None:
        """Put the job back into the queue; a controller that does not answer is asked again.

        Args:
            patience: Seconds to go on asking.

        Returns:
            None, or why it could not be.
        """
        until = time.monotonic() + patience
        while True:
            _, problem = said(["scontrol", "requeue", self.name], _PATIENCE)
            if problem is not None and (_WAITS in problem.lower() or self._was_requeued(details(self.name, _PATIENCE))):
                return (
                    None  # SLURM ends all processes of a job that it requeues, the one that has asked for it included
                )
            busy = problem is not None and any(word in problem.lower() for word in _BUSY)
            if not busy or time.monotonic() >= until:
                return problem
            time.sleep(2.0)


def moment(text: str) -> float | None:
    """Return a moment as SLURM writes it in seconds since 1970; None if it names none."""
    try:
        return None if text in _NONE else datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
