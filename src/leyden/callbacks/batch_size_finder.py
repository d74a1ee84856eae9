"""Search for the largest batch that fits into memory, when a stage begins.

Batches of growing size are run in a rehearsal until memory does not suffice. The search
leaves no trace but the size it found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leyden.callback import Callback
from leyden.callbacks import tried_attribute
from leyden.callbacks.batch_size_search import largest
from leyden.errors import ConfigurationError, StageEnded
from leyden.memory import is_out_of_memory, release
from leyden.warnings import log, warn_once

if TYPE_CHECKING:
    from leyden.engine.rehearsal import Rehearsal
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class BatchSizeFinder(Callback):
    """Try growing batch sizes in a rehearsal, and go on with the largest that fits.

    The size is an attribute of the module, its hyper-parameters or the data module, which their loader hooks read.
    It is set when `configure_optimizers` has been called already: a scheduler made there for a number of steps is
    made for that of the old size. Where that matters, search beforehand, with `Tuner.scale_batch_size`.

    Args:
        mode: ``"power"`` doubles the size until it does not fit, and takes the size before; ``"binsearch"`` then
            closes in on the largest that does.
        steps_per_trial: Optimizer steps with each size; batches where nothing is trained.
        init_val: The first size.
        max_trials: Sizes to try, at most, once one has fit.
        batch_arg_name: Name of the attribute.
        margin: What ``"binsearch"`` takes off what it found, as a share of it, to be on the safe side.
        max_val: The largest size to try.

    Attributes:
        optimal_batch_size: What was found; *init_val* before, None under ``fast_dev_run``.
    """

    SUPPORTED_MODES = ("power", "binsearch")

    def __init__(
        self,
        mode: str = "power",
        steps_per_trial: int = 3,
        init_val: int = 2,
        max_trials: int = 25,
        batch_arg_name: str = "batch_size",
        margin: float = 0.05,
        max_val: int = 8192,
    ) -> None:
        if mode.lower() not in self.SUPPORTED_MODES:
            raise ConfigurationError(f"BatchSizeFinder(mode={mode!r}): expected 'power' or 'binsearch'.")
        if not 0 <= margin < 1:
            raise ConfigurationError(f"BatchSizeFinder(margin={margin!r}): expected a share from 0 to below 1.")
        counts = {
            "steps_per_trial": steps_per_trial,
            "init_val": init_val,
            "max_trials": max_trials,
            "max_val": max_val,
        }
        for name, value in counts.items():
            if value < 1:
                raise ConfigurationError(f"BatchSizeFinder({name}={value!r}): expected an integer from 1 on.")
        self.optimal_batch_size: int | None = init_val
        self._mode = mode.lower()
        self._steps_per_trial = steps_per_trial
        self._init_val = init_val
        self._max_trials = max_trials
        self._batch_arg_name = batch_arg_name
        self._margin = margin
        self._max_val = max_val
        self._early_exit = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a stage whose batch size cannot be changed."""
        if trainer.world_size > 1:
            raise ConfigurationError(
                f"BatchSizeFinder works in one process; there are {trainer.world_size}. Search with devices=1, and "
                "give the size that was found to the run on several devices."
            )
        if not tried_attribute.holders(trainer, self._batch_arg_name):
            raise ConfigurationError(
                f"BatchSizeFinder found no attribute {self._batch_arg_name!r} in {type(pl_module).__name__}, its "
                "hparams or the data module. Read the batch size from such an attribute in the loader hooks, and "
                "give its name as batch_arg_name."
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search before the first epoch; override this, and call `scale_batch_size` elsewhere, for another time."""
        self.scale_batch_size(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search before a validation that is no part of a fit."""
        if trainer.state.fn == "validate":
            self.scale_batch_size(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search before a test."""
        self.scale_batch_size(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search before a prediction."""
        self.scale_batch_size(trainer, pl_module)

    def scale_batch_size(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search now: when a stage or an epoch of a fit begins.

        Raises:
            ConfigurationError: If not even a batch of one sample fits, or the stage does not ask for its loaders.
        """
        if trainer.fast_dev_run:
            warn_once("BatchSizeFinder does nothing under fast_dev_run.")
            self.optimal_batch_size = None
        else:
            steps = self._steps_per_trial
            with (
                tried_attribute.put_back_on_failure(trainer, self._batch_arg_name),
                trainer.rehearsal(steps, [], validation=steps, reload=True) as rehearse,
            ):
                self.optimal_batch_size = self._search(trainer, rehearse)
            log.info("Batch size set to %d.", self.optimal_batch_size)
        if self._early_exit:
            raise StageEnded("the batch size was found, and nothing else was asked for.")

    def _search(self, trainer: Trainer, rehearse: Rehearsal) -> int:
        """Find the size, and set it."""
        name = self._batch_arg_name

        def fits(size: int) -> bool:
            tried_attribute.write(trainer, name, size)
            worked = _runs(rehearse)
            release()
            log.info("Batch size %d %s.", size, "fits" if worked else "does not fit")
            return worked

        own = tried_attribute.read(trainer, name)
        start = own if own >= rehearse.samples() else self._init_val
        found = largest(fits, start, self._mode, self._max_trials, self._max_val, rehearse.samples)
        if self._mode == "binsearch":
            found = max(1, int(found * (1 - self._margin)))
        tried_attribute.write(trainer, name, found)
        return found


def _runs(rehearse: Rehearsal) -> bool:
    """Whether memory suffices; when this returns, nothing holds on to what did not fit."""
    try:
        rehearse()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
