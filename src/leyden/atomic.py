"""Files that are either whole or not there: written beside their place, flushed, then renamed.

A process killed in the middle leaves at most a file ending in ``.tmp``, never half a file
under the real name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
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
    scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(scratch, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
    _sync_folder(target.parent)
    return target


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Create or replace a UTF-8 text file in one step."""
    return write(path, lambda file: file.write(text.encode()))


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """Create or replace a JSON file in one step."""
    return write_text(path, json.dumps(value, indent=2) + "\n")


def _sync_folder(folder: Path) -> None:
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
