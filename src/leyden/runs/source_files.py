"""Which files are source: what a person writes and a run depends on, as opposed to what a run writes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

LARGEST = 2**20  # bytes; nobody writes more than that by hand
SUFFIXES = frozenset(
    ".c .cc .cfg .cpp .cu .cuh .cxx .h .hpp .ini .jinja .jl .proto .pxd .py .pyi .pyx .rs .sh .toml .yaml .yml".split()
)
OUTPUTS = frozenset("lightning_logs mlruns multirun outputs runs wandb".split())  # at the top of a project
_NEVER = frozenset("__pycache__ node_modules site-packages".split())
_LOOKED_AT = 20_000  # files of a folder without git
_TAKEN = 2_000  # and source files among them


def is_source(path: str) -> bool:
    """Tell from its name whether a file is source; nothing hidden is."""
    return os.path.splitext(path)[1] in SUFFIXES and "/." not in f"/{path}"


def read_source(path: Path, largest: int | None = LARGEST) -> bytes | None:
    """Return the content of a source file; None if it is something else, too large, or cannot be read."""
    if not is_source(path.name):
        return None
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or (largest is not None and found.st_size > largest):
            return None
        return path.read_bytes()
    except OSError:
        return None


def without_runs(paths: Iterable[str]) -> list[str]:
    """Return *paths*, relative to a project, without those that lie in run directories or folders of outputs."""
    given = sorted(paths)
    runs = _folders_of(given, "status.json") & _folders_of(given, "config.yaml")
    return [path for path in given if not _is_output(path) and runs.isdisjoint(_parents(path))]


def found_in(root: Path) -> list[str]:
    """Return the source files below *root*, relative to it, sorted; without environments and what runs wrote.

    Of a folder that is no project but half a disk, the first few thousand.
    """
    found: list[str] = []
    seen = 0
    for folder, folders, files in os.walk(root):
        seen += len(files)
        if seen > _LOOKED_AT or len(found) > _TAKEN:
            break
        here = os.path.relpath(folder, root)
        inside = "" if here == "." else f"{here}/"
        if inside and ("pyvenv.cfg" in files or {"status.json", "config.yaml"} <= set(files)):
            folders[:] = []
            continue
        folders[:] = sorted(name for name in folders if _is_looked_into(name, top=not inside))
        found += [f"{inside}{name}" for name in files if is_source(name)]
    return sorted(found[:_TAKEN])


def _folders_of(paths: Iterable[str], name: str) -> set[str]:
    return {path.rpartition("/")[0] for path in paths if path.endswith(f"/{name}")}


def _is_looked_into(name: str, top: bool) -> bool:
    return not name.startswith(".") and name not in _NEVER and not (top and name in OUTPUTS)


def _is_output(path: str) -> bool:
    first, _, rest = path.partition("/")
    return bool(rest) and first in OUTPUTS


def _parents(path: str) -> set[str]:
    return {str(parent) for parent in PurePosixPath(path).parents}
