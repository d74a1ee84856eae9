"""A new run that was refused before anything came of it leaves nothing behind.

Most of what cannot be meant is found before there is a directory. What only a batch can tell, that the data have more
values than the model takes or that nobody logs the monitored value, is found within the first epoch; the run has then
saved nothing, and its directory would only be one more to clean up. It stays where there is anything in it that the run
itself has not put there, a checkpoint, or the work of more than a few minutes.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

from leyden.errors import LeydenError
from leyden.runs.archive import named_as_such
from leyden.runs.directory import RunDirectory

_SHORT = 300.0  # seconds: what took longer is somebody's work, of use or not
_OURS = frozenset((
    ".lock", "attempts.jsonl", "checkpoints", "code", "code.patch", "config.yaml", "fingerprint.json", "hparams.yaml",
    "logs", "losses.f64", "manifest.json", "metrics.csv", "overrides.yaml", "status.json", "tensorboard", "wandb",
))  # fmt: skip


def discard(path: Path, output_dir: Path, epochs: int = 0) -> bool:
    """Remove the directory of a run that was refused at its beginning.

    Args:
        path: Of the run, made by this command.
        output_dir: Folder of all runs. Empty folders between it and the run go, too, and so does it if it is empty.
        epochs: That were completed.

    Returns:
        Whether it is gone.
    """
    try:
        directory = RunDirectory(path)
        age = time.time() - (path / "config.yaml").stat().st_mtime
        worth = epochs or age > _SHORT or directory.status().attempts > 1 or any(True for _ in named_as_such(path))
        if worth or any(each.name not in _OURS for each in path.iterdir()):
            return False
        with directory.locked():
            shutil.rmtree(path)
    except (OSError, LeydenError):
        return False
    output_dir = output_dir.resolve()
    for parent in path.parents:
        if not parent.is_relative_to(output_dir):
            break
        with suppress(OSError):
            parent.rmdir()
    return True
