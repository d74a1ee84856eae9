"""What comes before anything else is done with a run directory: its files are files, and its name is a name.

A directory may have been made by anybody. Whatever has the name of a file that Leyden opens must be a regular file, and
what has the name of a folder that it writes into must be a folder: no link, no pipe, no device. `check` costs some
twenty looks at names and reads nothing. It is part of making a `leyden.runs.directory.RunDirectory` and of finding a
run by name, so that no command can leave it out; opening a file later is judged once more by `leyden.regular`.

    check       every command that is given a directory
    contained   also what executes or moves it: all files below it      leyden.runs.guard
    admitted    also what builds its config                             leyden.runs.guard
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from leyden import regular
from leyden.errors import RunError

LOCK, PIN = ".lock", "pinned"
FILES = (
    "config.yaml", "overrides.yaml", "status.json", "manifest.json", "result.json", "job.json", "attempts.jsonl",
    "fingerprint.json", "reproduction.json", "metrics.csv", "losses.f64", "code.patch", LOCK, PIN,
)  # fmt: skip
"""Names of files at the top of a run directory that Leyden opens."""

FOLDERS = ("logs",)
"""Names of folders that Leyden writes into itself; links in the place of others are judged by `leyden.runs.guard`."""


def named(given: str | os.PathLike[str]) -> Path:
    """Return the directory that a command was given, links on the way to it resolved.

    Raises:
        RunError: If it is itself a link that leads out of the folder it lies in, to a place that is not trusted: what
            was meant to be done to a stranger's run would be done to another one.
    """
    path = Path(given)
    real = path.resolve()
    if path.is_symlink() and not real.is_relative_to(path.parent.resolve()) and not _reaches(real, path.parent):
        raise RunError(
            f"{os.fspath(given)} is a link to {real}, which lies somewhere else. Expected a directory. If that one is "
            "meant, give its own path."
        )
    return real


def is_followed(link: Path, path: Path) -> bool:
    """Whether a folder of the run in *path* may be looked into: it is no link, or leads to what is trusted."""
    return not link.is_symlink() or _reaches(link.resolve(), path)


def _reaches(target: Path, path: Path) -> bool:
    from leyden.config.trust import Trust  # reads the project's settings

    return Trust.of(path).reaches(target)


def check(path: Path) -> None:
    """Refuse a run directory whose files are none, or whose name could be taken for something else.

    Args:
        path: Links on the way to it resolved.

    Raises:
        RunError: If its path has line breaks or other control characters.
        UnsafeFileError: Names the file, and what it is.
    """
    name = os.fspath(path)
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        raise RunError(
            f"the path {name!r} has control characters, which scripts and logs would take for lines of their own. "
            "Expected a name of letters, digits and signs. Rename the directory."
        )
    regular.check(path, FILES, FOLDERS)
