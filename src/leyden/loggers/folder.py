"""Where a logger that writes files puts them: ``<save_dir>/<name>/<version>``.

A version nobody chose is the next free ``version_<n>``. It is claimed by creating the
folder, which only one process can do, so two runs started at once never share one. The
claim is made when the version is first asked for; building a logger touches nothing.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from leyden.errors import ConfigurationError
from leyden.logger import Logger
from leyden.warnings import rank


class FolderLogger(Logger):
    """Abstract: a logger whose files lie in a folder of their own.

    Args:
        save_dir: Parent folder; None means the trainer's ``default_root_dir``.
        name: Sub-folder of the experiment; None or empty for none.
        version: Sub-folder of the run: an int n stands for ``version_<n>``, a string is
            used as it is (empty for none), None means the next free number.
        sub_dir: One more sub-folder below the version.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None,
        name: str | None,
        version: int | str | None,
        sub_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self._save_dir = None if save_dir is None else os.path.expanduser(os.fspath(save_dir))
        self._name = name or ""
        self._version = version
        self._sub_dir = "" if sub_dir is None else os.fspath(sub_dir)

    def adopt(self, version: int | str | None) -> None:
        """Use rank 0's folder: other ranks claim none."""
        self._version = version

    def attach(self, default_root_dir: str) -> None:
        """Use the trainer's folder, unless one was given."""
        if self._save_dir is None:
            self._save_dir = os.fspath(default_root_dir)

    @property
    def name(self) -> str:
        """Name of the experiment; may be empty."""
        return self._name

    @property
    def version(self) -> int | str | None:
        """Version of the run; an unchosen one is claimed now. None on ranks other than 0 that cannot know it."""
        if self._version is None and rank() == 0:
            self._version = claim_version(self.root_dir)
        return self._version

    @property
    def save_dir(self) -> str:
        """Parent folder of all experiments.

        Raises:
            ConfigurationError: If none was given and no trainer is attached.
        """
        if self._save_dir is None:
            raise ConfigurationError(
                f"{type(self).__name__} has no folder to write to: its save_dir is None, and no Trainer has lent its "
                "default_root_dir yet. Pass save_dir=..., or hand the logger to Trainer(logger=...)."
            )
        return self._save_dir

    @property
    def root_dir(self) -> str:
        """Folder of all versions of this experiment."""
        return str(Path(self.save_dir, self._name))

    @property
    def log_dir(self) -> str | None:
        """Folder of this run; None on ranks that cannot know the version."""
        version = self.version
        if version is None:
            return None
        folder = version if isinstance(version, str) else f"version_{version}"
        return str(Path(self.root_dir, folder, self._sub_dir))


def claim_version(root: str) -> int:
    """Create the next free ``version_<n>`` in *root* and return n, one above the highest there."""
    os.makedirs(root, exist_ok=True)
    matches = (re.fullmatch(r"version_(\d+)", entry) for entry in os.listdir(root))
    version = max((int(match[1]) for match in matches if match), default=-1) + 1
    while True:
        with suppress(FileExistsError):  # another process was faster
            os.mkdir(os.path.join(root, f"version_{version}"))
            return version
        version += 1
