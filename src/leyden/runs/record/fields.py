"""Typed values out of a JSON file that may hold anything: what has another type than it should is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leyden import regular
from leyden.errors import UnsafeFileError

LARGEST = 2**20  # bytes of a file with one record
_LONGEST = 100_000  # characters of one text
_MOST = 2**63


def load(folder: Path, name: str) -> dict[str, Any]:
    """Return the plain entries of the mapping in a JSON file; dicts and lists in it are no part of a record.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything else, is no regular file, is too large or too deep; the message says which.
        OSError: If it may not be read.
    """
    try:
        found = json.loads(regular.read(folder, name, LARGEST))
    except UnsafeFileError:
        raise
    except (ValueError, RecursionError):
        raise ValueError("is torn or no JSON") from None
    if not isinstance(found, dict):
        raise ValueError(f"holds a {type(found).__name__}, not a mapping")
    return {key: value for key, value in found.items() if not isinstance(value, dict | list)}


def text(found: Mapping[str, Any], key: str) -> str:
    """Return a text; empty if there is none."""
    value = found.get(key)
    return value[:_LONGEST] if isinstance(value, str) else ""


def whole(found: Mapping[str, Any], key: str) -> int | None:
    """Return a whole number of at most 64 bits; None if there is none."""
    value = found.get(key)
    return value if type(value) is int and abs(value) < _MOST else None
