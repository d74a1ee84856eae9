"""What differs between runs: the keys of their configs, their code, environment, data and metrics.

Each side is a mapping of dotted paths; a line of the result is a path whose values are not
all the same. What one run does not have shows as `MISSING`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from leyden import regular
from leyden.errors import RunError
from leyden.runs.difference import STARTING
from leyden.runs.listing import MISSING, one
from leyden.runs.reading import document, numbers
from leyden.runs.sections import flat

SECTIONS = ("config", "code", "environment", "data", "metrics")
LARGEST = 50_000_000  # bytes of a patch that are looked at
_ENVIRONMENT = ("environment", "determinism", "seeds", "world", "slurm", "entry")
_DATA = ("data", "loaders")
_STARTING = tuple(f"variables.{name}" for name in (*STARTING, "*_CACHE_DIR"))
_FILE_OF_PATCH = re.compile(r"^diff --git a/.* b/(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same in all runs.

    Args:
        key: Dotted path.
        values: One for each run, in their order.
    """

    key: str
    values: tuple[Any, ...]


def differences(paths: Sequence[Path]) -> dict[str, list[Difference]]:
    """Return what differs between the runs in *paths*, by section.

    Raises:
        RunError: If there is no run in one of them.
    """
    sides = [side(path) for path in paths]
    return {section: _differing([each[section] for each in sides]) for section in SECTIONS}


def side(path: Path) -> dict[str, dict[str, Any]]:
    """Return everything about the run in *path* that is compared, by section and dotted path."""
    run = one(path, path.parent)
    manifest = document(path / "manifest.json")
    return {
        "config": run.config(),
        "code": _code(path, manifest),
        "environment": {"status.host": run.status.host or None, **_flat(manifest, _ENVIRONMENT)},
        "data": _flat(manifest, _DATA),
        "metrics": {**run.facts["metrics"], **fingerprint(path)},
    }


def fingerprint(path: Path) -> dict[str, Any]:
    """Return the hashes in a run's fingerprint, short."""
    found = document(path / "fingerprint.json")
    parts = {name: part for name, part in found.items() if isinstance(part, dict)}
    return {
        f"fingerprint.{name}": str(part["sha256"])[:12]
        for name, part in parts.items()
        if part.get("sha256") and name != "final_metrics"
    }


def _differing(sides: Sequence[Mapping[str, Any]]) -> list[Difference]:
    keys = dict.fromkeys(key for each in sides for key in each)
    rows = [Difference(key, tuple(each.get(key, MISSING) for each in sides)) for key in keys]
    return [row for row in rows if any(not same(value, row.values[0]) for value in row.values[1:])]


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same, to the last bit and the type: 1 is not 1.0, NaN is NaN."""
    return type(one) is type(other) and (one == other or repr(one) == repr(other))


def _flat(manifest: Mapping[str, Any], parts: Iterable[str]) -> dict[str, Any]:
    """Return parts of a manifest by dotted path; the name of the part ``environment`` is left out."""
    found = {key: value for part in parts if part in manifest for key, value in flat(manifest[part], part)}
    named = {key.removeprefix("environment."): value for key, value in found.items()}
    return {key: value for key, value in named.items() if not any(fnmatchcase(key, each) for each in _STARTING)}


def _code(path: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of the code, and a line for each file that is not as committed."""
    code = manifest.get("code")
    if not isinstance(code, dict):
        return {}
    found = {key: code.get(key) for key in ("hash", "commit", "branch", "dirty", "root") if code.get(key) is not None}
    untracked = code.get("untracked")
    for file, digest in untracked.items() if isinstance(untracked, dict) else ():
        found[f"file {file}"] = f"not in git, {str(digest)[:12]}"
    return found | changed_files(path / "code.patch")


def changed_files(patch: Path) -> dict[str, str]:
    """Return for each file that a patch changes how many lines it adds and removes."""
    try:
        with regular.opened(patch.parent, patch.name) as file:
            text = file.read(LARGEST).decode("utf-8", "replace")
    except (OSError, RunError):
        return {}
    names = _FILE_OF_PATCH.findall(text)
    parts = _FILE_OF_PATCH.split(text)[2::2]
    return {f"file {name}": _counted(part) for name, part in zip(names, parts, strict=True)}


def _counted(part: str) -> str:
    lines = part.partition("\n@@")[2].splitlines()
    added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    return f"changed, +{added} -{removed}, {_digest(part)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def delta(row: Difference) -> float | None:
    """Return by how much the second of two numbers differs from the first; None where that means nothing."""
    both = numbers(dict(enumerate(row.values)))
    return both["1"] - both["0"] if len(row.values) == 2 and len(both) == 2 else None
