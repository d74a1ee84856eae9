"""Checkpoints that are written while training goes on.

    training   ──batches──┬─copy─┬───batches───┬───batches───────┬─copy─┬──batches──
    a thread              │      └─serialise, write, flush, rename┐     └─serialise ...
                          links, deletions, uploads of the first ◄┘

Training waits for a copy in memory instead of the disk. When that may be, and who waits for what, is settled in
`leyden.engine.saving`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from leyden.errors import ConfigurationError
from leyden.plugins.copying import Copy


class AsyncCheckpointIO:
    """Write one checkpoint at a time, in a thread, of a copy: ``Trainer(plugins=AsyncCheckpointIO())``.

    Until a checkpoint is on disk, all that it holds is in memory once more, on rank 0. The next save waits for it.
    What depends on the file is put off until it is there: links to it, the deletion of the one it replaces, a
    logger's `after_save_checkpoint`.

    Args:
        checkpoint_io: Lightning's argument; how a file is written cannot be changed.

    Attributes:
        active: Whether saves are written beside what runs; set while there are batches to train.
        slowest: Seconds from a call to its file, the longest so far, waiting for the one before included.

    Raises:
        ConfigurationError: If there is a *checkpoint_io*.
    """

    def __init__(self, checkpoint_io: None = None) -> None:
        if checkpoint_io is not None:
            raise ConfigurationError(
                f"AsyncCheckpointIO(checkpoint_io={checkpoint_io!r:.80}): a file is written in one way, whole or not "
                "at all. Leave the argument out, and upload files in a logger's after_save_checkpoint."
            )
        self.active = False
        self.slowest = 0.0
        self._began = 0.0
        self._thread: threading.Thread | None = None
        self._problem: BaseException | None = None
        self._put_off: list[Callable[[], None]] = []

    @property
    def pending(self) -> bool:
        """Whether a save is in flight, or something waits for its end."""
        return self._thread is not None

    @property
    def elapsed(self) -> float:
        """Seconds that the save in flight has taken so far; 0 where there is none."""
        return time.monotonic() - self._began if self._thread is not None and self._thread.is_alive() else 0.0

    def save(self, checkpoint: dict[str, Any], write: Callable[[dict[str, Any]], None], began: float) -> None:
        """Copy *checkpoint*, and have the copy written while this returns; nothing may be pending.

        Args:
            checkpoint: May change as soon as this has returned.
            write: Writes it; called in the thread.
            began: When the save began, on the clock of `time.monotonic`.

        Raises:
            Exception: What pickling a part of it raises.
        """
        copy = Copy(checkpoint)
        self._began = began
        self._thread = threading.Thread(target=self._write, args=(copy, write), name="leyden-checkpoint")
        self._thread.start()

    def then(self, action: Callable[[], None]) -> None:
        """Call *action*, in the thread that asks, once the save in flight is on disk; not at all if that fails."""
        if self.pending:
            self._put_off.append(action)
        else:
            action()

    def settle(self) -> None:
        """Do what was put off if the file is there by now; what went wrong is kept for `wait`."""
        if self._thread is not None and not self._thread.is_alive() and self._problem is None:
            self.wait()

    def wait(self) -> BaseException | None:
        """Wait for the save in flight, do what was put off, and return what went wrong; once."""
        if self._thread is None:
            return None
        self._thread.join()
        problem, put_off = self._problem, self._put_off
        self._thread, self._problem, self._put_off = None, None, []
        for action in put_off if problem is None else ():
            action()
        return problem

    def _write(self, copy: Copy, write: Callable[[dict[str, Any]], None]) -> None:
        try:
            write(copy.checkpoint())
            self.slowest = max(self.slowest, time.monotonic() - self._began)
        except BaseException as error:  # told by whoever waits
            self._problem = error
        finally:
            copy.close()


__all__ = ["AsyncCheckpointIO"]
