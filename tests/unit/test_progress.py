"""Progress is a bar on a terminal and single lines anywhere else, and looks at the metrics only when it draws."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import textwrap

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from leyden import LightningModule, Trainer
from leyden.callbacks import LineProgress, ModelSummary, ProgressBar, RichProgressBar, default_progress_bar
from leyden.callbacks.progress_display import is_interactive
from leyden.logger import Logger


class Model(LightningModule):
    """A tiny model that shows its loss on the bar."""

    def __init__(self, loader=None):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.loader = loader

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch[0]).pow(2).mean()
        self.log("loss", loss * 0 + 0.25, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", torch.tensor(0.5), prog_bar=True)

    def test_step(self, batch, batch_idx):
        self.log("test_loss", torch.tensor(0.75))

    def predict_step(self, batch, batch_idx):
        return self.layer(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=1) if self.loader is None else self.loader

    def val_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(2, 2)), batch_size=1)

    test_dataloader = predict_dataloader = val_dataloader


class Endless(IterableDataset):
    """Samples without a length."""

    def __iter__(self):
        yield from torch.ones(3, 2).split(1)


class Versioned(Logger):
    """A real logger that keeps nothing and has a version."""

    name = "runs"

    def __init__(self, version):
        self._version = version

    @property
    def version(self):
        return self._version

    def log_metrics(self, metrics, step=None):
        return None

    def log_hyperparams(self, params, *args, **kwargs):
        return None


def trainer_with(*callbacks, root, **options):
    return Trainer(
        accelerator="cpu",
        callbacks=list(callbacks),
        enable_checkpointing=False,
        default_root_dir=str(root),
        **{"max_epochs": 2, "logger": False, "enable_model_summary": False, **options},
    )


def bar_on(screen, **options):
    """Return a bar that draws into *screen* as if it were a wide terminal."""
    return RichProgressBar(console_kwargs={"file": screen, "force_terminal": True, "width": 140}, **options)


def lines_of(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if " | " in line]


# --- lines ---------------------------------------------------------------------------------------


def test_there_is_one_line_per_epoch(tmp_path, capsys):
    trainer_with(LineProgress(), root=tmp_path).fit(Model())

    first, second = lines_of(capsys)
    assert first.startswith("Epoch 0/1 | step 4 | ")
    assert second.startswith("Epoch 1/1 | step 8 | ")
    assert second.endswith(" s | loss 0.25, val_loss 0.5")


def test_within_an_epoch_lines_come_by_the_clock(tmp_path, capsys):
    trainer_with(LineProgress(every=0.0), root=tmp_path, max_epochs=1).fit(Model())

    counts = [line.split(" | ")[1] for line in lines_of(capsys)]
    assert counts == ["batch 1/4", "batch 2/4", "batch 3/4", "batch 4/4", "step 4"]


def test_a_loader_without_a_length_has_no_total(tmp_path, capsys):
    model = Model(DataLoader(Endless(), batch_size=1))
    trainer_with(LineProgress(every=0.0), root=tmp_path, max_epochs=1).fit(model)

    assert lines_of(capsys)[0].split(" | ")[1] == "batch 1"


@pytest.mark.parametrize(
    ("stage", "start", "end"),
    [
        ("validate", "Validation | batch 2/2 | ", "val_loss 0.5"),
        ("test", "Testing | batch 2/2 | ", "test_loss 0.75"),
        ("predict", "Predicting | batch 2/2 | ", " s"),
    ],
)
def test_an_evaluation_of_its_own_has_one_line(tmp_path, capsys, stage, start, end):
    getattr(trainer_with(LineProgress(), root=tmp_path), stage)(Model())

    (line,) = [line for line in lines_of(capsys) if line.startswith(start[:7])]
    assert line.startswith(start)
    assert line.endswith(end)


def test_a_disabled_display_is_silent(tmp_path, capsys):
    bar = LineProgress(every=0.0)
    bar.disable()

    trainer_with(bar, root=tmp_path).fit(Model())

    assert lines_of(capsys) == []


# --- bar ---------------------------------------------------------------------------------------------


def test_the_last_picture_of_a_run_shows_counts_and_metrics(tmp_path):
    screen = io.StringIO()

    trainer_with(bar_on(screen), root=tmp_path).fit(Model())

    shown = screen.getvalue()
    last = shown[shown.rindex("Epoch 1/1") :]
    assert "4/4" in last
    assert "loss: 0.250 val_loss: 0.500" in last


def test_bars_that_stay_show_the_end_of_every_epoch(tmp_path):
    screen = io.StringIO()

    trainer_with(bar_on(screen, leave=True), root=tmp_path, max_epochs=3).fit(Model())

    for epoch in range(3):
        assert screen.getvalue().count(f"Epoch {epoch}/2  4/4  0:00:00  loss: 0.250 val_loss: 0.500") == 1


@pytest.mark.parametrize(
    ("value", "shown"), [(0.00012345, "0.0001234"), (0.0, "0.000"), (0.25, "0.250"), (-2e-5, "-2e-05")]
)
def test_a_small_metric_does_not_look_like_zero(tmp_path, value, shown):
    class Small(RichProgressBar):
        def get_metrics(self, trainer, pl_module):
            return {"lr": value}

    screen = io.StringIO()
    bar = Small(console_kwargs={"file": screen, "force_terminal": True, "width": 80}, leave=True)

    trainer_with(bar, root=tmp_path).fit(Model())

    assert f"lr: {shown}\n" in screen.getvalue()


def test_metrics_are_read_only_when_a_picture_is_due(tmp_path):
    class Counting(RichProgressBar):
        read = 0

        def get_metrics(self, trainer, pl_module):
            Counting.read += 1
            return super().get_metrics(trainer, pl_module)

        def on_train_epoch_start(self, trainer, pl_module):
            super().on_train_epoch_start(trainer, pl_module)
            self._due = float("inf")  # the clock never strikes

    console = {"file": io.StringIO(), "force_terminal": True}

    trainer_with(Counting(console_kwargs=console), root=tmp_path, max_epochs=3).fit(Model())

    assert Counting.read == 1  # for the picture that stays


def test_a_bar_with_refresh_rate_zero_draws_nothing(tmp_path):
    screen = io.StringIO()

    trainer_with(bar_on(screen, refresh_rate=0), root=tmp_path).fit(Model())

    assert screen.getvalue() == ""


def test_the_terminal_is_given_back_after_an_exception(tmp_path):
    class Failing(Model):
        def on_train_batch_start(self, batch, batch_idx):
            raise RuntimeError("out of luck")

    screen = io.StringIO()
    bar = bar_on(screen)

    with pytest.raises(RuntimeError, match="out of luck"):
        trainer_with(bar, root=tmp_path).fit(Failing())

    assert bar.progress is None
    assert screen.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is visible again


def test_a_test_run_has_a_bar(tmp_path):
    screen = io.StringIO()

    trainer_with(bar_on(screen), root=tmp_path).test(Model())

    assert "Testing" in screen.getvalue()
    assert "2/2" in screen.getvalue()


def test_a_bar_without_an_end_shows_no_total(tmp_path):
    screen = io.StringIO()

    trainer_with(bar_on(screen), root=tmp_path, max_epochs=1).fit(Model(DataLoader(Endless(), batch_size=1)))

    assert "3/--" in screen.getvalue()


# --- the contract ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "shown"), [(3, 3), ("2026-run-0042", "0042"), (None, None), ("tensorboard", None)])
def test_the_version_of_the_logger_is_shown(tmp_path, version, shown):
    bar = LineProgress()
    trainer = trainer_with(bar, root=tmp_path, logger=Versioned(version))

    assert bar.get_metrics(trainer, Model()).get("v_num") == shown


def test_totals_are_those_of_the_trainer(tmp_path):
    class Totals(LineProgress):
        def on_train_epoch_end(self, trainer, pl_module):
            self.seen = (self.total_train_batches, self.total_val_batches)

    bar = Totals()

    trainer_with(bar, root=tmp_path).fit(Model())

    assert bar.seen == (4, 2)


class Totals(ProgressBar):
    """Notes how many batches are done, and of how many, after each batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append((batch_idx + 1, self.total_train_batches))


def test_the_total_of_an_epoch_that_max_steps_cuts_short_is_known_all_along(tmp_path):
    bar = Totals()
    x = torch.randn(40, 2)

    trainer = trainer_with(
        bar, root=tmp_path, max_epochs=-1, max_steps=4, accumulate_grad_batches=2, limit_val_batches=0
    )
    trainer.fit(Model(), DataLoader(TensorDataset(x), 8))

    assert bar.seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5), (1, 2), (2, 2)]


def test_a_bar_asks_for_its_trainer_only_when_it_has_one():
    with pytest.raises(TypeError, match="has no trainer yet"):
        _ = LineProgress().trainer


def test_the_summary_is_printed_when_a_fit_starts(tmp_path, capsys):
    trainer_with(ModelSummary(), LineProgress(), root=tmp_path, enable_model_summary=True).fit(Model())

    assert "0  layer  Linear" in capsys.readouterr().out


# --- which one -----------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "interactive"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (io.StringIO(), {"TERM": "xterm"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"CI": "true"}, False),
        (Terminal(), {"CI": "false"}, True),
        (Terminal(), {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train"}, False),
        (Terminal(), {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "interactive"}, True),
    ],
)
def test_a_place_is_interactive_if_somebody_watches_a_terminal_that_can_redraw(stream, environment, interactive):
    assert is_interactive(stream, environment) is interactive


def test_under_a_test_runner_lines_are_chosen():
    assert isinstance(default_progress_bar(), LineProgress)


def test_every_display_is_a_progress_bar():
    assert issubclass(LineProgress, ProgressBar)
    assert issubclass(RichProgressBar, ProgressBar)


SCRIPT = """
import torch
from torch.utils.data import DataLoader, TensorDataset
from leyden import LightningModule, Trainer
from leyden.callbacks import default_progress_bar

class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
    def training_step(self, batch, batch_idx):
        self.trainer.print(f"a line of step {batch_idx}")
        return self.layer(batch[0]).pow(2).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(3, 2)), batch_size=1)

bar = default_progress_bar()
Trainer(accelerator="cpu", max_epochs=1, logger=False, callbacks=[bar], enable_checkpointing=False,
        enable_model_summary=False).fit(Model())
print("chosen", type(bar).__name__)
"""


def test_on_a_real_terminal_the_bar_is_chosen_and_printing_does_not_tear_it(tmp_path):
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "CI"))}

    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env={**environment, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = _read_all(ours)
    process.wait()

    assert "chosen RichProgressBar" in shown
    assert "Epoch 0/0" in shown
    for step in range(3):
        # a printed line stands alone: the bar was erased before it and is drawn again below
        assert f"a line of step {step}\r\n" in shown


def _read_all(descriptor):
    """Read from a terminal until the other side has closed it."""
    chunks = []
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(descriptor)
    return b"".join(chunks).decode()
