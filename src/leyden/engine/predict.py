"""Prediction: what `predict_step` returns for every batch of every loader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from leyden.engine.evaluate import bind_step, evaluation_batches
from leyden.engine.session import evaluating

if TYPE_CHECKING:
    from leyden.engine.session import Session


def predict(session: Session, keep: bool = True) -> list[Any]:
    """Run `predict_step` on every batch.

    Args:
        session: A session of the stage ``predict``.
        keep: Whether to collect what the steps return.

    Returns:
        What the steps returned, in order; nested, one list for each loader, when there are several.
    """
    sources = session.loaders.get("predict")
    hooks, metrics, trainer = session.hooks, session.metrics, session.trainer
    kept: list[list[Any]] = [[] for _ in sources]
    if not any(source.batches for source in sources):
        return []
    step = bind_step(session.module.predict_step, f"{type(session.module).__name__}.predict_step", len(sources))
    grad = torch.inference_mode() if trainer.inference_mode else torch.no_grad()
    with trainer._in_stage("predict"), evaluating(session.module, "predict", hooks, grad):
        hooks.call("on_predict_start")
        hooks.call("on_predict_epoch_start")
        for loader_idx, batch_idx, batch in evaluation_batches(session, sources):
            which = (loader_idx,) if len(sources) > 1 else ()
            hooks.call("on_predict_batch_start", batch, batch_idx, *which)
            metrics.hook = "predict_step"
            with session.precision.forward_context():
                output = step(batch, batch_idx, loader_idx)
            hooks.call("on_predict_batch_end", output, batch, batch_idx, *which)
            metrics.batch = None
            if keep:
                kept[loader_idx].append(output)
        hooks.call("on_predict_epoch_end")
        hooks.call("on_predict_end")
    return kept[0] if len(kept) == 1 else kept
