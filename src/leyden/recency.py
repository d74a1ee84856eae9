"""Which of several checkpoints is the newest: what they say of themselves, where they are of one run.

Those of one run are sorted by attempt, step and number of the save, see `leyden.identity`; one that cannot be read is
the oldest. Anything else is sorted by the disk's clock, as in Lightning: scripts number no attempts, and their fits
have nothing in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from leyden.errors import CheckpointError
from leyden.identity import identity_of, order
from leyden.integrity import check_whole
from leyden.loading import read
from leyden.warnings import log

Outline = Callable[[Path], Mapping[str, Any]]


def outline(path: Path) -> dict[str, Any]:
    """Read a checkpoint, but not its tensors, nor what would tell that one of these is damaged.

    Raises:
        CheckpointError: If it cannot be read.
    """
    return read(path, whole=False, mapped=True)


def oldest_first(paths: Iterable[Path], look: Outline = outline) -> list[Path]:
    """Sort checkpoints by their age.

    Args:
        paths: Existing files, or folders that several ranks have written.
        look: What reads all of a checkpoint but its tensors.
    """
    found = {path: _content(path, look) for path in paths}
    readable = {path: content for path, content in found.items() if content is not None}
    runs = {identity_of(content).get("id") for content in readable.values()}
    if len(runs) != 1 or None in runs:
        return sorted(found, key=_written)
    damaged = [path for path in found if path not in readable]
    return sorted(damaged) + sorted(readable, key=lambda path: order(readable[path], path))


def _written(path: Path) -> int:
    """Return when a checkpoint was written; one that was deleted meanwhile is older than any other."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def newest(paths: Iterable[str]) -> str | None:
    """Return the newest of some checkpoints that is whole; damaged ones are named in the log and passed over.

    Returns:
        None if there are none; the newest if all are damaged, so that reading it says what is wrong.
    """
    found = oldest_first(map(Path, dict.fromkeys(paths)))[::-1]
    problems = {path: problem for path in found if (problem := _problem(path, outline))}
    for path in found:
        if path in problems:
            continue
        if problem := _problem(path, check_whole):
            problems[path] = problem
            continue
        for each, why in problems.items():
            log.warning("passing over %s: %s", each, why)
        return str(path)
    return str(found[0]) if found else None


def _problem(path: Path, check: Callable[[Path], object]) -> CheckpointError | None:
    try:
        check(path)
    except CheckpointError as error:
        return error
    return None


def _content(path: Path, look: Outline) -> Mapping[str, Any] | None:
    try:
        return look(path)
    except (CheckpointError, OSError):
        return None
