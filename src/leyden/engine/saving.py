"""When a checkpoint is written beside training, and who waits for it.

    fit   on_train_start   batches, validations, ends of epochs            on_train_end ...
          written at once  begin ─► ... ─► begin: finish, collect, copy    written at once
                                           every rank hears how the save before has ended
                                                                        ▲
                                                                        finish

While there are batches to train, a save returns as soon as it is copied. It is on disk, or has failed, before the
next one begins, before a stop that a signal asked for is carried out, and before anything that follows the last
batch: so nothing outside of the loop ever sees a file that is not there yet. Without an `AsyncCheckpointIO` among the
trainer's plugins, nothing of this happens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from leyden.engine import checkpoint as checkpoints
from leyden.errors import Interrupted, RankError, StageEnded
from leyden.warnings import log, warn_once

if TYPE_CHECKING:
    from leyden.engine.session import Session
    from leyden.trainer import Trainer


@contextmanager
def beside_training(session: Session) -> Iterator[Callable[[], None] | None]:
    """Let saves be written beside what runs within; at the end all of them are on disk.

    Yields:
        What to call after each batch: it does what waited for a file; None where nothing can wait.

    Raises:
        CheckpointError: If a checkpoint could not be written.
    """
    plugin = session.trainer.checkpoint_io
    if plugin is not None and session.strategy.saves_together:
        warn_once(
            "AsyncCheckpointIO: checkpoints that are folders are written while training waits, as all ranks write them "
            "together. To have them written beside training, save one file: FSDPStrategy(state_dict_type='full'), "
            "ModelParallelStrategy(save_distributed_checkpoint=False)."
        )
        plugin = None
    if plugin is None:
        yield None
        return
    before, plugin.active = plugin.active, True  # a rehearsal runs within a fit
    try:
        yield plugin.settle
        finish(session.trainer)
    except BaseException as error:
        problem = plugin.wait()
        if problem is None:
            raise
        if isinstance(error, (Interrupted, StageEnded)):
            raise problem from error
        log.error("%s", problem)
        error.add_note(f"Beside that, {problem}")
        raise
    finally:
        plugin.active = before


def begin(trainer: Trainer, path: str | os.PathLike[str], weights_only: bool) -> None:
    """Begin to write a checkpoint; every rank calls this.

    Raises:
        CheckpointError: If a hook put something into it that cannot be pickled, or the one before was not written.
        RankError: On other ranks, if the one before was not written.
    """
    began = time.monotonic()
    finish(trainer)
    checkpoint = checkpoints.collect(trainer, weights_only)
    if not trainer.is_global_zero:
        return
    assert trainer.checkpoint_io is not None  # nobody else calls this
    with checkpoints.explained(path):
        trainer.checkpoint_io.save(checkpoint, partial(checkpoints.write, trainer, path), began)


def finish(trainer: Trainer) -> None:
    """Wait until what is being saved is on disk, and do what waited for it; every rank calls this.

    Raises:
        CheckpointError: If it could not be written.
        RankError: On other ranks, if it could not be written.
    """
    if trainer.checkpoint_io is None or not trainer.checkpoint_io.active:
        return
    problem = trainer.checkpoint_io.wait()
    told = trainer.strategy.broadcast(None if problem is None else f"{type(problem).__name__}: {problem}")
    if problem is not None:
        raise problem
    if told is not None:
        raise RankError(f"rank 0 has failed: {told}", 0)
