"""SIGINT, SIGTERM and SIGHUP set a flag; the loop acts on it between two batches.

In a job of SLURM, SIGUSR1 and SIGUSR2 do so, too: they announce its time limit, or that it is to make room. Nothing
is done inside a handler: it may run in the middle of anything. A second SIGINT means "now": it raises
`KeyboardInterrupt` at once, as Python does without us. With several ranks, all of them act at the same step: see
`leyden.engine.agreement`. Handlers are installed by `leyden.processes.signals`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from leyden.engine.agreement import Agreement
from leyden.processes import signals
from leyden.strategy import Strategy


class StopFlag:
    """Which signal asked to stop, if one did."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._late: int | None = None  # arrived when the stage before had nothing left to stop
        self._agreement: Agreement | None = None

    def asked(self) -> int | None:
        """Return the signal to act on now; with several ranks, each of them asks equally often."""
        return self.signum if self._agreement is None else self._agreement.reached()

    def ask(self, signum: int) -> None:
        """Ask to stop, as the signal *signum* does."""
        self.signum = signum
        if self._agreement is not None:
            self._agreement.signum = signum

    def _raise_flag(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and self.signum is not None:
            raise KeyboardInterrupt
        self.ask(signum)

    @contextmanager
    def watching(self, strategy: Strategy) -> Iterator[None]:
        """Watch the signals within a block; does nothing outside of the main thread, which alone may.

        Handlers found at the start are put back at the end. A signal that a stage has not acted on, as it came
        after its last batch, is left to the next one; Ctrl-C, which was meant for what ran then, is not.

        Args:
            strategy: Where there are several ranks, all of them watch.
        """
        self._agreement = strategy.store and Agreement(strategy.store, strategy.global_rank, strategy.world_size)
        self.signum = None
        if (earlier := signals.noted() or self._late) is not None:
            self.ask(earlier)
        self._late = None
        try:
            with signals.handled(signals.watched(), self._raise_flag):
                yield
            self._late = None if self.signum == signal.SIGINT else self.signum
        finally:
            if self._agreement is not None:
                self._agreement.close()
                self._agreement = None
