"""Ranks that were asked to stop, and ranks that were not, agree on one boundary at which all of them do.

A signal reaches ranks at different moments, or one of them alone. If each acted at once, the others would wait for
it for ever; and to ask all of them after every batch would cost more than a small model's step. So ranks talk
beside their work, through the store that they have met at: a thread of each looks there a few times a second.

    rank 0   loop    . . . . . . . . | . . stop        . a boundary: a batch is done, an epoch is over
             thread              3: not beyond 9
    rank 1   loop    . . . . . . . . . . | stop        | waits, for a moment, until it knows the last promise
             thread  1: USR2     2: not beyond 11

1. Who hears a signal writes it into the store. 2. Who sees it there promises not to pass the next boundary before it
knows all promises. 3. All stop at the largest. Training pays for a look at two numbers at each boundary; a rank that
is busy, or waits for another one, promises all the same, as its thread does. Ranks whose stage is over promise to be
beyond everything.

Ranks whose starter has ended stop as by SIGTERM. One that has lost rank 0, which keeps the store, stops by itself when
it is asked to; and one that waits in vain for a promise fails: its rank has ended.
"""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from itertools import count
from typing import Any

from leyden import ranks
from leyden.errors import RankError

_BEYOND = 2**62
_PATIENCE = 30.0  # seconds to wait for a promise, which takes a fraction of one
_stages = count()  # equally many in every rank


class Agreement:
    """One answer for all ranks to whether a signal asked to stop.

    Args:
        store: That all ranks share.
        rank: This one.
        world: How many there are.
        every: Seconds between two looks.
        patience: Seconds to wait for what another rank promises.
    """

    def __init__(self, store: Any, rank: int, world: int, every: float = 0.25, patience: float = _PATIENCE) -> None:
        self.signum: int | None = None  # that this rank was told
        self._store, self._rank, self._world, self._every = store, rank, world, every
        self._patience = patience
        self._alone = False
        self._prefix = f"stop/{next(_stages)}/"
        self._lock = threading.Lock()
        self._passed = 0
        self._promised: int | None = None
        self._target: int | None = None
        self._settled, self._closed = threading.Event(), threading.Event()
        self._agreed: int | None = None
        self._thread = threading.Thread(target=self._listen, name="leyden-agreement", daemon=True)
        self._thread.start()

    def reached(self) -> int | None:
        """Return the signal that all ranks act on from here on, if there is one; called at every boundary."""
        with self._lock:
            self._passed += 1
            waits = self._promised is not None and self._passed >= self._promised
        if self._alone:
            return self.signum
        if not waits:
            return None
        if not self._settled.wait(self._patience):
            raise RankError(
                f"rank {self._silent()} has not answered for {self._patience:g} s when a signal asked all to stop. "
                "Expected all ranks to agree on a step to stop at. Look at the end of its log: it was killed, or is "
                "stopped.",
                self._silent(),
            )
        if self._alone:
            return self.signum
        return self._agreed if self._target is not None and self._passed >= self._target else None

    def close(self) -> None:
        """End: this rank will pass no further boundary."""
        self._closed.set()
        self._thread.join()
        with self._lock:
            promised, self._promised = self._promised, _BEYOND
        if promised is None:
            with suppress(RuntimeError):  # whoever keeps the store has ended
                self._store.set(f"{self._prefix}{self._rank}", str(_BEYOND))

    def _listen(self) -> None:
        try:
            while not self._settled.is_set() and not self._closed.wait(self._every):
                self._look()
        except RuntimeError:  # the store is gone, and with it rank 0: the next exchange will say so
            self._alone = True
        finally:
            self._settled.set()

    def _silent(self) -> int:
        """Return the first rank that has not promised anything."""
        with suppress(RuntimeError):
            return next(
                (rank for rank in range(self._world) if not self._store.check([f"{self._prefix}{rank}"])), self._rank
            )
        return 0

    def _look(self) -> None:
        asked = f"{self._prefix}asked"
        if self.signum is None and ranks.starter_has_ended():
            self.signum = signal.SIGTERM
        if self.signum is not None and self._promised is None:
            self._store.set(asked, str(self.signum))
        if self._promised is None and self._store.check([asked]):
            with self._lock:
                self._promised = self._passed + 1
            self._store.set(f"{self._prefix}{self._rank}", str(self._promised))
        promises = [f"{self._prefix}{rank}" for rank in range(self._world)]
        if self._promised is not None and self._store.check(promises):
            self._agreed = int(self._store.get(asked))
            self._target = max(int(self._store.get(promise)) for promise in promises)
            self._settled.set()
