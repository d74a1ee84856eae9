"""Which run directories the user's own launches made: recorded in the user's state folder, out of a directory's reach.

    leyden train, submit   ─►  <state>/leyden/origins/<hash of the path>.json     path, SHA-256 of each recorded part
    leyden run, reproduce  ─►  same path, same bytes?  yes: the user's own.  no: judged like anybody's

Where a directory lies, and what it says about itself, tells nothing: both are in the hands of its author. A
directory that was moved, copied (``mv``, ``cp -r``), edited by hand, or made on a machine with another home folder
has no record here. It is judged like a stranger's, and ``--trust`` allows what it needs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from leyden import regular
from leyden.config.bounded import LARGEST
from leyden.errors import UnsafeFileError

CONFIG = "config.yaml"
_CODE = "code"
_PATCH = "code.patch"
_LARGEST_PATCH = 2**30  # bytes
_LARGEST = 2**16  # bytes of a record


def remember(folder: Path, parts: Mapping[str, bytes]) -> None:
    """Record that a launch of this user has made *folder* with these *parts*; earlier parts are kept.

    A state folder that cannot be written loses the record: then the directory is judged like anybody's.

    Args:
        folder: A run directory, or another folder whose files decide on what is executed.
        parts: Their contents by name.
    """
    record = {"path": _real(folder), "parts": {**_parts(folder), **_hashes(parts)}}
    file = _file(folder)
    scratch = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch.write_text(json.dumps(record), encoding="utf-8")
        os.replace(scratch, file)


def matches(folder: Path, parts: Mapping[str, bytes]) -> bool:
    """Whether a launch of this user has made *folder*, with exactly these *parts*."""
    known = _parts(folder)
    return bool(parts) and all(known.get(name) == found for name, found in _hashes(parts).items())


def remember_run(path: Path, code: Mapping[str, Any] | None = None) -> None:
    """Record a run directory that was just made from a config composed on this command line.

    Args:
        path: Of the directory.
        code: What its manifest says about its code, if there is a manifest.
    """
    remember(path, {CONFIG: (path / CONFIG).read_bytes(), **({} if code is None else _code(path, code))})


def renew_code(path: Path, code: Mapping[str, Any]) -> None:
    """Record the code of a run again, which its first process has determined; only for a run that is the user's own."""
    if is_own(path):
        remember(path, _code(path, code))


def is_own(path: Path) -> bool:
    """Whether the run directory *path* was made by this user's own launch, and its config is still the same."""
    with suppress(OSError, UnsafeFileError):
        return matches(path, {CONFIG: regular.read(path, CONFIG, LARGEST)})
    return False


def is_own_code(path: Path, code: Mapping[str, Any]) -> bool:
    """Whether the code that the manifest of *path* names, and its patch, were recorded by this user's own launch."""
    return is_own(path) and matches(path, _code(path, code))


def _code(path: Path, code: Mapping[str, Any]) -> dict[str, bytes]:
    content = b""
    with suppress(OSError, UnsafeFileError):
        content = regular.read(path, _PATCH, _LARGEST_PATCH)
    return {
        _CODE: json.dumps(code, sort_keys=True, default=str).encode(),
        _PATCH: content,
    }


def _hashes(parts: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}


def _parts(folder: Path) -> dict[str, str]:
    """Return the hashes recorded for *folder*; empty if there is no record."""
    try:
        with open(_file(folder), encoding="utf-8") as file:
            record = json.loads(file.read(_LARGEST))
        return dict(record["parts"]) if record["path"] == _real(folder) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _file(folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(_real(folder))).hexdigest()[:32]
    return user_state() / "origins" / f"{name}.json"


def _real(folder: Path) -> str:
    return os.path.realpath(folder)


def user_state() -> Path:
    """Return the folder for what this user's launches have to remember."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "leyden"
