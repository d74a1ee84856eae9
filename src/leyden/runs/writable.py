"""Folders outside of a run directory that the run will write to: tried before the run is made.

What is made for the trial is taken away again. Asking the system for permissions would not do: a quota, a read-only
mount or a folder of the kernel show themselves only when something is made.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from leyden.errors import ConfigurationError
from leyden.trainer import Trainer


def check_writable(trainer: Trainer, run_dir: Path) -> None:
    """Refuse a trainer whose loggers or callbacks are to write where nobody can.

    Args:
        trainer: As it was built.
        run_dir: Of the run, which need not exist; what lies in it is not tried.

    Raises:
        ConfigurationError: If something cannot be written there.
    """
    for owner, folder in _folders(trainer):
        place = Path(folder).expanduser().absolute()
        if "://" in folder or place.is_relative_to(run_dir.absolute()):
            continue
        problem = _problem(place)
        if problem is not None:
            raise ConfigurationError(
                f"{owner} writes to {folder}, where nothing can be written: {problem.strerror or problem}. Expected a "
                "folder that this process may write to. Choose another one."
            )


def _folders(trainer: Trainer) -> Iterator[tuple[str, str]]:
    for owner in (*trainer.loggers, *trainer.callbacks, trainer.profiler):
        for name in ("save_dir", "dirpath"):
            found = getattr(owner, name, None)
            if isinstance(found, str | os.PathLike) and os.fspath(found):
                yield type(owner).__name__, os.fspath(found)


def _problem(folder: Path) -> OSError | None:
    """Return why nothing can be written to *folder*; None if something can."""
    made: list[Path] = []
    try:
        for each in reversed([folder, *folder.parents]):
            if not each.is_dir():
                each.mkdir()
                made.append(each)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error
    finally:
        for each in reversed(made):
            with suppress(OSError):
                each.rmdir()
