"""Files that are either whole or not there: written beside their place, flushed, then renamed.

A process killed in the middle leaves at most a file ending in ``.tmp``, never half a file
under the real name. The same holds for folders, which are filled beside their place.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


def write(path: str | os.PathLike[str], fill: Callable[[IO[bytes]], Any]) -> Path:
    """Create or replace *path* by what *fill* writes, in one step.

    Args:
        path: Target; missing folders are made.
        fill: Called with an open binary file in the same folder.

    Returns:
        The path.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch, handle = _scratch(target)
    try:
        with open(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        put(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return target


def _scratch(target: Path) -> tuple[Path, int]:
    """Open a new file beside *target*: never one that is there, since it might be a link to another place."""
    usual = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        return usual, _new(usual)
    except FileExistsError:  # of a process that was killed
        with suppress(OSError):
            usual.unlink()
    try:
        return usual, _new(usual)
    except FileExistsError:
        another = usual.with_name(f"{usual.stem}.{os.urandom(4).hex()}.tmp")
        return another, _new(another)


def _new(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def put(scratch: Path, target: Path) -> None:
    """Give a finished file or folder its real name, in the place of what has had it.

    Where one of the two is a folder, that takes two steps. Between them what was there before is called
    ``NAME.old.ckpt``, say, so that there is never nothing.
    """
    if target.is_symlink() or not (target.is_dir() or (scratch.is_dir() and target.exists())):
        if target.is_symlink() and scratch.is_dir():
            target.unlink()
        os.replace(scratch, target)
    else:
        old = target.with_name(f"{target.stem}.old{target.suffix}")
        remove(old)
        os.replace(target, old)
        os.replace(scratch, target)
        remove(old)
    sync_folder(target.parent)


def remove(path: str | os.PathLike[str]) -> None:
    """Delete a file, or a folder with all that is in it, if it is there: a folder loses its name first."""
    target = Path(path)
    if target.is_symlink() or not target.is_dir():
        target.unlink(missing_ok=True)
        return
    doomed = target if target.name.endswith(".tmp") else target.with_name(f".{target.name}.{os.getpid()}.tmp")
    if doomed != target:
        os.replace(target, doomed)
    shutil.rmtree(doomed)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Create or replace a UTF-8 text file in one step."""
    return write(path, lambda file: file.write(text.encode()))


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """Create or replace a JSON file in one step."""
    return write_text(path, json.dumps(value, indent=2) + "\n")


def sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the file system allows to ask for it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network file systems refuse to sync a folder
    finally:
        os.close(handle)
