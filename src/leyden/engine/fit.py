"""Training: epochs of batches, and everything that happens in between.

    on_train_start
    for epoch:
        on_train_epoch_start
        for batch:
            on_train_batch_start ─► step ─► schedulers ─► on_train_batch_end          ┐
            ─► rows to the loggers if due ─► validation if due ─► plateau schedulers  ┘ see leyden.progress
        on_train_epoch_end ─► plateau schedulers ─► rows to the loggers
    on_train_end

Both loops are generators: they decide whether to go on, and the stack stays flat. A stop
asked for by a signal is acted on between two batches.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from torch import Tensor

from leyden import rng
from leyden.engine.continuing import check_data, tell
from leyden.engine.data import INFINITE, TrainLoader
from leyden.engine.evaluate import beginning_anew_on_resume, evaluate
from leyden.engine.lengths import named
from leyden.engine.optimization import step_schedulers
from leyden.engine.parts import part
from leyden.engine.remarks import about_losses, about_rows, losses
from leyden.engine.rows import write_row
from leyden.engine.saving import beside_training
from leyden.engine.step import counting_own_steps, forward_step
from leyden.engine.transfer import prefetch
from leyden.errors import ConfigurationError, Interrupted
from leyden.progress import MAX_TIME
from leyden.terminal import printable
from leyden.warnings import log, warn_once

if TYPE_CHECKING:
    from leyden.engine.session import Session


def fit(session: Session) -> None:
    """Train until a limit is reached or somebody asks to stop."""
    hooks, metrics = session.hooks, session.metrics
    if not start(session):
        return
    with beside_training(session) as settle, counting_own_steps(session):
        for _ in epochs(session):
            step = forward_step if session.trainer.forward_only else session.step
            first: list[Tensor] = []
            outputs: Any = None
            for batch_idx, batch in batches(session):
                if hooks.call("on_train_batch_start", batch, batch_idx) == -1:
                    skip_rest(session)
                    break
                outputs = step(session, batch, batch_idx)
                if outputs and not first:
                    first = losses(outputs)
                complete_batch(session, batch_idx)
                hooks.call("on_train_batch_end", outputs, batch, batch_idx)
                metrics.batch = None
                after_batch(session)
                if settle is not None:
                    settle()
            about_losses(session, first, outputs)
    session.progress.seconds = session.trainer._elapsed()
    hooks.call("on_train_end")


def epochs(session: Session) -> Iterator[int]:
    """Yield the index of each epoch to run, and open and close the epochs around it."""
    progress, hooks, metrics = session.progress, session.hooks, session.metrics
    resumed = _resumes_within_an_epoch(session)
    while resumed or not finished(session):
        metrics.active = metrics.training
        reload_loaders(session)
        if not resumed:
            progress.pending = 0
            hooks.call("on_train_epoch_start")
        metrics.training.per_batch = resumed and progress.place != "EPOCH_ENDED"
        if progress.place != "EPOCH_ENDED":
            yield progress.epochs
        if progress.place != "EPOCH_ENDED":
            metrics.training.reduce(metrics.reduce)
        metrics.refresh()
        metrics.training.per_batch = False
        metrics.batch, metrics.size = None, None
        ran = progress.batch > 0
        end_epoch(session)
        if not ran and session.trainer.max_epochs == -1:  # it would never end
            log.info("fit stopped: there are no more batches, and max_epochs sets no limit.")
            return
        resumed = False
        obey_signal(session)


def batches(session: Session) -> Iterator[tuple[int, Any]]:
    """Yield index and batch, on the device, of what is left of the current epoch."""
    progress, metrics, transfer = session.progress, session.metrics, session.transfer
    if progress.place != "BATCH":
        after_batch(session)
        obey_signal(session)
    whole = progress.last and progress.fetched <= progress.batch  # a step that broke off is made up for
    if progress.batch > 0 and (whole or ends_epoch(session)):
        return
    loader: TrainLoader = session.trainer._train_loader  # type: ignore[assignment]
    fetched = loader.epoch(progress.epochs, progress.batch)
    if session.profiler is not None:
        fetched = session.profiler.timed_items("train_dataloader_next", fetched)
    ahead = prefetch(loader.loader, session.strategy.root_device, session.transfer_hooks)
    if ahead is not None:
        fetched = ahead(fetched)
    for batch_idx, batch, last in fetched:
        progress.last, progress.fetched = last, batch_idx + 1
        if transfer is not None:
            batch = transfer(batch, 0)
        metrics.batch, metrics.size = batch, None
        metrics.training.per_batch = True
        yield batch_idx, batch
        obey_signal(session)
        if ends_epoch(session):
            return


def complete_batch(session: Session, batch_idx: int) -> None:
    """Count the batch, and step the schedulers that do not read a metric."""
    progress = session.progress
    progress.batch = batch_idx + 1
    progress.batches += 1
    size = session.trainer.accumulate_grad_batches
    waiting = progress.pending + 1
    ended = waiting >= size or progress.last
    progress.pending = 0 if ended else waiting
    if ended:
        progress.windows += 1
    if session.schedulers and session.module.automatic_optimization:
        if ended:
            step_schedulers(session, "step", plateau=False)
        if progress.last:
            step_schedulers(session, "epoch", plateau=False)
    progress.place = "TRAINED"


def after_batch(session: Session) -> None:
    """Do what follows a batch, from the place where the run stands in it."""
    progress, metrics, trainer = session.progress, session.metrics, session.trainer
    ended = progress.pending == 0
    if progress.place == "TRAINED":
        if trainer.max_time is not None:
            look_at_clock(session)
        if ended and trainer.loggers and _row_due(session):
            write_row(session, metrics.training.gather(per_step=True).log, flush=False)
        progress.place = "LOGGED"
    if progress.place == "LOGGED" and validation_due(session):
        with trainer._in_stage("validation"):
            if ended:
                session.hooks.call("on_validation_model_zero_grad")
            validate(session)
    if ended and session.schedulers and session.module.automatic_optimization:
        step_schedulers(session, "step", plateau=True)
    if progress.should_stop:
        for logger in trainer.loggers:
            logger.save()
    progress.place = "BATCH"


def validate(session: Session) -> None:
    """Run a validation inside of a fit; one that a signal cuts short leaves no trace and is run again on resume."""
    metrics = session.metrics
    metrics.refresh()
    try:
        with beginning_anew_on_resume(session) as before:
            try:
                evaluate(session, "validation")
            except Interrupted:
                obey_signal(session)
                rng.restore(before["rng"])
                metrics.evaluation.clear()
    finally:
        metrics.active = metrics.training
        metrics.loader = None


def skip_rest(session: Session) -> None:
    """Take the current batch, which `on_train_batch_start` refused, for the end of the epoch."""
    session.progress.last, session.progress.fetched = True, session.progress.batch
    if session.module.automatic_optimization:
        step_schedulers(session, "epoch", plateau=False)


def end_epoch(session: Session) -> None:
    """Call the hooks of an epoch's end, and everything that reads its reductions."""
    progress, metrics = session.progress, session.metrics

    def all_but_saved() -> None:
        progress.place = "EPOCH_ENDED"

    if progress.place != "EPOCH_ENDED":
        session.hooks.call_epoch_end(all_but_saved)
    about_rows(session)
    found = metrics.training.gather(per_step=False)
    metrics.absorb(found)
    if session.schedulers and session.module.automatic_optimization and progress.last:
        step_schedulers(session, "epoch", plateau=True)
    write_row(session, found.log)
    metrics.training.clear()
    _look_for_steps(session)
    progress.epochs += 1
    progress.batch, progress.place, progress.last = 0, "BATCH", False


def _look_for_steps(session: Session) -> None:
    """Say so if a module in manual optimisation has been through its first epoch without a step that was counted."""
    progress, module = session.progress, session.module
    if module.automatic_optimization or progress.epochs or progress.updates or not progress.windows:
        return
    warn_once(
        f"{type(module).__name__} is trained in manual optimisation, and in its whole first epoch no optimizer from "
        "configure_optimizers was stepped: global_step stays 0. ModelCheckpoint, which saves once per step, saves "
        "nothing, and max_steps is not reached. Return the optimizers that are stepped from configure_optimizers; "
        "self.optimizers() gives them back."
    )


def finished(session: Session) -> bool:
    """Whether no further epoch is to be run."""
    progress, trainer = session.progress, session.trainer
    loader = trainer._train_loader
    if loader is None:
        log.info("fit stopped: there are no training batches.")
        return True
    if loader.empty:
        warn_once(f"{named(loader.loader)} to train with is empty: len() is 0. The fit ends without a single step.")
        return True
    if _reached(progress.updates, trainer.max_steps):
        log.info("fit stopped: max_steps=%d reached.", trainer.max_steps)
        return True
    if _reached(progress.epochs, trainer.max_epochs):
        log.info("fit stopped: max_epochs=%d reached.", trainer.max_epochs)
        return True
    if _may_stop(session) and progress.should_stop:
        log.info("fit stopped in epoch %d: %s asked for it.", progress.epochs, printable(" and ".join(progress.stops)))
        return True
    return False


def ends_epoch(session: Session) -> bool:
    """Whether the rest of the epoch is to be left out."""
    progress, trainer = session.progress, session.trainer
    if _reached(progress.updates, trainer.max_steps):
        return True
    if not progress.should_stop:
        return False
    if _may_stop(session):
        return True
    warn_once(
        f"{printable(' and '.join(progress.stops))} asked for a stop, but min_epochs={trainer.min_epochs} or "
        f"min_steps={trainer.min_steps} is not reached: training goes on until they are, and beyond that if the stop "
        "is no longer asked for by then."
    )
    return False


def look_at_clock(session: Session) -> None:
    """Ask for a stop if ``max_time`` is up."""
    progress, trainer = session.progress, session.trainer
    if trainer.max_time is None:
        return
    up = session.strategy.broadcast(trainer._elapsed() >= trainer.max_time.total_seconds())
    if up:
        progress.ask_to_stop(MAX_TIME)


def _resumes_within_an_epoch(session: Session) -> bool:
    return session.progress.batch > 0 or session.progress.place != "BATCH"


def _may_stop(session: Session) -> bool:
    trainer, progress = session.trainer, session.progress
    return progress.epochs >= (trainer.min_epochs or 0) and progress.updates >= (trainer.min_steps or 0)


def _reached(count: int, limit: int) -> bool:
    return limit != -1 and count >= limit


def _row_due(session: Session) -> bool:
    trainer = session.trainer
    return bool(trainer.fast_dev_run) or session.progress.windows % trainer.log_every_n_steps == 0


def validation_due(session: Session) -> bool:
    """Whether a validation follows this batch."""
    return _validation_is_next(session) and session.trainer.enable_validation


def validation_before_update(session: Session) -> bool:
    """Whether a validation in this epoch sees the weights as they are after this batch: now, or before they change."""
    if validation_due(session):
        return True
    progress, trainer = session.progress, session.trainer
    interval, size = trainer.val_check_batch, trainer.accumulate_grad_batches
    over = progress.last or progress.pending or _reached(progress.updates, trainer.max_steps)
    every = trainer.check_val_every_n_epoch
    if size == 1 or over or interval is None or interval == INFINITE or not trainer.enable_validation:
        return False
    if every is not None and (progress.epochs + 1) % every:
        return False
    done = progress.batches if every is None else progress.batch
    window = int(min(size, trainer.num_training_batches - progress.batch))
    return any((done + further) % int(interval) == 0 for further in range(1, window))


def _validation_is_next(session: Session) -> bool:
    progress, trainer = session.progress, session.trainer
    every = trainer.check_val_every_n_epoch
    if every is not None and (progress.epochs + 1) % every:
        return False
    if progress.should_stop and _may_stop(session):
        return True
    if isinstance(trainer.val_check_interval, timedelta):
        return _time_is_up(session, trainer.val_check_interval)
    interval = trainer.val_check_batch
    if interval is None or interval == INFINITE or (every is not None and _once_an_epoch(trainer.val_check_interval)):
        return progress.last
    done = progress.batches if every is None else progress.batch
    return done % int(interval) == 0 or (every is not None and progress.last and _was_announced(session, int(interval)))


def _was_announced(session: Session, interval: int) -> bool:
    """Whether a validation each *interval* batches was to come at the end of this epoch, or behind its last batch."""
    announced = session.trainer.num_training_batches
    if announced == INFINITE:
        return False
    return announced % interval == 0 or announced // interval > session.progress.batch // interval


def _once_an_epoch(interval: Any) -> bool:
    return isinstance(interval, float) and interval == 1.0


def _time_is_up(session: Session, interval: timedelta) -> bool:
    """Whether the latest validation is *interval* ago; all ranks follow the clock of the first."""
    elapsed = session.trainer._elapsed() - session.progress.validated
    return bool(session.strategy.broadcast(elapsed >= interval.total_seconds()))


def validation_interval(interval: float | timedelta, batches_per_epoch: float, across_epochs: bool) -> float | None:
    """Turn ``val_check_interval`` into a number of batches; ``inf`` for the end of the epoch, None for a duration.

    Raises:
        ConfigurationError: If it is longer than an epoch, or a fraction of an unknown length.
    """
    if isinstance(interval, timedelta):
        return None
    if isinstance(interval, int):
        if interval > batches_per_epoch and not across_epochs:
            raise ConfigurationError(
                f"val_check_interval={interval} is more than the {int(batches_per_epoch)} batches of an epoch, so that "
                "validation would never run. Use a smaller number, or check_val_every_n_epoch=None to count batches "
                "across epochs."
            )
        return interval
    if batches_per_epoch == INFINITE:
        if _once_an_epoch(interval):
            return INFINITE
        raise ConfigurationError(
            f"val_check_interval={interval} is a fraction of an epoch, but the training loader has no length. "
            "Give a number of batches."
        )
    return max(1, int(batches_per_epoch * interval))


def obey_signal(session: Session) -> None:
    """Stop here if a signal asked to: save, and leave through an exception.

    Raises:
        Interrupted: Carries the signal and the checkpoint that was written.
    """
    signum = session.stop.asked()
    if signum is None or (session.progress.pending and session.strategy.owns_update):  # a window is finished first
        return
    path = session.trainer._save_on_interruption()
    raise Interrupted(signum, path)


def start(session: Session) -> bool:
    """Get the loader ready and announce the start; on a resumed run, go back to its random numbers.

    Returns:
        Whether there is anything left to train; if not, nothing is announced and the clock stays off.
    """
    trainer, progress = session.trainer, session.progress
    trainer._ready_train_loader(session)
    if trainer.enable_validation and not session.loaders.known("val"):
        session.loaders.get("val")
    session.metrics.active = session.metrics.training
    progress.ask_to_stop(MAX_TIME, False)  # the limit may have been raised since
    look_at_clock(session)
    to_train = _resumes_within_an_epoch(session) or not finished(session)
    if to_train:
        session.hooks.call("on_train_start")
    if trainer._setup.then is not None:
        check_data(session)
        tell(trainer)
    if trainer._resumed_rng is not None:
        with part(trainer.ckpt_path or "", "leyden.rng"):
            rng.restore(trainer._resumed_rng)
        trainer._resumed_rng = None
    if to_train:
        trainer._clock = time.monotonic() - progress.seconds
    if trainer.identity is not None and trainer.identity.resumed == trainer.ckpt_path is not None:
        for callback in trainer.checkpoint_callbacks:
            callback.catch_up(trainer, session.module, progress.place)
    return to_train


def reload_loaders(session: Session) -> None:
    """Ask for the loaders again, where ``reload_dataloaders_every_n_epochs`` says so."""
    every, progress = session.trainer.reload_dataloaders_every_n_epochs, session.progress
    if not every or progress.batch or progress.epochs == session.loaders.epoch or progress.epochs % every:
        return
    session.loaders.epoch = progress.epochs
    for kind in ("train", "val"):
        session.loaders.forget(kind)
    session.trainer._ready_train_loader(session)
