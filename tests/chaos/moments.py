"""Which moments there are in a run, and which of them a trial takes."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from tests.chaos.processes import Strike

DELAYS = (0.0, 0.0, 0.0003, 0.001, 0.003, 0.01)  # seconds after an event; 0 is right before the call


class Moments:
    """Draws moments: half of them by the clock, half among the events of an undisturbed run.

    Each kind of event has its turn before one comes again.

    Args:
        journal: Of the undisturbed run.
        seconds: It took.
        only: A part of the names of the events that count; None for all, and for the clock.
    """

    def __init__(self, journal: Path, seconds: float, only: str | None = None) -> None:
        lines = journal.read_text().splitlines() if journal.exists() else []
        self.counts = Counter(line for line in lines if only is None or only in line)
        self.seconds = seconds
        self.only = only
        self._turn: list[str] = []

    def draw(self, rng: random.Random, victims: tuple[str, ...]) -> Strike:
        """Return the next moment."""
        victim = rng.choice(victims)
        if self.only != "clock" and self.counts and (self.only is not None or rng.random() < 0.6):
            if not self._turn:
                self._turn = sorted(self.counts)
                rng.shuffle(self._turn)
            kind = self._turn.pop()
            delay = (
                0.0 if kind.startswith("mark") else rng.choice(DELAYS)
            )  # between hooks the clock strikes often enough
            return Strike(victim, kind, rng.randint(1, self.counts[kind]), delay)
        return Strike(victim, delay=round(rng.uniform(0.0, self.seconds), 4))
