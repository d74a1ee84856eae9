"""``hydra/launcher=local``: a queue in this process, or in one of its own in the background."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from leyden import regular
from leyden.errors import RunError
from leyden.launch.launcher import Launcher, batch_folder
from leyden.launch.local.following import FOLDER
from leyden.launch.local.queue import Queue
from leyden.launch.local.record import LOG, Options, QueueRecord, is_held
from leyden.launch.local.screen import Screen
from leyden.launch.local.standing import put_back, standing
from leyden.runs.directory import RunDirectory
from leyden.runs.manifest import config_hash
from leyden.runs.record.state import RunState

VOUCHED = "--hashes-on-stdin"
_PATIENCE = 60.0  # seconds for a process in the background to begin


class LocalQueue(Launcher):
    """Executes runs on this machine, a few at a time.

    Args:
        slots: Runs at a time; None leaves it to the machine.
        gpus_per_job: Lent to each run; None leaves it to its config.
        detach: Run the queue in the background.
        trusted: What configs may name that were not composed on this command line.
    """

    def __init__(
        self,
        slots: int | None = None,
        gpus_per_job: int | None = None,
        detach: bool = False,
        trusted: Sequence[str] = (),
    ) -> None:
        self.options, self.detach, self.trusted = Options(slots, gpus_per_job), detach, tuple(trusted)

    def start(self, directories: Sequence[RunDirectory], composed: bool = False) -> int:
        """Execute *directories*; returns the exit code, 0 at once where the queue is detached."""
        folder = batch_folder(directories, FOLDER)
        record = QueueRecord(folder, [each.path for each in directories], self.options, {})
        record.remember()
        hashes = {each.path: config_hash(each) for each in directories} if composed else {}
        screen = Screen()
        queue = Queue(record, screen, hashes, self.trusted)
        if not self.detach:
            return queue.run()
        for each in queue.waiting:
            if standing(each).state is not RunState.RUNNING:
                put_back(each)
        record.write()
        pid = _in_background(folder, hashes, self.trusted)
        screen.say(f"{len(directories)} runs in a queue in the background, process {pid}")
        screen.say(f"follow it with:  leyden queue {screen.shown(folder)}")
        return 0


def _in_background(folder: Path, hashes: Mapping[Path, str], trusted: Sequence[str]) -> int:
    """Start a process that runs the queue in *folder*, and return its number once it does.

    Raises:
        RunError: If it ends at once.
    """
    words = [word for each in trusted for word in ("--trust", each)]
    with regular.appended(folder, LOG) as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "leyden", "queue", str(folder), VOUCHED, *words],
            stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, text=True,
        )  # fmt: skip
    assert process.stdin is not None
    with process.stdin as given:
        json.dump({str(path): found for path, found in hashes.items()}, given)
    deadline = time.monotonic() + _PATIENCE
    while not is_held(folder):
        if process.poll() is not None or time.monotonic() > deadline:
            last = regular.end(folder, LOG, 2000)[0].decode("utf-8", "replace").strip()
            raise RunError(
                f"the queue in {folder} did not begin. Expected a process in the background. It said:\n{last}"
            )
        time.sleep(0.05)
    return process.pid
