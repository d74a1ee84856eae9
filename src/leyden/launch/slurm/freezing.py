"""A copy of the project's code, for jobs that must not see what is edited while they wait.

In a git repository: all tracked files as they are now, and sources that nobody has added yet.
Elsewhere: all sources. Relative paths of a config lead where they led before: what is frozen is code.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from leyden.config.project import project_root
from leyden.errors import ConfigurationError
from leyden.runs.code import GitError, git
from leyden.runs.source_files import found_in, read_source, without_runs
from leyden.warnings import log

FOLDER = "code"
_LARGEST = 10 * 2**20  # bytes of a file; larger ones are data


def freeze(batch: Path) -> Path:
    """Copy the code of the current project into *batch*; returns the folder of the copy.

    Raises:
        ConfigurationError: If the current directory lies in no project.
    """
    root = project_root()
    if root is None:
        raise ConfigurationError(
            f"hydra.launcher.freeze_code is true, but {Path.cwd()} lies in no project. Expected a folder with conf/ or "
            "pyproject.toml, here or above. Submit from inside of it, or leave freeze_code out."
        )
    left_out = []
    for name in _files(root):
        source, target = root / name, batch / FOLDER / name
        if not source.is_file():
            continue  # deleted, and not yet in the index
        if source.stat().st_size > _LARGEST:
            left_out.append(name)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    if left_out:
        log.warning("too large for code, not in the frozen copy: %s", ", ".join(left_out))
    return batch / FOLDER


def _files(root: Path) -> list[str]:
    """Return what belongs to the code, relative to *root*."""
    try:
        tracked = _names(git(root, "ls-files", "--cached", "--recurse-submodules", "-z"))
        others = _names(git(root, "ls-files", "--others", "--exclude-standard", "-z"))
    except (GitError, OSError):
        return found_in(root)
    if not tracked:  # a folder inside of a repository that knows nothing of it
        return found_in(root)
    return [*tracked, *(name for name in without_runs(others) if read_source(root / name) is not None)]


def _names(answer: bytes) -> list[str]:
    return [os.fsdecode(name) for name in answer.split(b"\0") if name]
