"""Prediction: what `predict_step` returns for every batch of every loader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from leyden.engine.batch_indices import noting
from leyden.engine.evaluate import bind_step, evaluation_batches
from leyden.engine.session import evaluating, in_precision, step_of
from leyden.tree import move

if TYPE_CHECKING:
    from leyden.engine.session import Session

_CPU = torch.device("cpu")


class PredictLoop:
    """What callbacks may read while a prediction runs; the names are Lightning's.

    Args:
        loaders: Number of loaders.

    Attributes:
        current_batch_indices: Indices of the samples of the batch being run; filled for
            callbacks with ``reads_batch_indices``, and empty where they cannot be told.
        epoch_batch_indices: The same of all batches so far, ``[loader][batch]``; filled for
            callbacks that have ``reads_predictions``, too.
    """

    def __init__(self, loaders: int = 0) -> None:
        self.kept: list[list[Any]] = [[] for _ in range(loaders)]
        self.current_batch_indices: list[int] = []
        self.epoch_batch_indices: list[list[list[int]]] = [[] for _ in range(loaders)]

    @property
    def predictions(self) -> list[Any]:
        """What the steps returned so far, on the CPU; one list for each loader if there are several."""
        return self.kept[0] if len(self.kept) == 1 else self.kept


def predict(session: Session, keep: bool = True) -> list[Any]:
    """Run `predict_step` on every batch.

    Args:
        session: A session of the stage ``predict``.
        keep: Whether to collect what the steps return.

    Returns:
        What the steps returned, on the CPU, in order; nested, one list for each loader, when there are several.
    """
    sources = session.loaders.get("predict")
    hooks, metrics, trainer = session.hooks, session.metrics, session.trainer
    loop = trainer.predict_loop = PredictLoop(len(sources))
    if all(source.empty for source in sources):
        return []
    step = step_of(trainer, "predict_step")
    step = bind_step(step, f"{type(session.module).__name__}.predict_step", len(sources))
    step = in_precision(session.precision, step)
    collects = any(callback.reads_predictions for callback in trainer.callbacks)
    reads_indices = any(callback.reads_batch_indices for callback in trainer.callbacks)
    fast = trainer.inference_mode and not session.strategy.divides
    grad = torch.inference_mode() if fast else torch.no_grad()
    with trainer._in_stage("predict"), evaluating(session.module, "predict", hooks, grad):
        hooks.call("on_predict_start")
        sources = session.loaders.get("predict")  # a callback may have changed the batch size
        noted = [noting(source) if reads_indices else (source, None) for source in sources]
        hooks.call("on_predict_epoch_start")
        for loader_idx, batch_idx, batch in evaluation_batches(session, [source for source, _ in noted]):
            ahead = noted[loader_idx][1]
            loop.current_batch_indices = ahead.popleft() if ahead is not None else []
            if collects and ahead is not None:
                loop.epoch_batch_indices[loader_idx].append(loop.current_batch_indices)
            which = (loader_idx,) if len(sources) > 1 else ()
            hooks.call("on_predict_batch_start", batch, batch_idx, *which)
            metrics.hook = "predict_step"
            output = step(batch, batch_idx, loader_idx)
            hooks.call("on_predict_batch_end", output, batch, batch_idx, *which)
            metrics.batch = None
            if keep or collects:
                loop.kept[loader_idx].append(move(output, _CPU))
        hooks.call("on_predict_epoch_end")
        hooks.call("on_predict_end")
    if not keep:
        trainer.predict_loop = PredictLoop()
    return loop.predictions if keep else []
