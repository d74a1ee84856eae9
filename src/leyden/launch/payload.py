"""What every job executes: ``python -m leyden.run DIR``, whoever starts it.

A run directory may have been written by anybody, so that `leyden.runs.guard` judges what its
config names. Not so for one that was composed on the command line that starts the job: a
variable holds the hash of that config, and a config with this hash, byte by byte, is the user's own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from leyden.runs.directory import RunDirectory
from leyden.runs.execution import COMPOSED
from leyden.runs.manifest import config_hash


def command(directory: RunDirectory, trusted: Sequence[str] = ()) -> list[str]:
    """Return the words of one job.

    Args:
        directory: That it executes.
        trusted: What its config may name if it was not composed here: see ``--trust``.
    """
    words = [word for each in trusted for word in ("--trust", each)]
    return [sys.executable, "-m", "leyden.run", str(directory.path), *words]


def variables(directory: RunDirectory) -> dict[str, str]:
    """Return the variables of a job whose config was composed on this command line."""
    return {COMPOSED: config_hash(directory)}
