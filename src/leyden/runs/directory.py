"""One run on disk.

    <run dir>/
      config.yaml       complete and resolved: the only input of execution
      overrides.yaml    what was typed, and the option chosen of each group
      manifest.json     what the run depended on; code.patch beside it
      status.json       queued, running, finished, failed or interrupted; attempts; the first real error;
                        run_id, which its checkpoints carry, too
      result.json       the final metrics
      metrics.csv ...   what the loggers wrote
      checkpoints/      logs/rank0.log

A directory appears complete, by one rename that replaces nothing (`leyden.runs.creation`): of two
runs started at the same moment each gets its own. It may be moved: paths inside the config that lie
below the directory move along.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from leyden import atomic, regular, secrets
from leyden.config.bounded import read_json
from leyden.config.frozen import dump, load
from leyden.errors import RunError
from leyden.paths import relocated
from leyden.processes.forks import not_inherited
from leyden.runs import creation, gate
from leyden.runs.record import status
from leyden.runs.record.liveness import alive
from leyden.runs.record.status import Status

_NAMED_WITHIN = 0.5  # seconds from taking the lock of a run to having written into it who holds it


def candidates(parent: Path, stem: str) -> Iterator[Path]:
    """Yield names for a directory: the plain one, then numbered ones."""
    yield parent / stem
    number = 1
    while True:
        yield parent / f"{stem}-{number}"
        number += 1


def stamp() -> str:
    """Return the name of a run started now; microseconds make clashes rare, `RunDirectory.create` harmless."""
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")


class RunDirectory:
    """One run on disk.

    Args:
        path: An existing run directory; see `create` for a new one.

    Raises:
        RunError: If there is no run in *path*, or `leyden.runs.gate` refuses it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = gate.named(path)
        gate.check(self.path)
        if not regular.there(self.path, "config.yaml"):
            what = "holds no config.yaml" if self.path.is_dir() else "is no directory"
            raise RunError(
                f"{os.fspath(path)} {what}, so that it is no run. Expected a directory that leyden train made."
            )

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any], overrides: Mapping[str, Any]) -> RunDirectory:
        """Make the directory *path* and write down what is to be run.

        Args:
            path: Must not exist, or be empty; its parents may.
            config: Complete and resolved.
            overrides: What was typed, and the group choices.

        Raises:
            FileExistsError: If there is something else, or another process has made it in the meantime.
        """

        def fill(folder: Path) -> None:
            atomic.write_text(folder / "overrides.yaml", dump(secrets.masked_values(overrides)))
            status.create(folder)
            atomic.write_text(folder / "config.yaml", dump(config))

        creation.create(path, fill)
        return cls(path)

    @property
    def config_file(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.path / "checkpoints"

    def config(self) -> dict[str, Any]:
        """Return the config, with paths of a directory that was moved brought up to date."""
        found = load(self.config_file)
        paths = found.get("paths")
        recorded = str(paths.get("run_dir", self.path)) if isinstance(paths, dict) else str(self.path)
        moved: dict[str, Any] = relocated(found, recorded, str(self.path))
        return moved

    def status(self) -> Status:
        """Return what `status.json` says; where it is lost, what can be told without it."""
        return status.read(self.path)

    def update(self, **changes: Any) -> None:
        """Change some entries of `status.json`; the file is whole at any moment."""
        status.update(self.path, **changes)

    def result(self) -> dict[str, Any]:
        """Return what `result.json` says; empty before the run is finished."""
        return _json(self.path / "result.json")

    def write_result(self, metrics: Mapping[str, float], optimized: str | None) -> None:
        """Record the outcome: final metrics, and the one a sweep looks at, if it was logged."""
        value = None if optimized is None else metrics.get(optimized)
        atomic.write_json(
            self.path / "result.json", {"metrics": dict(metrics), "optimized_metric": optimized, "value": value}
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for one executing process; the lock goes with the process, and forked ones do not have it.

        Raises:
            RunError: If another process is executing it.
        """
        with regular.held(self.path, gate.LOCK) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RunError(
                    f"{self.path} is being executed by {_holder(file)}. Wait until it is done, or stop it first."
                ) from None
            file.truncate(0)
            file.seek(0)
            file.write(str(os.getpid()).encode())
            with not_inherited(file):
                yield


def _holder(lock: IO[bytes]) -> str:
    """Name the process that holds a lock; one that has taken it just now is about to write its number into it."""
    deadline = time.monotonic() + _NAMED_WITHIN
    while True:
        lock.seek(0)
        said = lock.read(20).decode("ascii", "replace").strip()
        pid = int(said) if said.isdecimal() else None
        if (pid is not None and alive(pid, None)) or time.monotonic() > deadline:
            return "another process" if pid is None else f"process {pid}"
        time.sleep(0.01)


def _json(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}
