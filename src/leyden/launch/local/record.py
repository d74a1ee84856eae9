"""queue.json: what a queue was given, and what it is at; so that others can see it, and go on with it.

    <multirun>/queue/queue.json   directories, options, process, GPUs that are lent
                     queue.lock   held while the queue runs; it goes with the process
                     queue.log    what a detached queue printed

Directories are written relative to the folder: a multirun may be moved as a whole.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leyden import atomic, regular
from leyden.config.bounded import read_json
from leyden.errors import RunError
from leyden.runs import origin
from leyden.runs.directory import RunDirectory
from leyden.runs.record.liveness import this_host
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
        regular.check(folder, (FILE, LOCK, LOG))
        found = read_json(file) if regular.there(folder, FILE) else {}
        names, options, lent = found.get("directories"), found.get("options"), found.get("devices")
        fine = isinstance(names, list) and all(isinstance(each, str) for each in names)
        if not fine or not isinstance(options, dict) or not isinstance(lent, dict):
            raise RunError(
                f"{file} {'is damaged' if file.is_file() else 'does not exist'}. Expected the record of a queue, as "
                "leyden train -m leaves it beside its runs. Start what is left with: leyden jobs retry DIR"
            )
        slots, gpus = (_count(options.get(name)) for name in ("slots", "gpus_per_job"))
        devices = {_below(folder, name): _texts(given) for name, given in lent.items()}
        return cls(folder, [_below(folder, each) for each in names or []], Options(slots, gpus), devices)

    def write(self) -> None:
        """Write it down, with this process as the one that runs the queue."""
        content = {
            "version": 1, "updated": now(), "pid": os.getpid(), "host": this_host(),
            "options": vars(self.options), "directories": [self._name(each) for each in self.directories],
            "devices": {self._name(path): names for path, names in self.devices.items()},
        }  # fmt: skip
        atomic.write_json(self.folder / FILE, content)

    def remember(self) -> None:
        """Write down, outside of the directory, that a launch of this user has made this queue."""
        origin.remember(self.folder, {FILE: self._identity()})

    def check_own(self) -> None:
        """Refuse a queue that another one has made, and that names runs of this user's own.

        Raises:
            RunError: Names the first.
        """
        if origin.matches(self.folder, {FILE: self._identity()}):
            return
        own = next((path for path in self.directories if origin.is_own(path)), None)
        if own is not None:
            raise RunError(
                f"{self.folder / FILE} was not written by a launch of yours, and names {own}, which was made by one. "
                "Expected a queue of your own, or runs that came with it. Start your own with: leyden jobs retry DIR"
            )

    def _identity(self) -> bytes:
        return json.dumps([vars(self.options), *map(self._name, self.directories)]).encode()

    def _name(self, path: Path) -> str:
        return os.path.relpath(path, self.folder)


def _below(folder: Path, name: str) -> Path:
    """Return the directory that *name* means: a queue holds runs that lie beside it, or the one that it lies in.

    Raises:
        RunError: If it means another one.
    """
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(folder.parent) or not Path(os.path.realpath(path)).is_relative_to(folder.parent):
        raise RunError(
            f"{folder / FILE} names {path}, which does not lie in {folder.parent}. Expected the runs of this queue: "
            "it lies beside them. Start others with: leyden jobs retry DIR"
        )
    return path


def _texts(found: Any) -> list[str]:
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


class QueueHeldError(RunError):
    """Another process runs the queue."""


def is_held(folder: Path) -> bool:
    """Whether a process runs the queue in *folder*.

    Raises:
        UnsafeFileError: If its lock is no file of its own.
    """
    try:
        with held(folder):
            return False
    except QueueHeldError:
        return True


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the queue in *folder*; the lock goes with the process.

    Raises:
        QueueHeldError: If another process runs it.
        UnsafeFileError: If its lock is no file of its own.
    """
    with regular.held(folder, LOCK) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise QueueHeldError(f"{folder} is run by another process. Follow it: leyden queue {folder}") from None
        yield


def existing(paths: Sequence[Path]) -> list[RunDirectory]:
    """Return those of *paths* in which there still is a run."""
    return [RunDirectory(path) for path in paths if not deleted([path])]


def deleted(paths: Sequence[Path]) -> list[Path]:
    """Return those of *paths* in which there is no run any more."""
    return [path for path in paths if not os.path.lexists(path / "config.yaml")]
