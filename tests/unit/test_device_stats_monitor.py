"""DeviceStatsMonitor sends the state of device and processor to the loggers, in the rows that are due."""

from __future__ import annotations

import pytest

from leyden import Trainer
from leyden.callbacks import DeviceStatsMonitor
from leyden.errors import ConfigurationError
from leyden.testing import RecordingLogger, TinyData, TinyModule

STATISTICS = ("cpu_percent", "cpu_swap_percent", "cpu_vm_percent")


def trainer_with(logger, cpu_stats=None, **options):
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    options = {"accelerator": "cpu", "max_epochs": 2, "log_every_n_steps": 2, **quiet, **options}
    return Trainer(callbacks=[DeviceStatsMonitor(cpu_stats)], logger=logger, **options)


def stats(logger):
    return [(step, row) for step, row in logger.rows if any("DeviceStatsMonitor" in name for name in row)]


def test_both_ends_of_a_batch_are_logged_where_its_row_stands():
    logger = RecordingLogger()

    trainer_with(logger, limit_val_batches=0).fit(TinyModule(), TinyData(train=4))

    found = [(step, min(row).split("/")[0]) for step, row in stats(logger)]
    hooks = ["DeviceStatsMonitor.on_train_batch_start", "DeviceStatsMonitor.on_train_batch_end"]
    assert found == [(step, hook) for step in (1, 3, 5, 7) for hook in hooks]


def test_a_row_holds_percentages():
    logger = RecordingLogger()

    trainer_with(logger).fit(TinyModule(), TinyData())

    _, row = stats(logger)[0]
    assert sorted(name.split("/")[1] for name in row) == sorted(STATISTICS)
    assert all(0 <= value <= 100 for value in row.values())
    assert row["DeviceStatsMonitor.on_train_batch_start/cpu_vm_percent"] > 0


def test_an_accumulated_update_is_logged_at_each_of_its_batches():
    logger = RecordingLogger()

    trainer_with(logger, accumulate_grad_batches=2, limit_val_batches=0).fit(TinyModule(), TinyData(train=4))

    assert [step for step, _ in stats(logger)] == [1] * 4 + [3] * 4


def test_evaluations_are_logged_too_but_not_the_sanity_check():
    logger = RecordingLogger()

    trainer = trainer_with(logger, max_epochs=1, log_every_n_steps=1)
    trainer.fit(TinyModule(), TinyData())
    trainer.test(TinyModule(), TinyData(), verbose=False)

    hooks = [min(row).split("/")[0].split(".")[1] for _, row in stats(logger)]
    once = ["on_validation_batch_start", "on_validation_batch_end", "on_test_batch_start", "on_test_batch_end"]
    assert hooks == ["on_train_batch_start", "on_train_batch_end"] * 2 + once


def test_statistics_of_the_processor_can_be_left_out():
    logger = RecordingLogger()

    trainer_with(logger, cpu_stats=False).fit(TinyModule(), TinyData())

    assert stats(logger) == []


def test_a_trainer_without_a_logger_is_refused():
    with pytest.raises(ConfigurationError, match="nowhere to log to"):
        trainer_with(False).fit(TinyModule(), TinyData())
