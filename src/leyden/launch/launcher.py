"""What a launcher is: something that run directories are handed to.

    leyden train -m ... ─► one directory a run, "queued" ─► launcher.start(directories) ─► python -m leyden.run DIR

A Hydra plugin (`leyden.config.launchers.LauncherPlugin`) makes one from the values of
``hydra.launcher``; the commands that look after jobs make them as well.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from leyden.errors import RunError
from leyden.runs.directory import RunDirectory, candidates

_ATTEMPTS = 1000


class Launcher(ABC):
    """Executes run directories, or has them executed somewhere else."""

    @abstractmethod
    def start(self, directories: Sequence[RunDirectory], composed: bool = False) -> int:
        """Execute *directories*, or hand them over.

        Whether this waits until they have ended is an option of the launcher, not of this call.

        Args:
            directories: Made by this command or an earlier one; those that are finished need nothing.
            composed: Their configs were composed on this command line, so that whoever gives the
                command is their author: see `leyden.launch.payload.variables`.

        Returns:
            The exit code of the command: 0 if all runs have finished, or were handed over.

        Raises:
            ConfigurationError: If they cannot be started as the launcher was told to; nothing was started.
        """


def batch_folder(directories: Sequence[RunDirectory], name: str) -> Path:
    """Make the folder in which a launcher keeps what belongs to several runs: scripts, logs, lists.

    It lies in the multirun's directory, beside the runs; for a single run in the run's own.

    Args:
        directories: That are started together.
        name: Of the folder, ``"queue"`` say; numbered where there is one already.

    Returns:
        Its absolute path; nobody else is given the same one.

    Raises:
        RunError: If it cannot be made.
    """
    paths = [each.path for each in directories]
    parent = paths[0] if len(paths) == 1 else Path(os.path.commonpath([path.parent for path in paths]))
    for path, _ in zip(candidates(parent, name), range(_ATTEMPTS), strict=False):
        try:
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(f"{path} cannot be made: {error.strerror}. A launcher keeps its lists there.") from error
        return path
    raise RunError(f"{_ATTEMPTS} folders {name}, {name}-1, ... in {parent} are taken. Remove some of them.")
