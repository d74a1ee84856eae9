"""What every progress bar has: the totals to count up to, and the metrics to show.

A bar is a callback that shows itself in the hooks it overrides. Derive from `ProgressBar`
to write one; the trainer finds it by this type and prints through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leyden.callback import Callback
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class ProgressBar(Callback):
    """Base of progress bars; only rank 0 shows one."""

    monitors = True  # what the module logs at the end of an epoch belongs into its last picture

    def __init__(self) -> None:
        super().__init__()
        self._trainer: Trainer | None = None
        self._current_eval_dataloader_idx: int | None = None

    def enable(self) -> None:
        """Show the bar from now on."""
        raise NotImplementedError

    def disable(self) -> None:
        """Stop showing the bar."""
        raise NotImplementedError

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print as the built-in `print` does, without tearing the bar."""
        print(*args, **kwargs)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remember the trainer, and be silent on all ranks but the first."""
        self._trainer = trainer
        if not trainer.is_global_zero:
            self.disable()

    @property
    def trainer(self) -> Trainer:
        """The trainer of the stage that is open."""
        if self._trainer is None:
            raise TypeError(f"{type(self).__name__} has no trainer yet: a stage must be open. Call setup() first.")
        return self._trainer

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, int | str | float]:
        """Return what to show beside the bar; override to change it.

        Reading the metrics waits for the device, so call this only when about to draw.

        Returns:
            ``v_num``, the version of the loggers, if they have one that tells runs apart (the last four
            characters of a long one), and everything logged with ``prog_bar=True``.
        """
        shown = trainer.progress_bar_metrics
        standard = _version(trainer)
        if twice := sorted(standard.keys() & shown.keys()):
            warn_once(
                f"{', '.join(twice)}: logged with prog_bar=True, but the bar shows something under that name already. "
                "The logged value is shown. Log it under another name, or override get_metrics() of the bar."
            )
        return {**standard, **shown}

    # --- totals, as integers or inf ---------------------------------------------------------

    @property
    def total_train_batches(self) -> int | float:
        """Batches of this training epoch."""
        return self.trainer.batches_of_epoch

    @property
    def total_val_batches(self) -> int | float:
        """Batches of one validation over all loaders; 0 if this epoch has none."""
        trainer = self.trainer
        every = trainer.check_val_every_n_epoch
        due = trainer.enable_validation and (every is None or (trainer.current_epoch + 1) % every == 0)
        return sum(trainer.num_val_batches) if due else 0

    @property
    def total_val_batches_current_dataloader(self) -> int | float:
        """Batches of the validation loader in use."""
        trainer = self.trainer
        return self._current(trainer.num_sanity_val_batches if trainer.sanity_checking else trainer.num_val_batches)

    @property
    def total_test_batches_current_dataloader(self) -> int | float:
        """Batches of the test loader in use."""
        return self._current(self.trainer.num_test_batches)

    @property
    def total_predict_batches_current_dataloader(self) -> int | float:
        """Batches of the prediction loader in use."""
        return self._current(self.trainer.num_predict_batches)

    def has_dataloader_changed(self, dataloader_idx: int) -> bool:
        """Whether *dataloader_idx* differs from the last one asked about."""
        previous, self._current_eval_dataloader_idx = self._current_eval_dataloader_idx, dataloader_idx
        return previous != dataloader_idx

    def reset_dataloader_idx_tracker(self) -> None:
        """Forget the last loader: an evaluation is over."""
        self._current_eval_dataloader_idx = None

    def _current(self, batches: list[int | float]) -> int | float:
        return batches[self._current_eval_dataloader_idx or 0]

    # --- words -------------------------------------------------------------------------------

    @property
    def sanity_check_description(self) -> str:
        """Title of the sanity check."""
        return "Sanity Checking"

    @property
    def train_description(self) -> str:
        """Title of training."""
        return "Training"

    @property
    def validation_description(self) -> str:
        """Title of a validation."""
        return "Validation"

    @property
    def test_description(self) -> str:
        """Title of a test run."""
        return "Testing"

    @property
    def predict_description(self) -> str:
        """Title of a prediction run."""
        return "Predicting"


def _version(trainer: Trainer) -> dict[str, int | str | float]:
    """Return ``{"v_num": version}`` of the loggers, or nothing: a version without a number is the name of a folder."""
    versions = list(dict.fromkeys(logger.version for logger in trainer.loggers if logger.version not in (None, "")))
    if not versions:
        return {}
    if len(versions) == 1 and isinstance(versions[0], int):
        return {"v_num": versions[0]}
    short = "_".join(str(version) for version in versions)[-4:]
    return {"v_num": short} if any(sign.isdigit() for sign in short) else {}


def epoch_title(trainer: Trainer) -> str:
    """Return ``Epoch 0/9``: the epoch, counted from 0, and the last one, if there is a limit."""
    last = trainer.max_epochs
    return f"Epoch {trainer.current_epoch}" + (f"/{last - 1}" if last and last > 0 else "")
