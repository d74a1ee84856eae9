"""Runs that are kept, and runs that are not: pins, and a trash folder beside them.

Nothing is deleted at once. A removed run moves to ``<output folder>/.trash/<time>/``, in one
step on the same disk, and comes back by being moved back.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from leyden import atomic, regular
from leyden.errors import RunError
from leyden.runs.gate import PIN
from leyden.runs.reading import is_run
from leyden.runs.record.liveness import state
from leyden.runs.record.state import EXECUTED, RunState
from leyden.runs.record.status import read

TRASH = ".trash"


def pin(path: Path) -> None:
    """Protect a run from being removed."""
    regular.held(path, PIN).close()


def unpin(path: Path) -> None:
    """Take the protection away."""
    if regular.there(path, PIN):
        (path / PIN).unlink(missing_ok=True)


def refusal(path: Path) -> str | None:
    """Return why the run in *path* must not be removed; None if it may be."""
    if not is_run(str(path)):
        return f"{path} is no run: it holds no config.yaml beside a status.json"
    if os.path.lexists(path / PIN):
        return f"{path} is pinned. Take the pin off first: leyden runs pin --off {path}"
    status = read(path)
    standing = state(status, time.time())
    if standing in EXECUTED:
        where = f"by process {status.pid} on {status.host}"
        heard = "" if standing is RunState.RUNNING else ", which has not been heard of lately but may well be at work"
        return f"{path} is being executed {where}{heard}. Stop it first"
    if path.resolve() in (Path.cwd(), *Path.cwd().parents):
        return f"{path} holds the current directory. Leave it first: cd .."
    return None


def remove(path: Path, root: Path) -> Path:
    """Move a run to the trash; returns where it lies now.

    Args:
        path: Of the run.
        root: The output folder; a run outside of it goes to a trash folder beside itself.

    Raises:
        RunError: If it is pinned, is being executed, or cannot be moved.
    """
    from leyden.runs.directory import RunDirectory

    reason = refusal(path)
    if reason is not None:
        raise RunError(reason)
    path, root = path.resolve(), root.resolve()
    inside = root in path.parents
    directory = RunDirectory(path)
    target = _place(root if inside else path.parent) / (path.relative_to(root) if inside else path.name)
    with directory.locked():  # nobody begins to execute it while it moves
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, target)
        except OSError as error:
            raise RunError(f"{path} cannot be moved to {target}: {error}. Look who owns the folders.") from error
    return target


def _place(folder: Path) -> Path:
    """Return a new folder in the trash, named by the moment."""
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    trash, number = regular.folder(folder, TRASH), 0
    while True:
        place = trash / (f"{name}-{number}" if number else name)
        try:
            place.mkdir()
        except FileExistsError:
            number += 1
        else:
            return place


def trashed(root: Path) -> list[Path]:
    """Return what lies in the trash of an output folder, the oldest first.

    Raises:
        UnsafeFileError: If the trash is a link, or no folder.
    """
    regular.check(root, (), (TRASH,))
    folder = root / TRASH
    return sorted(folder.iterdir()) if folder.is_dir() else []


def size(path: Path) -> int:
    """Return the bytes that a file, or the files below a folder, take; links are not followed.

    What is deleted while they are counted takes none.
    """
    if os.path.islink(path) or not os.path.isdir(path):
        return _taken(path)
    return sum(_taken(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _taken(file: str | Path) -> int:
    try:
        return os.lstat(file).st_size
    except FileNotFoundError:
        return 0


def empty(root: Path) -> int:
    """Delete what lies in the trash of an output folder, for good; returns how much it was."""
    places = trashed(root)
    for place in places:
        atomic.remove(place)  # of a link the link alone
    return len(places)
