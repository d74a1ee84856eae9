"""Hashes of data files, each computed once: a file that is as it was is not read again.

What was read is kept in the user's cache folder, one small file per folder of data:

    ~/.cache/leyden/hashes/<sha256 of the folder>.json     {path: [size, mtime, ctime, inode, sha256]}

It is a cache: deleting it costs time and nothing else. The time of the last change of the inode
is part of the key: it cannot be set back, as the time of the last change of the content can. A
file changed within the last seconds is not kept, since a later change may get the same time.

Data too large to be read for a hash alone are told apart by names and sizes.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from leyden import atomic

MOST_BYTES = 2**30  # of all files together; more is not read
MOST_FILES = 2_000
LISTED = 50_000  # files of a folder that are looked at
_FRESH = 2 * 10**9  # nanoseconds


def identify(path: Path) -> dict[str, Any]:
    """Describe the file or folder *path*.

    Returns:
        ``files`` and ``bytes`` there are, ``sha256`` over names and what ``by`` says: ``"content"``,
        or ``"names and sizes"`` where there is too much to read.
    """
    facts, complete = _facts(path)
    size = sum(fact.st_size for fact in facts.values())
    by = "content" if complete and size <= MOST_BYTES and len(facts) <= MOST_FILES else "names and sizes"
    marks = _contents(path, facts) if by == "content" else {name: str(fact.st_size) for name, fact in facts.items()}
    whole = "".join(f"{name}\0{mark}\n" for name, mark in sorted(marks.items()))
    sha256 = hashlib.sha256(os.fsencode(whole)).hexdigest()
    return {"files": len(facts), "bytes": size, "by": by, "sha256": sha256}


def cache_folder() -> Path:
    """Return where hashes are kept."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "leyden" / "hashes"


def _facts(path: Path) -> tuple[dict[str, os.stat_result], bool]:
    """Return what the file system says of each file, and whether these are all."""
    if path.is_file():
        return {path.name: path.stat()}, True
    found: dict[str, os.stat_result] = {}
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            if len(found) >= LISTED:
                return found, False
            full = Path(folder, name)
            if full.is_file():
                found[full.relative_to(path).as_posix()] = full.stat()
    return found, True


def _contents(path: Path, facts: dict[str, os.stat_result]) -> dict[str, str]:
    cache = cache_folder() / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    known = _read(cache)
    kept: dict[str, list[Any]] = {}
    marks: dict[str, str] = {}
    for name, fact in facts.items():
        key = [fact.st_size, fact.st_mtime_ns, fact.st_ctime_ns, fact.st_ino]
        entry = known.get(name, [])
        same = isinstance(entry, list) and entry[:4] == key and len(entry) == 5
        marks[name] = str(entry[4]) if same else _sha256(path if path.is_file() else path / name)
        if same or time.time_ns() - max(fact.st_mtime_ns, fact.st_ctime_ns) > _FRESH:
            kept[name] = [*key, marks[name]]
    if kept != known:
        _write(cache, kept)
    return marks


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(cache: Path) -> dict[str, Any]:
    try:
        found = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(cache: Path, kept: dict[str, list[Any]]) -> None:
    with suppress(OSError):  # a home without room, or none: the next run reads the files again
        atomic.write_json(cache, kept)
