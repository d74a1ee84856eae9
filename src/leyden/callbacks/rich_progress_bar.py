"""A progress bar on a terminal, drawn by rich, from the training thread, by the clock.

There is no thread that redraws in the background and none to wait for. At the ends of
batches and epochs the bar looks at the clock; about ten times a second at most it reads the
metrics, which waits for the device, and draws. Should drawing be slow, it happens less
often: half a hundredth of the time is the most it may take, down to one picture a second.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from leyden.callbacks.log_lines import LogLines
from leyden.callbacks.progress_bar import ProgressBar, epoch_title
from leyden.terminal import number

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID

    from leyden.module import LightningModule
    from leyden.trainer import Trainer

_WIDE = 100  # columns of a terminal from which on there is room for a bar and the speed
_SHORTEST, _LONGEST, _SHARE = 0.1, 1.0, 0.005  # seconds between pictures; share of the time spent on drawing


@dataclass(frozen=True)
class RichProgressBarTheme:
    """Rich styles of the parts of the bar, and how metrics are written."""

    description: str = ""
    progress_bar: str = "cyan"
    progress_bar_finished: str = "cyan"
    progress_bar_pulse: str = "cyan"
    batch_progress: str = ""
    time: str = "dim"
    processing_speed: str = "dim"
    metrics: str = "italic"
    metrics_text_delimiter: str = " "
    metrics_format: str = ".3f"


class RichProgressBar(ProgressBar):
    """Show epoch, batches, time, speed and the metrics logged with ``prog_bar=True``.

    Args:
        refresh_rate: Draw only when this number of batches divides the batches done; 0
            disables the bar. Whatever it is, the clock has the last word.
        leave: Whether a line for each epoch stays on the screen, above the bar.
        theme: Colours and formats.
        console_kwargs: Arguments of the `rich.console.Console` to draw on; by default the
            terminal behind standard output, or behind standard error if output is redirected.
    """

    def __init__(
        self,
        refresh_rate: int = 1,
        leave: bool = False,
        theme: RichProgressBarTheme | None = None,
        console_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._refresh_rate = refresh_rate
        self._leave = leave
        self._console_kwargs = console_kwargs or {}
        self._enabled = True
        self._tasks: dict[str, TaskID] = {}
        self._trained = 0
        self._evaluated = 0
        self._due = math.inf
        self.theme = theme or RichProgressBarTheme()
        self.progress: Progress | None = None
        self._logs: LogLines | None = None

    @property
    def refresh_rate(self) -> int:
        """Every how many batches the bar may be drawn."""
        return self._refresh_rate

    @property
    def is_enabled(self) -> bool:
        """Whether the bar shows itself."""
        return self._enabled and self._refresh_rate > 0

    @property
    def is_disabled(self) -> bool:
        """Whether the bar does not show itself."""
        return not self.is_enabled

    def enable(self) -> None:
        """Show the bar, from the next epoch or evaluation on."""
        self._enabled = True

    def disable(self) -> None:
        """Take the bar away."""
        self._enabled = False
        self._close()

    # --- fit -----------------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar, also in a run that is resumed within an epoch."""
        self._begin("train", epoch_title(trainer), self.total_train_batches)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the bar again."""
        self._begin("train", epoch_title(trainer), self.total_train_batches)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw, if it is time to."""
        self._trained = batch_idx + 1
        if time.monotonic() < self._due or self._trained % self._refresh_rate:
            return
        self._draw("train", self._trained, self._metrics(trainer, pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the line of the epoch, if it is to stay on the screen; draw the last picture, if it is time to."""
        if self.progress is not None and self._leave:
            self._write(epoch_title(trainer), self._trained, self._metrics(trainer, pl_module))
        elif self.progress is not None and time.monotonic() >= self._due:
            self._draw("train", self._trained, self._metrics(trainer, pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the last picture on the screen, unless each epoch has left a line."""
        if self.progress is not None and self._leave:
            self.progress.live.transient = True
        elif self.progress is not None:
            self._draw("train", self._trained, self._metrics(trainer, pl_module))
        self._close()

    # --- evaluation ------------------------------------------------------------------------------

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show a second bar."""
        sanity = trainer.sanity_checking
        title = self.sanity_check_description if sanity else self.validation_description
        self._begin("evaluate", title, sum(trainer.num_sanity_val_batches if sanity else trainer.num_val_batches))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self._begin("evaluate", self.test_description, sum(trainer.num_test_batches))

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self._begin("evaluate", self.predict_description, sum(trainer.num_predict_batches))

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        """Draw, if it is time to."""
        self._evaluated += 1
        if time.monotonic() >= self._due:
            self._draw("evaluate", self._evaluated)

    def on_test_batch_end(self, *_: Any, **__: Any) -> None:
        """Draw, if it is time to."""
        self._evaluated += 1
        if time.monotonic() >= self._due:
            self._draw("evaluate", self._evaluated)

    def on_predict_batch_end(self, *_: Any, **__: Any) -> None:
        """Draw, if it is time to."""
        self._evaluated += 1
        if time.monotonic() >= self._due:
            self._draw("evaluate", self._evaluated)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the second bar away, or leave the last picture of a validation of its own."""
        if trainer.state.fn == "fit":
            self._remove("evaluate")
        else:
            self._finish()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the last picture on the screen."""
        self._finish()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the last picture on the screen."""
        self._finish()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the terminal back before the traceback is printed."""
        self._close()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the terminal back."""
        self._close()

    # --- drawing -----------------------------------------------------------------------------------

    def configure_columns(self, trainer: Trainer) -> list[ProgressColumn]:
        """Return the columns of the bar; override to change them.

        Tasks carry the fields ``count``, ``time``, ``speed`` and ``metrics``, all texts.
        """
        from rich.progress import BarColumn, TextColumn
        from rich.table import Column

        theme, width = self.theme, self._console().width
        bar = BarColumn(
            bar_width=max(5, min(40, width - 110)),
            complete_style=theme.progress_bar,
            finished_style=theme.progress_bar_finished,
            pulse_style=theme.progress_bar_pulse,
        )
        fields = {"count": theme.batch_progress, "time": theme.time, "speed": theme.processing_speed}
        if width < _WIDE:  # there is room for the metrics, or for the others
            del fields["speed"]
        texts = [TextColumn(f"{{task.fields[{name}]}}", style=style, markup=False) for name, style in fields.items()]
        wraps = Column()  # where the line is too short, metrics go on in a second one
        metrics = TextColumn("{task.fields[metrics]}", style=theme.metrics, markup=False, table_column=wraps)
        title = TextColumn("{task.description}", style=theme.description, markup=False)
        return [title, *([bar] if width >= _WIDE else []), *texts, metrics]

    def _console(self) -> Console:
        from rich.console import Console

        return Console(**{"stderr": not sys.stdout.isatty(), **self._console_kwargs})

    def _open(self) -> Progress:
        """Start to draw on the terminal."""
        from rich.progress import Progress

        piped, console = not sys.stdout.isatty(), self._console()
        self.progress = Progress(
            *self.configure_columns(self.trainer),
            console=console,
            auto_refresh=False,
            redirect_stdout=not piped,
            redirect_stderr=sys.stderr.isatty(),
        )
        self.progress.start()
        self._logs = LogLines()
        self._due = 0.0
        return self.progress

    def _begin(self, name: str, title: str, total: int | float) -> None:
        """Start the bar called *name* at 0, in the place it had before."""
        if name == "train":
            self._trained = 0
        else:
            self._evaluated = 0
        if self.is_disabled:
            return
        progress = self.progress or self._open()
        known = total if math.isfinite(total) else None
        progress.disable = True  # rich would draw at once
        if name in self._tasks:
            progress.reset(self._tasks[name], total=known, description=title, **_fields(0, total))
        else:
            self._tasks[name] = progress.add_task(title, total=known, **_fields(0, total))
        progress.disable = False
        if time.monotonic() >= self._due:
            progress.refresh()

    def _draw(self, name: str, completed: int, metrics: Sequence[str] = ()) -> None:
        """Draw the bar called *name*, and settle when to draw again."""
        if self.progress is None or name not in self._tasks:
            return
        started = time.monotonic()
        identity = self._tasks[name]
        self.progress.update(identity, completed=completed)
        task = next(task for task in self.progress.tasks if task.id == identity)
        total = math.inf if task.total is None else task.total
        fields = _fields(completed, total, task.elapsed, task.time_remaining, task.speed)
        width = self.progress.console.width
        room = width - sum(len(each) + 1 for each in (task.description, fields["count"], fields["time"]))
        if width >= _WIDE:
            room = max(map(len, metrics), default=0) if room < 0 else width  # rich wraps what is too long
        fields["metrics"] = _lines(metrics, self.theme.metrics_text_delimiter, room)
        self.progress.update(identity, **fields)
        self.progress.refresh()
        ended = time.monotonic()
        self._due = ended + min(max((ended - started) / _SHARE, _SHORTEST), _LONGEST)

    def _write(self, title: str, completed: int, metrics: Sequence[str]) -> None:
        """Write the line of an epoch above the bar."""
        from rich.text import Text

        if self.progress is None or "train" not in self._tasks:
            return
        task = next(task for task in self.progress.tasks if task.id == self._tasks["train"])
        count = _fields(completed, math.inf if task.total is None else task.total)["count"]
        said = "  ".join([title, count, _clock(task.elapsed), self.theme.metrics_text_delimiter.join(metrics)])
        self.progress.console.print(Text(said.rstrip()))

    def _metrics(self, trainer: Trainer, pl_module: LightningModule) -> list[str]:
        """Write each of the metrics."""
        return [f"{name}: {self._value(value)}" for name, value in self.get_metrics(trainer, pl_module).items()]

    def _value(self, value: Any) -> str:
        """Write a metric in the format of the theme; one that would look like 0 and is not, with its own digits."""
        if not isinstance(value, float):
            return str(value)
        text = format(value, self.theme.metrics_format)
        return number(value) if value and not text.strip("-0.") else text

    def _remove(self, name: str) -> None:
        if self.progress is not None and name in self._tasks:
            self.progress.remove_task(self._tasks.pop(name))

    def _finish(self) -> None:
        """Draw the last picture of an evaluation, and leave it there."""
        if self.progress is not None:
            self._draw("evaluate", self._evaluated)
        self._close()

    def _close(self) -> None:
        """Stop drawing; what was drawn last stays on the screen."""
        if self._logs is not None:
            self._logs.close()
        if self.progress is not None:
            self.progress.stop()
        self.progress, self._logs, self._tasks, self._due = None, None, {}, math.inf


def _fields(
    done: int,
    total: float,
    elapsed: float | None = None,
    remaining: float | None = None,
    speed: float | None = None,
) -> dict[str, Any]:
    """Write the counts and times beside a bar; a total of inf and times of None are not known."""
    return {
        "count": f"{done}/{total:.0f}" if math.isfinite(total) else f"{done}/--",
        "time": f"{_clock(elapsed)} • {_clock(remaining)}",
        "speed": "" if speed is None else f"{speed:.2f}it/s",
        "metrics": "",
    }


def _lines(parts: Sequence[str], delimiter: str, room: int) -> str:
    """Return *parts* in as many lines as they need; a name and its value stay together."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(delimiter) + len(part) <= room:
            lines[-1] += delimiter + part
        else:
            lines.append(part)
    return "\n".join(lines)


def _clock(seconds: float | None) -> str:
    return "-:--:--" if seconds is None else str(timedelta(seconds=int(seconds)))
