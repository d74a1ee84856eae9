"""Which of the checkpoints in a run directory a run goes on from, and which of them is looked at.

    every *.ckpt ─► an outline of each: no tensor is read ─► foreign ones are refused, by name
                                                          ─► sorted by what they say: attempt, step, number of the save
                    the newest ─► all its bytes compared with their checksums ─► damaged? named, and the one before

A checkpoint belongs to a run that has the same identity (`leyden.identity`). The identity is drawn when a directory is
made and stays with it: a directory that was moved or copied is the same run, and a copy goes on by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leyden import atomic
from leyden.errors import CheckpointError, RunError, UnsafeCheckpointError
from leyden.identity import identity_of, order
from leyden.integrity import check_whole
from leyden.runs.archive import is_checkpoint, outline
from leyden.runs.directory import RunDirectory
from leyden.warnings import log

INTERRUPTED = "interrupted.ckpt"


@dataclass(frozen=True)
class Saved:
    """A checkpoint of a run.

    Attributes:
        path: Where it lies.
        content: All of it; tensors are read when something looks at them.
        key: Sorts checkpoints from the oldest to the newest.
    """

    path: Path
    content: Mapping[str, Any]
    key: tuple[Any, ...]

    @property
    def resumable(self) -> bool:
        """Whether training can go on from it: it holds more than weights."""
        return "progress" in self.content["leyden"]


@dataclass(frozen=True)
class Choice:
    """What a run goes on from.

    Attributes:
        newest: The checkpoint; None where there is none.
        attempt: The highest number of an attempt that has written one.
        run: Identity of the run; None for one that has none.
        ahead: Checkpoints that training will write once more: newer ones of this run, and damaged ones.
    """

    newest: Path | None
    attempt: int
    run: str | None
    ahead: list[str]

    def identity(self, directory: RunDirectory, attempt: int) -> dict[str, Any]:
        """Return the arguments of an `Identity`, for all ranks."""
        return {
            "run": self.run,
            "directory": f"{directory.path.parent.name}/{directory.path.name}",
            "attempt": attempt,
            "resumed": None if self.newest is None else str(self.newest),
            "ahead": self.ahead,
        }


def choose(directory: RunDirectory, resumable: bool = True) -> Choice:
    """Choose the newest checkpoint that is whole; damaged ones are named in the log and passed over.

    Args:
        directory: Of the run.
        resumable: Whether one of weights alone will not do.

    Raises:
        RunError: If one belongs to another run, or would execute something, or if none of those there are is whole.
    """
    found, damaged = _outlined(directory)
    run = _identity(directory, found)
    _refuse_foreign(directory, found, run)
    attempt = max((identity_of(each.content).get("attempt", 0) for each in found), default=0)
    fitting = [each for each in found if each.resumable or not resumable]
    for each in reversed(fitting):
        try:
            check_whole(each.path)
        except CheckpointError as error:
            damaged[each.path] = error
        else:
            break
    else:
        if damaged:
            raise _none_left(directory, damaged)
        if found:
            log.warning(
                "%s holds checkpoints of weights alone, from which no training goes on: beginning anew", directory.path
            )
        return Choice(None, attempt, run, [str(each.path) for each in found])
    for path, problem in damaged.items():
        log.warning("passing over %s: %s", path, problem)
    later = [other.path for other in found if other.key > each.key]
    return Choice(each.path, attempt, run, list(map(str, [*later, *damaged])))


def check_own(directory: RunDirectory, path: Path) -> None:
    """Refuse a checkpoint that belongs to another run, or is not whole; one that no run has written is let through.

    Raises:
        RunError: If it belongs to another run.
        CheckpointError: If it is damaged, or none at all.
    """
    found = _saved(path)
    if found is not None and identity_of(found.content).get("id") is not None:
        _refuse_foreign(directory, [found], _identity(directory))
    check_whole(path)


def remove_interrupted(directory: RunDirectory) -> None:
    """Remove what signals had the run save: it is finished."""
    for path in directory.checkpoints.rglob(INTERRUPTED):
        atomic.remove(path)


def _outlined(directory: RunDirectory) -> tuple[list[Saved], dict[Path, CheckpointError]]:
    """Return the checkpoints of a run, the oldest first, and what is wrong with those that cannot be read."""
    found, damaged = [], {}
    for path in _files(directory.checkpoints):
        try:
            saved = _saved(path)
        except UnsafeCheckpointError as error:
            raise RunError(str(error)) from error
        except CheckpointError as error:
            damaged[path] = error
        else:
            found += [] if saved is None else [saved]
    return sorted(found, key=lambda each: each.key), damaged


def _saved(path: Path) -> Saved | None:
    content = outline(path)
    return Saved(path, content, order(content, path)) if "leyden" in content else None


def _files(folder: Path) -> list[Path]:
    """Return the checkpoints below *folder*; a link beside what it leads to is left out."""
    found = [path for path in folder.rglob("*.ckpt") if path.exists() and (path.is_dir() or is_checkpoint(path))]
    real = {path for path in found if not path.is_symlink()}
    return [path for path in found if path in real or Path(os.path.realpath(path)) not in real]


def _identity(directory: RunDirectory, found: Iterable[Saved] | None = None) -> str | None:
    """Return the identity of a run; where its status was lost, that of its newest checkpoint.

    A run that was made before there were identities has none, nor have its own checkpoints.
    """
    run = directory.status().run_id
    if run:
        return run
    said = [identity_of(each.content).get("id") for each in (_outlined(directory)[0] if found is None else found)]
    return said[-1] if said and None not in said else None


def _refuse_foreign(directory: RunDirectory, found: Iterable[Saved], run: str | None) -> None:
    for each in found:
        said = identity_of(each.content)
        if said.get("id") == run:
            continue
        whose = f"of the run {said['directory']!r:.100}" if said.get("directory") else "that no run has written"
        raise RunError(
            f"{each.path} is a checkpoint {whose}, not of {directory.path}: nothing was touched. Expected none but its "
            "own in a run's directory. Remove it, or begin a new run with its weights: leyden train "
            f"ckpt_path={each.path}"
        )


def _none_left(directory: RunDirectory, damaged: Mapping[Path, CheckpointError]) -> RunError:
    lines = "\n".join(f"  {error}" for error in damaged.values())
    return RunError(
        f"{directory.path} holds no checkpoint that is whole:\n{lines}\nRestore one, or remove the damaged ones to "
        "begin anew."
    )
