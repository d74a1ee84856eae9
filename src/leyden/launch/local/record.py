"""queue.json: what a queue was given, and what it is at; so that others can see it, and go on with it.

    <multirun>/queue/queue.json   directories, options, process, GPUs that are lent
                     queue.lock   held while the queue runs; it goes with the process
                     queue.log    what a detached queue printed

Directories are written relative to the folder: a multirun may be moved as a whole.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leyden import atomic
from leyden.config.bounded import read_json
from leyden.errors import RunError
from leyden.runs.directory import RunDirectory
from leyden.runs.record.moments import now

FILE, LOCK, LOG = "queue.json", "queue.lock", "queue.log"


@dataclass(frozen=True)
class Options:
    """How a queue was asked to run.

    Args:
        slots: Runs at a time; None leaves it to the machine.
        gpus_per_job: Lent to each run; None leaves it to the config.
    """

    slots: int | None = None
    gpus_per_job: int | None = None


@dataclass
class QueueRecord:
    """What stands in queue.json.

    Args:
        folder: That it lies in.
        directories: Of all runs, in their order.
        options: How the queue was asked to run.
        devices: GPUs that runs have at the moment, by their directory.
    """

    folder: Path
    directories: list[Path]
    options: Options
    devices: dict[Path, list[str]]

    @classmethod
    def read(cls, folder: Path) -> QueueRecord:
        """Read the record of the queue in *folder*.

        Raises:
            RunError: If there is none, or it is damaged.
        """
        file = folder / FILE
        found = read_json(file) if file.is_file() else {}
        names, options, lent = found.get("directories"), found.get("options"), found.get("devices")
        fine = isinstance(names, list) and all(isinstance(each, str) for each in names)
        if not fine or not isinstance(options, dict) or not isinstance(lent, dict):
            raise RunError(
                f"{file} {'is damaged' if file.is_file() else 'does not exist'}. Expected the record of a queue, as "
                "leyden train -m leaves it beside its runs. Start what is left with: leyden jobs retry DIR"
            )
        slots, gpus = (_count(options.get(name)) for name in ("slots", "gpus_per_job"))
        devices = {_below(folder, name): [str(each) for each in held] for name, held in lent.items()}
        return cls(folder, [_below(folder, each) for each in names or []], Options(slots, gpus), devices)

    def write(self) -> None:
        """Write it down, with this process as the one that runs the queue."""
        content = {
            "version": 1, "updated": now(), "pid": os.getpid(), "host": socket.gethostname(),
            "options": vars(self.options), "directories": [self._name(each) for each in self.directories],
            "devices": {self._name(path): names for path, names in self.devices.items()},
        }  # fmt: skip
        atomic.write_json(self.folder / FILE, content)

    def _name(self, path: Path) -> str:
        return os.path.relpath(path, self.folder)


def _below(folder: Path, name: str) -> Path:
    return Path(os.path.normpath(folder / name))


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def is_held(folder: Path) -> bool:
    """Whether a process runs the queue in *folder*."""
    try:
        with held(folder):
            return False
    except RunError:
        return True


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the queue in *folder*; the lock goes with the process.

    Raises:
        RunError: If another process runs it.
    """
    with open(folder / LOCK, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{folder} is run by another process. Follow it: leyden queue {folder}") from None
        yield


def existing(paths: Sequence[Path]) -> list[RunDirectory]:
    """Return those of *paths* in which there still is a run."""
    return [RunDirectory(path) for path in paths if not deleted([path])]


def deleted(paths: Sequence[Path]) -> list[Path]:
    """Return those of *paths* in which there is no run any more."""
    return [path for path in paths if not (path / "config.yaml").is_file()]
