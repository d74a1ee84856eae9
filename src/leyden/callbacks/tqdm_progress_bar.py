"""A progress bar drawn by tqdm, from the training thread, by the clock.

At the end of a batch the bar looks at the clock; ten times a second at most it reads the
metrics, which waits for the device, and draws. Should drawing be slow, it happens less
often: a hundredth of the time is the most it may take, down to one picture a second.
It is drawn on standard error, which leaves standard output to results.
"""

from __future__ import annotations

import math
import os
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from leyden.callbacks.log_lines import LogLines
from leyden.callbacks.progress_bar import ProgressBar
from leyden.errors import ConfigurationError

if TYPE_CHECKING:
    from leyden.callbacks.tqdm_bar import Tqdm
    from leyden.module import LightningModule
    from leyden.trainer import Trainer

_SHORTEST, _LONGEST, _SHARE = 0.1, 1.0, 0.01  # seconds between pictures; share of the time spent on drawing


class TQDMProgressBar(ProgressBar):
    """Show epoch, batches, time, speed and the metrics logged with ``prog_bar=True``.

    To change a bar, override the ``init_`` method that makes it.

    Args:
        refresh_rate: Draw only when this number of batches divides the batches done; 0
            disables the bar. The environment variable ``TQDM_MINITERS`` can raise it.
            Whatever it is, the clock has the last word.
        process_position: Lines to leave free above the bar, for bars of other programs.
        leave: Whether the bar of each epoch stays on the screen.

    Raises:
        ConfigurationError: If tqdm is not installed.
    """

    BAR_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]"

    def __init__(
        self, refresh_rate: Annotated[int, Ge(0)] = 1, process_position: Annotated[int, Ge(0)] = 0, leave: bool = False
    ) -> None:
        super().__init__()
        if find_spec("tqdm") is None:
            raise ConfigurationError(
                "TQDMProgressBar needs tqdm, which is not installed. Install it with: pip install tqdm, or use "
                "RichProgressBar."
            )
        self._refresh_rate = max(refresh_rate, int(os.environ.get("TQDM_MINITERS", "0"))) if refresh_rate else 0
        self._process_position = process_position
        self._leave = leave
        self._enabled = True
        self._bars: dict[str, Tqdm] = {}
        self._done = {"train": 0, "val": 0, "test": 0, "predict": 0}
        self._due = 0.0
        self._logs: LogLines | None = None

    @property
    def refresh_rate(self) -> int:
        """Every how many batches the bar may be drawn."""
        return self._refresh_rate

    @property
    def process_position(self) -> int:
        """Lines left free above the bar."""
        return self._process_position

    @property
    def is_enabled(self) -> bool:
        """Whether the bar shows itself."""
        return self._enabled and self._refresh_rate > 0

    @property
    def is_disabled(self) -> bool:
        """Whether the bar does not show itself."""
        return not self.is_enabled

    def enable(self) -> None:
        """Show the bars made from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Draw no longer."""
        self._enabled, self._due = False, math.inf

    # --- the bars ----------------------------------------------------------------------------

    @property
    def train_progress_bar(self) -> Tqdm:
        """The bar of training."""
        return self._bar("train")

    @property
    def val_progress_bar(self) -> Tqdm:
        """The bar of validation, and of the sanity check."""
        return self._bar("val")

    @property
    def test_progress_bar(self) -> Tqdm:
        """The bar of the test run."""
        return self._bar("test")

    @property
    def predict_progress_bar(self) -> Tqdm:
        """The bar of the prediction run."""
        return self._bar("predict")

    def init_sanity_tqdm(self) -> Tqdm:
        """Make the bar of the sanity check."""
        return self._new(self.sanity_check_description, leave=False)

    def init_train_tqdm(self) -> Tqdm:
        """Make the bar of training."""
        return self._new(self.train_description, leave=True, smoothing=0)

    def init_validation_tqdm(self) -> Tqdm:
        """Make the bar of validation: in a fit below that of training, which it must not outlive."""
        alone = self.trainer.state.fn != "fit"
        return self._new(self.validation_description, leave=alone, below=not alone)

    def init_test_tqdm(self) -> Tqdm:
        """Make the bar of the test run."""
        return self._new(self.test_description, leave=True)

    def init_predict_tqdm(self) -> Tqdm:
        """Make the bar of the prediction run."""
        return self._new(self.predict_description, leave=True, smoothing=0)

    # --- fit ---------------------------------------------------------------------------------

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar of the sanity check."""
        self._open("val", self.init_sanity_tqdm())

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar, also in a run that is resumed within an epoch."""
        self._open("train", self.init_train_tqdm())
        self._restart("train", f"Epoch {trainer.current_epoch}", self.total_train_batches)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the bar again."""
        if self._leave and self._done["train"]:
            self._open("train", self.init_train_tqdm())
        self._restart("train", f"Epoch {trainer.current_epoch}", self.total_train_batches)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw, if it is time to."""
        done = self._done["train"] = batch_idx + 1
        if time.monotonic() < self._due or done % self._refresh_rate:
            return
        self._draw("train", self.get_metrics(trainer, pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the last picture of the epoch."""
        if self.is_enabled:
            self._draw("train", self.get_metrics(trainer, pl_module))
        if self._leave:
            self.train_progress_bar.close()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the last picture on the screen."""
        self._close("train")

    # --- evaluation ----------------------------------------------------------------------------

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show a second bar."""
        if not trainer.sanity_checking:
            self._open("val", self.init_validation_tqdm())

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self._open("test", self.init_test_tqdm())

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self._open("predict", self.init_predict_tqdm())

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start the bar again with each loader."""
        if self.has_dataloader_changed(dataloader_idx):
            title = self.sanity_check_description if trainer.sanity_checking else self.validation_description
            total = self.total_val_batches_current_dataloader
            self._restart("val", f"{title} DataLoader {dataloader_idx}", total)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start the bar again with each loader."""
        if self.has_dataloader_changed(dataloader_idx):
            total = self.total_test_batches_current_dataloader
            self._restart("test", f"{self.test_description} DataLoader {dataloader_idx}", total)

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start the bar again with each loader."""
        if self.has_dataloader_changed(dataloader_idx):
            total = self.total_predict_batches_current_dataloader
            self._restart("predict", f"{self.predict_description} DataLoader {dataloader_idx}", total)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw, if it is time to."""
        self._advance("val", batch_idx + 1)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw, if it is time to."""
        self._advance("test", batch_idx + 1)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw, if it is time to."""
        self._advance("predict", batch_idx + 1)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the second bar away, or leave the last picture of a validation of its own."""
        self._end("val")
        if trainer.state.fn == "fit" and "train" in self._bars and self.is_enabled:
            self._draw("train", self.get_metrics(trainer, pl_module))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the last picture on the screen."""
        self._end("test")

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the last picture on the screen."""
        self._end("predict")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the terminal back before the traceback is printed."""
        self._give_back()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the terminal back."""
        self._give_back()

    # --- drawing -------------------------------------------------------------------------------

    def print(self, *args: Any, sep: str = " ", end: str = "\n", file: Any = None, **kwargs: Any) -> None:
        """Print above the bars, if there are any."""
        if shown := [bar for bar in self._bars.values() if not bar.disable]:
            shown[0].write(sep.join(map(str, args)), file=file, end=end)
        else:
            super().print(*args, sep=sep, end=end, file=file, **kwargs)

    def _bar(self, name: str) -> Tqdm:
        if name not in self._bars:
            raise TypeError(f"{type(self).__name__} has no bar for {name!r} yet: it is made when that stage starts.")
        return self._bars[name]

    def _new(self, title: str, leave: bool, below: bool = False, **options: Any) -> Tqdm:
        from leyden.callbacks.tqdm_bar import Tqdm

        return Tqdm(
            desc=title,
            position=2 * self._process_position + below,
            disable=self.is_disabled,
            leave=leave,
            dynamic_ncols=True,
            file=sys.stderr,
            bar_format=self.BAR_FORMAT,
            **options,
        )

    def _open(self, name: str, bar: Tqdm) -> None:
        """Take *bar* for the one called *name*."""
        from leyden.callbacks.tqdm_bar import Above

        self._close(name)
        self._bars[name] = bar
        if self._logs is None and self.is_enabled:
            self._logs = LogLines(Above)
        self._due = 0.0 if self.is_enabled else math.inf

    def _restart(self, name: str, title: str, total: int | float) -> None:
        """Count from 0 to *total*."""
        bar, self._done[name] = self._bars[name], 0
        bar.set_description(title, refresh=False)
        bar.reset(total if math.isfinite(total) else None)
        if not math.isfinite(total):
            bar.total = None

    def _advance(self, name: str, done: int) -> None:
        self._done[name] = done
        if time.monotonic() >= self._due and done % self._refresh_rate == 0:
            self._draw(name)

    def _draw(self, name: str, metrics: dict[str, Any] | None = None) -> None:
        """Draw the bar called *name*, and settle when to draw again."""
        bar, started = self._bars[name], time.monotonic()
        if bar.disable:
            self._due = math.inf
            return
        bar.n = self._done[name]
        if metrics is not None:
            bar.set_postfix(metrics, refresh=False)
        bar.refresh()
        ended = time.monotonic()
        self._due = ended + min(max((ended - started) / _SHARE, _SHORTEST), _LONGEST)

    def _end(self, name: str) -> None:
        """Draw the last picture of an evaluation."""
        self.reset_dataloader_idx_tracker()
        if name in self._bars:
            self._draw(name)
        self._close(name)

    def _give_back(self) -> None:
        """Stop drawing, and let log messages go where they went before."""
        self._close(*self._bars)
        if self._logs is not None:
            self._logs.close()
        self._logs = None

    def _close(self, *names: str) -> None:
        """Stop drawing; what was drawn last stays on the screen, where the bar is one to be left."""
        for name in names:
            if name in self._bars:
                self._bars[name].close()
