"""What a list of runs tells about one directory, read from its small files.

Nothing here trusts a directory: a file that is missing, broken, too large or of another
shape is left out, and why is said under ``problem``.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

from leyden import regular
from leyden.config.bounded import LARGEST
from leyden.errors import RunError
from leyden.runs.gate import PIN
from leyden.runs.record.status import read as read_status
from leyden.runs.sections import Sections
from leyden.runs.signature import signature

Facts = dict[str, Any]
_LONGEST = 1000  # characters of one entry of a status
_TAIL = 65_536  # bytes of metrics.csv that the last values are looked for in
_CODE = ("hash", "commit", "branch", "dirty")


def is_run(path: str) -> bool:
    """Tell whether the folder *path* is a run: it holds a config, and what Leyden writes beside it.

    What has their names may be anything: a link, a pipe. Nothing of it is opened here; see `leyden.runs.gate`.
    """
    beside = ("status.json", "overrides.yaml")
    return os.path.lexists(f"{path}/config.yaml") and any(os.path.lexists(f"{path}/{name}") for name in beside)


def facts(path: str, sections: Sections) -> Facts | None:
    """Return what is told about the run in *path*, as plain values; None if there is no run.

    Args:
        path: Of the directory.
        sections: Where the parts of its config are kept; they are referred to by number.
    """
    if not is_run(path):
        return None
    problems: list[str] = []
    config = _sections(path, "config.yaml", sections, problems)
    status = read_status(Path(path))
    metrics = document(f"{path}/result.json", 1_000_000).get("metrics")
    manifest = document(f"{path}/manifest.json")
    return {
        "config": config,
        "typed": _sections(path, "overrides.yaml", sections, problems),
        "status": status.entries(_LONGEST),
        "metrics": numbers(metrics) if isinstance(metrics, dict) else last_values(Path(path, "metrics.csv")),
        "code": _code(manifest),
        "pinned": os.path.lexists(f"{path}/{PIN}"),
        "signature": signature({sections.rows[at][1]: sections.rows[at][3] for at in config.values()})
        if config
        else "",
        "problem": "; ".join(filter(None, [*problems, status.problem])),
    }


def document(path: str | Path, limit: int = 64_000_000) -> dict[str, Any]:
    """Return the mapping in a JSON file; an empty one if there is none, or it is larger than *limit* bytes."""
    try:
        found = json.loads(regular.read(*os.path.split(path), limit))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _code(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return which code a run was made with; without the hash if its attempts were executed with another one, too."""
    code, attempts = manifest.get("code"), manifest.get("attempts")
    if not isinstance(code, dict):
        return {}
    found = {key: code.get(key) for key in _CODE}
    executed = [each.get("code") for each in attempts if isinstance(each, dict)] if isinstance(attempts, list) else []
    return {**found, "hash": None} if any(each != found["hash"] for each in executed) else found


def numbers(values: dict[Any, Any]) -> dict[str, float]:
    """Return those of *values* that are numbers."""
    return {str(name): value for name, value in values.items() if type(value) in (int, float)}


def last_values(path: Path) -> dict[str, float]:
    """Return the last number in each column of a ``metrics.csv``: how an unfinished run stands."""
    try:
        with regular.opened(path.parent, path.name) as file:
            header = file.readline(_TAIL)
            start = max(len(header), os.fstat(file.fileno()).st_size - _TAIL)
            file.seek(start)
            lines = file.read(_TAIL).decode("utf-8", "replace").split("\n")[:-1]  # the last one may be torn
        names = next(csv.reader([header.decode("utf-8", "replace")]), [])
    except (OSError, ValueError, csv.Error):
        return {}
    found: dict[str, float] = {}
    for line in reversed(lines[1:] if start > len(header) else lines):
        cells = zip(names, line.split(","), strict=False)
        found |= {name: float(cell) for name, cell in cells if name not in found and _is_number(cell)}
    return {name: found[name] for name in names if name in found and name not in ("step", "epoch")}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _sections(path: str, name: str, sections: Sections, problems: list[str]) -> dict[str, int]:
    try:
        return sections.read(regular.read(path, name, LARGEST).decode("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RunError) as error:
        problems.append(f"{name}: {error}")
        return {}
