"""Validation and test: every batch of every loader, without gradients.

Inside a fit and on its own, the order is the same:

    on_{stage}_model_eval ─► on_{stage}_start ─► on_{stage}_epoch_start
    ─► per batch: transfer, on_{stage}_batch_start, {stage}_step, on_{stage}_batch_end
    ─► on_{stage}_epoch_end ─► rows to the loggers ─► on_{stage}_end ─► every flag restored
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from leyden import rng
from leyden.combined_loader import length_of
from leyden.engine.data import INFINITE, Source, announce, batches_of
from leyden.engine.lengths import check_announcement
from leyden.engine.rows import write_row
from leyden.engine.session import evaluating, in_precision, step_of, takes, takes_index
from leyden.errors import ConfigurationError, Interrupted
from leyden.metrics import Gathered

if TYPE_CHECKING:
    from leyden.engine.session import Session

Kind = Literal["validation", "test"]
_LOADER = {"validation": "val", "test": "test"}


def evaluate(session: Session, kind: Kind, limit: float = INFINITE) -> list[dict[str, Tensor]]:
    """Run one evaluation, of at most *limit* batches a loader; returns the metrics, one dict for each loader."""
    sources = _sources(session, kind, limit)
    if all(source.empty for source in sources):
        return []
    metrics, progress, hooks, trainer = session.metrics, session.progress, session.hooks, session.trainer
    results = metrics.evaluation
    in_fit = session.stage == "fit"
    fast = trainer.inference_mode and not session.strategy.divides and not in_fit
    grad = torch.inference_mode() if fast else torch.no_grad()
    checking = trainer.sanity_checking
    results.clear()
    metrics.active, metrics.loader, metrics.batch = results, None, None
    results.per_batch = False
    step = _step(session, kind, len(sources))
    with trainer._in_stage(kind), evaluating(session.module, kind, hooks, grad):
        hooks.call(f"on_{kind}_start")
        session.strategy.before_evaluation(session.module)
        sources = _sources(session, kind, limit)  # a callback may have changed the batch size
        hooks.call(f"on_{kind}_epoch_start")
        run_batches(session, kind, sources, step)
        metrics.loader = None
        results.per_batch = False
        results.reduce(metrics.reduce)
        hooks.call(f"on_{kind}_epoch_end")
        found = results.gather(per_step=False)
        if not checking:
            metrics.absorb(found)
            write_row(session, found.log)
        if in_fit:
            progress.place, progress.validated = "VALIDATED", trainer._elapsed()
            if not checking:
                progress.validations += 1
                trainer._validating = None
        hooks.call(f"on_{kind}_end")
    returned = [_of_loader(session, index, len(sources)) for index in range(len(sources))]
    results.clear()
    return returned


@contextmanager
def beginning_anew_on_resume(session: Session) -> Iterator[dict[str, Any]]:
    """Let checkpoints that are written while a validation goes on leave out what that one has changed.

    A run resumed from such a file begins that validation anew.

    Yields:
        How everything stood that a validation changes: random numbers, metrics, counters, positions of loaders.
    """
    progress = session.progress
    before = session.trainer._validating = {
        "rng": rng.capture(),
        "metrics": session.metrics.state_dict(session.module),
        "progress": {
            "place": progress.place,
            "validated": progress.validated,
            "evaluated": dict(progress.evaluated),
        },
        "loaders": session.loaders.state_dict(),
    }
    try:
        yield before
    finally:
        session.trainer._validating = None


def _sources(session: Session, kind: Kind, limit: float) -> list[Source]:
    return [source.at_most(limit) for source in session.loaders.get(_LOADER[kind])]


def run_batches(session: Session, kind: Kind, sources: list[Source], step: Callable[..., Any]) -> None:
    """Run the steps of an evaluation."""
    hooks, metrics = session.hooks, session.metrics
    start, end, name = f"on_{kind}_batch_start", f"on_{kind}_batch_end", f"{kind}_step"
    heard_start, heard_end, several = hooks.heard(start), hooks.heard(end), len(sources) > 1
    for loader_idx, batch_idx, batch in evaluation_batches(session, sources):
        metrics.loader = loader_idx if several else None
        which = (loader_idx,) if several else ()
        if heard_start:
            hooks.call(start, batch, batch_idx, *which)
        metrics.hook = name
        output = step(batch, batch_idx, loader_idx)
        session.progress.evaluated[kind] = session.progress.evaluated.get(kind, 0) + 1
        if heard_end:
            hooks.call(end, output, batch, batch_idx, *which)
        metrics.batch = None
        if not session.trainer.sanity_checking:
            _write_step_row(session, kind, metrics.loader)


def evaluation_batches(session: Session, sources: list[Source]) -> Iterator[tuple[int, int, Any]]:
    """Yield loader index, batch index and batch of one loader after another."""
    metrics, transfer = session.metrics, session.transfer
    asks = session.loaders.even.get("val" if session.stage in ("fit", "validate") else session.stage, True)
    for loader_idx, source in enumerate(sources):
        if source.empty:
            continue
        loader, most, yielded = source.loader, source.most, 0
        announce(loader, session.progress.epochs)
        announced = min(length_of(loader), most)
        for batch_idx, batch in enumerate(batches_of(loader)):
            if transfer is not None:
                batch = transfer(batch, loader_idx)
            metrics.batch, metrics.size = batch, None
            metrics.active.per_batch = True
            yield loader_idx, batch_idx, batch
            if asks and (signum := session.stop.asked()) is not None:
                raise Interrupted(signum)
            yielded = batch_idx + 1
            if yielded >= most:
                break
        check_announcement(loader, announced, yielded)


def _write_step_row(session: Session, kind: Kind, loader: int | None) -> None:
    """Log what was asked for ``on_step``: in a fit on its axis, else by the number of the batch."""
    results = session.metrics.evaluation
    if not session.trainer.loggers or not any(entry.on_step for entry in results.entries.values()):
        return
    found = results.gather(per_step=True, loader=loader, every_loader=False)
    position = None if session.stage == "fit" else session.progress.evaluated[kind] - 1
    write_row(session, found.log, position, flush=False)


def _step(session: Session, kind: Kind, loaders: int) -> Callable[[Any, int, int], Any]:
    """Return the step as a function of batch, batch index and loader index."""
    step = step_of(session.trainer, f"{kind}_step")
    bound = bind_step(step, f"{type(session.module).__name__}.{kind}_step", loaders)
    return in_precision(session.precision, bound)


def bind_step(step: Callable[..., Any], name: str, loaders: int) -> Callable[[Any, int, int], Any]:
    """Adapt a step of the user to batch, batch index and loader index, of which it may want fewer.

    Raises:
        ConfigurationError: If there are several loaders and the step takes no `dataloader_idx`, or one and it must.
    """
    wants_loader = takes(step, "dataloader_idx")
    if loaders > 1 and not wants_loader:
        raise ConfigurationError(
            f"there are {loaders} loaders, but {name} does not take the argument dataloader_idx, so it could not tell "
            "whose batch it gets. Add it: (self, batch, batch_idx, dataloader_idx=0)."
        )
    if wants_loader and loaders > 1:
        return lambda batch, batch_idx, loader_idx: step(batch, batch_idx, dataloader_idx=loader_idx)
    if takes_index(step):
        return lambda batch, batch_idx, loader_idx: step(batch, batch_idx)
    return lambda batch, batch_idx, loader_idx: step(batch)


def _of_loader(session: Session, index: int, loaders: int) -> dict[str, Tensor]:
    """Return the metrics of one loader, and those that belong to none."""
    results = session.metrics.evaluation
    shared = results.gather(per_step=False, loader=None, every_loader=False)
    own = results.gather(per_step=False, loader=index, every_loader=False) if loaders > 1 else Gathered({}, {}, {})
    return {**own.callback, **shared.callback} if session.stage == "fit" else {**own.log, **shared.log}
