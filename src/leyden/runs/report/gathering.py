"""What a run directory tells, for a page about it.

Nothing here trusts a directory, and nothing needs it to be whole: a file that is missing is
left out; one that is broken, too large, or lies somewhere else is left out and said so under
`Run.problems`. Values that look like secrets are covered, should any have been written.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from leyden import regular, secrets
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
    log = files.end("logs/rank0.log")
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

    def read(self, name: str, parsed: Callable[[bytes], Found], most: int = _SMALL) -> Any:
        """Return what *parsed* makes of a file; an empty mapping if it is missing or unreadable."""
        try:
            return parsed(regular.read(self.folder, name, most))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RunError, RecursionError) as error:
            self.problems.append(f"{name}: {error}")
            return {}

    def end(self, name: str) -> str:
        """Return the last lines of a log; nothing if it is missing or unreadable."""
        try:
            content, size = regular.end(self.folder, name, _LOG_END)
        except FileNotFoundError:
            return ""
        except (OSError, RunError) as error:
            self.problems.append(f"{name}: {error}")
            return ""
        lines = content.decode("utf-8", "replace")
        return lines if size <= _LOG_END else lines.partition("\n")[2]


def _document(content: bytes) -> dict[str, Any]:
    return _covered(json.loads(content))


def _mapping(content: bytes) -> dict[str, Any]:
    return _covered(parse(content.decode("utf-8")))


def _covered(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"holds {type(found).__name__}, not a mapping")
    return {str(key): secrets.masked_values(value, str(key)) for key, value in found.items()}


def _config(content: bytes) -> dict[str, Any]:
    """Return the values by dotted path; the run's own directory is ``<run_dir>`` in them."""
    sections = Sections()
    values = sections.values(sections.read(content.decode("utf-8")))
    return {key: secrets.masked_values(value, key.rpartition(".")[2]) for key, value in values.items()}


def _columns(content: bytes) -> dict[str, Series]:
    return columns(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="replace", newline=""))


def _losses(content: bytes) -> Series:
    values = np.frombuffer(content[: len(content) // 8 * 8], dtype="<f8")
    return series(np.arange(len(values)), values)


def _reproductions(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Return the verdicts of the directories beside *folder* that repeat it."""
    found: dict[str, Mapping[str, Any]] = {}
    with os.scandir(folder.parent) as neighbours:
        for entry, _ in zip(neighbours, range(_NEIGHBOURS), strict=False):
            if not entry.is_dir(follow_symlinks=False):
                continue
            verdict = _Files(Path(entry.path)).read("reproduction.json", _document)
            if verdict and _same_place(str(verdict.get("of")), folder):
                found[entry.name] = verdict
    return dict(sorted(found.items()))


def _same_place(recorded: str, folder: Path) -> bool:
    """Tell whether a recorded path means *folder*, also after both directories were moved together."""
    place = Path(recorded)
    return place == folder or (place.name == folder.name and not place.exists())
