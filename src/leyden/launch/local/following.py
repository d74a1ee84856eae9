"""Find a queue again: watch it while it runs, or go on with what it has not finished.

leyden queue DIR ─┬─► its lock is held: watch the files until it is free; Ctrl-C leaves the queue alone
                  └─► nobody holds it: run what has neither finished nor failed
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from leyden.errors import RunError
from leyden.launch.local.queue import Queue
from leyden.launch.local.record import FILE, QueueRecord, deleted, existing, is_held
from leyden.launch.local.screen import Screen
from leyden.launch.local.standing import code_of, standing
from leyden.runs import gate

FOLDER = "queue"  # of a queue, beside its runs or in the run itself
_PAUSE = 0.5  # seconds between two looks


def find(path: Path) -> Path:
    """Return the folder of the queue that *path* means: itself, or the newest in it.

    Raises:
        RunError: If there is none.
    """
    if os.path.lexists(path / FILE):
        return gate.named(path)
    found = [each.parent for each in path.glob(f"{FOLDER}*/{FILE}") if not each.parent.is_symlink()]
    if not found:
        raise RunError(
            f"{path} has no queue. Expected the directory of a multirun, or the folder {FOLDER} in it. What runs and "
            "waits on this machine is listed by: leyden jobs"
        )
    return max(found, key=lambda each: (each / FILE).lstat().st_mtime_ns).resolve()


def follow(folder: Path, screen: Screen) -> int:
    """Show a queue that another process runs until it ends; returns its exit code, or 130 after Ctrl-C."""
    paths = QueueRecord.read(folder).directories
    directories = existing(paths)
    screen.say(f"follows the queue in {screen.shown(folder)}; Ctrl-C leaves it alone")
    try:
        with screen:
            while is_held(folder):
                screen.show(lambda: [(each, standing(each)) for each in directories])
                time.sleep(_PAUSE)
    except KeyboardInterrupt:
        screen.say(f"the queue goes on: leyden queue {screen.shown(folder)}, or stop it: leyden jobs cancel")
        return 130
    rows = [(each, standing(each)) for each in directories]
    screen.summary(rows, deleted(paths))
    return code_of([each for _, each in rows])


def go_on(folder: Path, screen: Screen, hashes: Mapping[Path, str], trusted: Sequence[str]) -> int:
    """Run what the queue in *folder* has not finished; returns the exit code."""
    record = QueueRecord.read(folder)
    record.check_own()
    return Queue(record, screen, hashes, trusted, again=False).run()
