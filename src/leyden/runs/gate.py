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
