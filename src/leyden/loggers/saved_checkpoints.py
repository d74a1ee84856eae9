"""Which checkpoints a callback has written, which of them are new, what they are, and how they become W&B artifacts.

Read from the attributes `ModelCheckpoint` has; a checkpoint callback with fewer of them
simply offers fewer files.
"""

from __future__ import annotations

import os
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
