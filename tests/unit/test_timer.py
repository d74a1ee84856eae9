"""Timer measures every stage and ends training when its time is up, over all attempts of a run."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from leyden import Callback, Trainer
from leyden.callbacks import Timer
from leyden.errors import ConfigurationError
from leyden.testing import TinyData, TinyModule


def trainer_with(*callbacks, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    options = {"max_epochs": 3, "enable_checkpointing": False, **quiet, **options}
    return Trainer(callbacks=list(callbacks), **options)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("01:02:03:04", 93784),
        (" 00:00:00:30 ", 30),
        (timedelta(minutes=1), 60),
        ({"hours": 1, "minutes": 1}, 3660),
    ],
)
def test_a_duration_is_read_in_each_of_its_forms(duration, seconds):
    assert Timer(duration).time_remaining() == seconds


@pytest.mark.parametrize("duration", ["1:2:3", "12 hours", {"fortnights": 1}, 30])
def test_what_is_no_duration_is_refused(duration):
    with pytest.raises(ConfigurationError, match=r"is no duration. Expected 'DD:HH:MM:SS'"):
        Timer(duration)


def test_an_unknown_interval_is_refused():
    with pytest.raises(ConfigurationError, match=r"interval='batch'.*Expected 'step' or 'epoch'"):
        Timer(interval="batch")


def test_without_a_duration_it_only_measures():
    timer = Timer()
    trainer = trainer_with(timer)

    trainer.fit(TinyModule(), TinyData())
    trainer.test(TinyModule(), TinyData(), verbose=False)

    assert trainer.global_step == 6
    assert timer.time_remaining() is None
    for stage in ("train", "validate", "test"):
        assert timer.time_elapsed(stage) == timer.end_time(stage) - timer.start_time(stage) > 0
    assert timer.time_elapsed("predict") == 0
    assert timer.start_time("predict") is None


def test_time_goes_on_while_a_stage_runs():
    seen = []

    class Looking(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append(timer.time_elapsed())

    timer = Timer()

    trainer_with(timer, Looking()).fit(TinyModule(), TinyData())

    assert seen == sorted(set(seen))
    assert timer.time_elapsed() >= seen[-1]


def test_a_second_fit_is_measured_from_its_own_start():
    timer = Timer()
    trainer = trainer_with(timer)
    trainer.fit(TinyModule(), TinyData())
    first = timer.end_time()
    trainer.max_epochs = 6

    trainer.fit(TinyModule(), TinyData())

    assert timer.start_time() > first
    assert timer.time_elapsed() >= 0


class Spending(Callback):
    """Puts an earlier attempt's time on a timer when a batch begins, so that no test has to wait."""

    def __init__(self, timer, epoch, batch):
        self.timer, self.at = timer, (epoch, batch)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.at:
            start = self.timer.start_time()
            self.timer.load_state_dict({"time_elapsed": {"train": 3600.0}})
            assert start is not None
            self.timer.on_train_start(trainer, pl_module)
            trainer.should_stop = False


@pytest.mark.parametrize(("interval", "steps"), [("step", 5), ("epoch", 8)])
def test_training_stops_at_the_first_look_after_its_time_is_up(interval, steps, caplog):
    timer = Timer("00:01:00:00", interval)
    trainer = trainer_with(timer, Spending(timer, epoch=1, batch=0))

    with caplog.at_level(logging.INFO, "leyden"):
        trainer.fit(TinyModule(), TinyData(train=4))

    assert trainer.global_step == steps
    assert "training has taken 1:00:00, its time is up" in caplog.text


def test_a_resumed_run_goes_on_counting(tmp_path):
    path = tmp_path / "end.ckpt"
    first = Timer("00:02:00:00")
    first.load_state_dict({"time_elapsed": {"train": 3600.0}})
    trainer = trainer_with(first, max_epochs=1)
    trainer.fit(TinyModule(), TinyData())
    trainer.save_checkpoint(path)
    second = Timer("00:02:00:00")

    trainer_with(second, max_epochs=2).fit(TinyModule(), TinyData(), ckpt_path=path)

    assert 3600 < first.time_elapsed() < second.time_elapsed() < 7200


def test_a_run_resumed_with_no_time_left_trains_no_batch(tmp_path):
    path = tmp_path / "end.ckpt"
    timer = Timer()
    timer.load_state_dict({"time_elapsed": {"train": 3600.0}})
    trainer = trainer_with(timer, max_epochs=1)
    trainer.fit(TinyModule(), TinyData())
    trainer.save_checkpoint(path)
    again = trainer_with(Timer("00:00:30:00"), max_epochs=2)

    again.fit(TinyModule(), TinyData(), ckpt_path=path)

    assert again.global_step == trainer.global_step == 2


def test_a_run_whose_time_was_up_goes_on_with_more_time(tmp_path):
    path = tmp_path / "end.ckpt"
    timer = Timer("00:01:00:00", verbose=False)
    trainer = trainer_with(timer, Spending(timer, epoch=0, batch=0), max_epochs=2)
    trainer.fit(TinyModule(), TinyData(train=4))
    trainer.save_checkpoint(path)
    more = trainer_with(Timer("00:02:00:00"), max_epochs=3)

    with pytest.warns(UserWarning, match="training goes on: Timer, which had asked for a stop"):
        more.fit(TinyModule(), TinyData(train=4), ckpt_path=path)

    assert trainer.global_step == 1
    assert more.global_step == 9
