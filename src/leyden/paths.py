"""Paths in states and configs, when the folder they point into has been moved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def relocated(value: Any, old: str, new: str) -> Any:
    """Exchange the folder *old* for *new* at the start of every path in a tree of dicts and lists."""
    if old == new:
        return value
    if isinstance(value, dict):
        return {relocated(key, old, new): relocated(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [relocated(item, old, new) for item in value]
    if isinstance(value, str) and (value == old or value.startswith(old + os.sep)):
        return new + value[len(old) :]
    return value


def lies_in(path: str | os.PathLike[str] | None, folder: str | os.PathLike[str] | None) -> bool:
    """Whether *path* is somewhere below *folder*."""
    return path is not None and folder is not None and Path(folder).resolve() in Path(path).resolve().parents
