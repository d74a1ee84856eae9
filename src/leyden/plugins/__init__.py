"""What is given to ``Trainer(plugins=...)`` beside precisions: a way to write checkpoints."""

from __future__ import annotations

from leyden.plugins.io import AsyncCheckpointIO

__all__ = ["AsyncCheckpointIO"]
