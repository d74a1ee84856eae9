"""TQDMProgressBar draws on standard error by the clock, without a thread, and shows what was logged for it."""

from __future__ import annotations

import threading

import pytest
from tqdm import tqdm

from leyden import Callback, Trainer
from leyden.callbacks import TQDMProgressBar
from leyden.testing import TinyData, TinyModule


class Shown(TinyModule):
    """Logs to the bar."""

    def training_step(self, batch, batch_idx):
        self.log("loss", 0.25, prog_bar=True)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("val", 0.5, prog_bar=True, add_dataloader_idx=False)


class Bystander(Callback):
    """Notes the threads and prints while the bar is open."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.threads = {thread.name for thread in threading.enumerate()}
        if batch_idx == 0:
            trainer.print("in between")


def trainer_with(bar, *callbacks, **options):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    return Trainer(callbacks=[bar, *callbacks], **{"max_epochs": 1, **quiet, **options})


def test_the_last_picture_of_an_epoch_shows_counts_and_metrics(capsys):
    trainer_with(TQDMProgressBar(), max_epochs=2).fit(Shown(), TinyData(train=3))

    captured = capsys.readouterr()
    last = captured.err[captured.err.rindex("Epoch 1") :]
    assert "100%" in last
    assert "3/3" in last
    assert "loss=0.250, val=0.500" in last
    assert captured.out == ""


def test_every_stage_has_its_bar(capsys):
    trainer = trainer_with(TQDMProgressBar())

    trainer.fit(Shown(), TinyData())
    trainer.validate(Shown(), datamodule=TinyData(), verbose=False)
    trainer.test(Shown(), TinyData(evaluation=3), verbose=False)
    trainer.predict(Shown(), datamodule=TinyData())

    drawn = capsys.readouterr().err
    for title in ("Sanity Checking DataLoader 0", "Epoch 0", "Validation DataLoader 0", "Testing DataLoader 0"):
        assert title in drawn
    assert "3/3" in drawn[drawn.rindex("Testing") :]
    assert "Predicting DataLoader 0: 100%" in drawn


def test_the_clock_limits_how_often_it_draws(capsys):
    trainer_with(TQDMProgressBar(), limit_val_batches=0).fit(Shown(), TinyData(train=400))

    assert capsys.readouterr().err.count("\r") < 200


def test_no_thread_is_started():
    interval, bystander = tqdm.monitor_interval, Bystander()
    before = {thread.name for thread in threading.enumerate()}

    trainer_with(TQDMProgressBar(), bystander).fit(Shown(), TinyData())

    assert bystander.threads <= before
    assert tqdm.monitor_interval == interval


def test_printing_does_not_tear_the_bar(capsys):
    trainer_with(TQDMProgressBar(), Bystander()).fit(Shown(), TinyData())

    assert capsys.readouterr().out == "in between\n"


@pytest.mark.parametrize("leave", [False, True])
def test_the_bar_of_each_epoch_stays_if_it_is_asked_to(leave, capsys):
    trainer_with(TQDMProgressBar(leave=leave), max_epochs=3, limit_val_batches=0).fit(Shown(), TinyData())

    kept = [line for line in capsys.readouterr().err.split("\n") if "100%" in line]
    assert len(kept) == (3 if leave else 1)


def test_a_rate_of_zero_draws_nothing(capsys):
    bar = TQDMProgressBar(refresh_rate=0)

    trainer_with(bar).fit(Shown(), TinyData())

    assert bar.is_disabled
    assert capsys.readouterr().err == ""


def test_a_bar_can_be_made_another_way(capsys):
    class Mine(TQDMProgressBar):
        def init_predict_tqdm(self):
            bar = super().init_predict_tqdm()
            bar.bar_format = "mine {n}"
            return bar

    trainer_with(Mine()).predict(Shown(), datamodule=TinyData())

    assert "mine 1" in capsys.readouterr().err


def test_a_loader_without_a_length_has_no_end(capsys):
    trainer_with(TQDMProgressBar(), limit_val_batches=0).fit(
        Shown(), train_dataloaders=(batch for batch in list(TinyData(train=3).train_dataloader()))
    )

    assert "3/?" in capsys.readouterr().err


def test_a_run_that_breaks_gives_the_terminal_back():
    class Breaking(Shown):
        def training_step(self, batch, batch_idx):
            raise ArithmeticError

    bar = TQDMProgressBar()

    with pytest.raises(ArithmeticError):
        trainer_with(bar).fit(Breaking(), TinyData())

    assert bar.train_progress_bar.disable


def test_a_bar_that_does_not_exist_yet_is_named():
    with pytest.raises(TypeError, match="no bar for 'train' yet"):
        _ = TQDMProgressBar().train_progress_bar


def test_the_environment_can_ask_for_fewer_pictures(monkeypatch):
    monkeypatch.setenv("TQDM_MINITERS", "7")

    assert TQDMProgressBar().refresh_rate == 7
    assert TQDMProgressBar(9).refresh_rate == 9
    assert TQDMProgressBar(0).refresh_rate == 0
