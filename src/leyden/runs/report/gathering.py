"""What a run directory tells, for a page about it.

Nothing here trusts a directory, and nothing needs it to be whole: a file that is missing is
left out; one that is broken, too large, or lies somewhere else is left out and said so under
`Run.problems`. Values that look like secrets are covered, should any have been written.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from leyden import secrets
from leyden.errors import RunError
from leyden.runs.directory import RunDirectory
from leyden.runs.reading import numbers
from leyden.runs.record.liveness import state
from leyden.runs.record.state import RunState
from leyden.runs.record.status import Status
from leyden.runs.report.series import Series, columns, series
from leyden.runs.report.speed import speed
from leyden.runs.sections import Sections, parse

Found = TypeVar("Found")
_SMALL, _LARGE = 16_000_000, 1_000_000_000  # bytes
_LOG_END = 16_000_000  # bytes of the log's end that are read
_LOG_SHOWN = 30_000  # characters of it that are shown
_NEIGHBOURS = 20_000  # directories beside a run that are looked into for reproductions of it


@dataclass(frozen=True)
class Run:
    """One run, as far as its directory tells.

    Attributes:
        path: Of the directory.
        config: Resolved, by dotted path.
        typed: The overrides it was started with.
        status: What status.json says.
        state: How it stands; see `leyden.runs.record.liveness`.
        results: The final metrics.
        metrics: The columns of metrics.csv.
        losses: The loss of every training step, where a fingerprint was taken.
        manifest: What it was run with.
        fingerprint: What it came to.
        reproduces: The verdict in this directory: it repeats another one.
        reproduced: Verdicts of directories beside it that repeat this one, by name.
        speed: Training steps a second after each epoch.
        log: The end of its log.
        problems: What could not be read, and why.
    """

    path: Path
    config: Mapping[str, Any]
    typed: tuple[str, ...]
    status: Status
    state: RunState
    results: Mapping[str, float]
    metrics: Mapping[str, Series]
    losses: Series | None
    manifest: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    reproduces: Mapping[str, Any]
    reproduced: Mapping[str, Mapping[str, Any]]
    speed: Series | None
    log: str
    problems: tuple[str, ...]


def gather(path: str | os.PathLike[str]) -> Run:
    """Read the run directory *path*.

    Raises:
        RunError: If there is no run in it.
    """
    files = _Files(RunDirectory(path).path)
    status = Status.of(files.read("status.json", _document))
    results = files.read("result.json", _document).get("metrics")
    typed = files.read("overrides.yaml", _mapping).get("overrides")
    log = files.read("logs/rank0.log", _end, None) or ""
    return Run(
        path=files.folder,
        config=files.read("config.yaml", _config),
        typed=tuple(secrets.masked(str(word)) for word in typed) if isinstance(typed, list) else (),
        status=status,
        state=state(status, time.time()),
        results=numbers(results) if isinstance(results, dict) else {},
        metrics=files.read("metrics.csv", _columns, _LARGE),
        losses=files.read("losses.f64", _losses, _LARGE) or None,
        manifest=files.read("manifest.json", _document),
        fingerprint=files.read("fingerprint.json", _document),
        reproduces=files.read("reproduction.json", _document),
        reproduced=_reproductions(files.folder),
        speed=speed(log),
        log=secrets.masked(log if len(log) <= _LOG_SHOWN else log[-_LOG_SHOWN:].partition("\n")[2]),
        problems=tuple(files.problems),
    )


class _Files:
    """Files of one folder, read one by one; what is wrong with them is collected."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []

    def read(self, name: str, parsed: Callable[[Path], Found], most: int | None = _SMALL) -> Any:
        """Return what *parsed* makes of a file; an empty mapping if it is missing or unreadable."""
        path = self.folder / name
        try:
            return parsed(_checked(path, self.folder, most))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RunError, RecursionError) as error:
            self.problems.append(f"{name}: {error}")
            return {}


def _checked(path: Path, folder: Path, most: int | None) -> Path:
    """Refuse what is no file of *folder*, or too large to be what Leyden wrote."""
    found = path.stat()
    if folder not in path.resolve().parents:
        raise ValueError("leads out of the run directory; it was not read")
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("is no file")
    if most is not None and found.st_size > most:
        raise ValueError(f"has {found.st_size:,} bytes; expected less than {most:,}. It was not read")
    return path


def _document(path: Path) -> dict[str, Any]:
    return _covered(json.loads(path.read_text(encoding="utf-8")))


def _mapping(path: Path) -> dict[str, Any]:
    return _covered(parse(path.read_text(encoding="utf-8")))


def _covered(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"holds {type(found).__name__}, not a mapping")
    return {str(key): secrets.masked_values(value, str(key)) for key, value in found.items()}


def _config(path: Path) -> dict[str, Any]:
    """Return the values by dotted path; the run's own directory is ``<run_dir>`` in them."""
    sections = Sections()
    values = sections.values(sections.read(path.read_text(encoding="utf-8")))
    return {key: secrets.masked_values(value, key.rpartition(".")[2]) for key, value in values.items()}


def _columns(path: Path) -> dict[str, Series]:
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        return columns(file)


def _losses(path: Path) -> Series:
    values = np.fromfile(path, dtype="<f8")
    return series(np.arange(len(values)), values)


def _end(path: Path) -> str:
    """Return the last lines of a log."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _LOG_END))
        lines = file.read(_LOG_END).decode("utf-8", "replace")
    return lines if size <= _LOG_END else lines.partition("\n")[2]


def _reproductions(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Return the verdicts of the directories beside *folder* that repeat it."""
    found: dict[str, Mapping[str, Any]] = {}
    with os.scandir(folder.parent) as neighbours:
        for entry, _ in zip(neighbours, range(_NEIGHBOURS), strict=False):
            verdict = _Files(Path(entry.path)).read("reproduction.json", _document)
            if verdict and _same_place(str(verdict.get("of")), folder):
                found[entry.name] = verdict
    return dict(sorted(found.items()))


def _same_place(recorded: str, folder: Path) -> bool:
    """Tell whether a recorded path means *folder*, also after both directories were moved together."""
    place = Path(recorded)
    return place == folder or (place.name == folder.name and not place.exists())
