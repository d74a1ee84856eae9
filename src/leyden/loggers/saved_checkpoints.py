"""Which checkpoints a callback has written, which of them are to be uploaded and when, and what is said of them.

Read from the attributes `ModelCheckpoint` has; a checkpoint callback with fewer of them
simply offers fewer files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

if TYPE_CHECKING:
    from wandb import Run

    from leyden.callback import Checkpoint

_SETTINGS = ("monitor", "mode", "save_last", "save_top_k", "save_weights_only")


@dataclass(frozen=True, order=True)
class SavedCheckpoint:
    """One checkpoint on disk.

    Attributes:
        modified: Time of its last change, in seconds since the epoch.
        path: The file, or the folder of a sharded checkpoint.
        score: Value of the monitored metric, if one is monitored.
        best: Whether it is the best of all.
    """

    modified: float
    path: str
    score: float | None
    best: bool


class Uploads:
    """What is still to be uploaded, and when.

    Args:
        when: A logger's ``log_model``: ``"all"`` uploads each checkpoint as it is written; True
            does so if all of them are kept (``save_top_k=-1``), else at the end; False uploads none.
    """

    def __init__(self, when: Literal["all"] | bool) -> None:
        self._when = when
        self._done: dict[str, float] = {}  # modification time by path
        self._waiting: dict[int, Checkpoint] = {}

    def due(self, callback: Checkpoint) -> Iterator[tuple[Checkpoint, SavedCheckpoint]]:
        """Yield what is to be uploaded now that *callback* has written something; taking the next one settles it."""
        if self._when == "all" or (self._when and getattr(callback, "save_top_k", None) == -1):
            yield from self._new(callback)
        elif self._when:
            self._waiting[id(callback)] = callback

    def rest(self) -> Iterator[tuple[Checkpoint, SavedCheckpoint]]:
        """Yield what was to wait for the end."""
        for callback in self._waiting.values():
            yield from self._new(callback)
        self._waiting.clear()

    def _new(self, callback: Checkpoint) -> Iterator[tuple[Checkpoint, SavedCheckpoint]]:
        for saved in new_checkpoints(callback, self._done):
            yield callback, saved
            self._done[saved.path] = saved.modified

    def __getstate__(self) -> dict[str, Any]:
        """Leave callbacks behind when a logger goes to another process."""
        return self.__dict__ | {"_waiting": {}}


def new_checkpoints(callback: Checkpoint, uploaded: dict[str, float]) -> list[SavedCheckpoint]:
    """List what *callback* has written since the last upload, oldest first.

    Args:
        callback: The checkpoint callback.
        uploaded: Modification time by path of what was uploaded before. A path written
            again since (``last.ckpt``, say) is new again.
    """
    best_path = str(getattr(callback, "best_model_path", "") or "")
    scores: dict[str, Any] = {
        str(getattr(callback, "last_model_path", "") or ""): getattr(callback, "current_score", None)
    }
    scores |= {str(path): score for path, score in getattr(callback, "best_k_models", {}).items()}
    scores |= {best_path: getattr(callback, "best_model_score", None)}
    found = [
        SavedCheckpoint(os.path.getmtime(path), path, _plain(score), path == best_path)
        for path, score in scores.items()
        if path and os.path.exists(path)
    ]
    return sorted(saved for saved in found if uploaded.get(saved.path, 0.0) < saved.modified)


def description(callback: Checkpoint, saved: SavedCheckpoint) -> dict[str, Any]:
    """Return what is worth knowing of a checkpoint: score, name of the file, and the callback's settings."""
    settings = {setting: getattr(callback, setting) for setting in _SETTINGS if setting in vars(callback)}
    return {"score": saved.score, "original_filename": Path(saved.path).name, type(callback).__name__: settings}


def upload(
    run: Run, name: str, callback: Checkpoint, saved: SavedCheckpoint, policy: Literal["mutable", "immutable"]
) -> None:
    """Log one checkpoint as the newest version of the artifact *name*, with its score and the callback's settings."""
    import wandb

    artifact = wandb.Artifact(name, type="model", metadata=description(callback, saved))
    if os.path.isdir(saved.path):
        artifact.add_dir(saved.path, name="model.ckpt", policy=policy)
    else:
        artifact.add_file(saved.path, name="model.ckpt", policy=policy)
    run.log_artifact(artifact, aliases=["latest", "best"] if saved.best else ["latest"])


def _plain(score: Any) -> float | None:
    return float(score.item()) if isinstance(score, Tensor) else score
