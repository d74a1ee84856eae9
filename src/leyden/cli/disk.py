"""What is said of a run whose disk is full, or is not to be written to."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def trouble(error: OSError, directory: Path, place: str) -> str | None:
    """Return what is wrong with the disk of a run, and what to do; None if *error* is about something else.

    Args:
        error: That ended the run.
        directory: Of the run.
        place: The same, as it is shown to people.
    """
    file = str(error.filename or directory)
    if error.errno in _FULL:
        return f"{_without_room(file, error, directory)}, then go on:  leyden run {place}"
    if error.errno in _CLOSED and Path(file).resolve().is_relative_to(directory):
        return (
            f"{file} cannot be written: {error.strerror}. Expected a run directory that this process may write to. "
            f"Change its permissions, or copy it to where you may write, then:  leyden run COPY"
        )
    return None


def full(error: OSError) -> str | None:
    """Return what is wrong where a disk is full, or a file as large as it may be; None if it is about something else.

    Args:
        error: That ended a command, outside of any run.
    """
    if error.errno not in _FULL:
        return None
    place = Path(error.filename).parent if isinstance(error.filename, str) else Path.cwd()
    return f"{_without_room(error.filename or 'a file', error, place)}, then call the command again."


def _without_room(file: str, error: OSError, folder: Path) -> str:
    free = shutil.disk_usage(folder if folder.is_dir() else Path.cwd()).free / 1e6
    return (
        f"{file} cannot be written: {error.strerror}, {free:.1f} MB are free there. Expected room for checkpoints and "
        "logs; what was saved before is whole. Make room"
    )
