"""ThroughputMonitor logs how fast every stage is, over a window of batches, pauses left out."""

from __future__ import annotations

import pytest
import torch

from leyden import Trainer
from leyden.callbacks import ThroughputMonitor
from leyden.callbacks.peak_flops import of_chip
from leyden.callbacks.throughput import Throughput
from leyden.errors import ConfigurationError
from leyden.testing import RecordingLogger, TinyData, TinyModule


class Counted(TinyModule):
    """Says how many operations a batch takes."""

    flops_per_batch = 1000


class ByHand(Throughput):
    """A measurement whose clock is set by the test."""

    now = 0.0

    def mark(self):
        return self.now


def trainer_with(monitor, logger, **options):
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    options = {"accelerator": "cpu", "max_epochs": 1, "log_every_n_steps": 1, **quiet, **options}
    return Trainer(callbacks=[monitor], logger=logger, **options)


def rows(logger, stage):
    return [(step, row) for step, row in logger.rows if f"{stage}/batches" in row]


def test_counts_are_logged_from_the_first_batch_and_rates_once_the_window_is_full():
    logger = RecordingLogger()

    trainer_with(ThroughputMonitor(window_size=3), logger).fit(TinyModule(), TinyData(train=4))

    found = rows(logger, "train")
    assert [(step, row["train/batches"], row["train/samples"]) for step, row in found] == [
        (0, 1, 2),
        (1, 2, 4),
        (2, 3, 6),
        (3, 4, 8),
    ]
    assert ["train/device/samples_per_sec" in row for _, row in found] == [False, False, True, True]
    times = [row["train/time"] for _, row in found]
    assert times == sorted(set(times))


def test_items_and_operations_are_counted_where_somebody_can():
    logger = RecordingLogger()
    monitor = ThroughputMonitor(len, lambda batch: batch[0].numel(), window_size=2, available_flops=1e15)

    trainer_with(monitor, logger).fit(Counted(), TinyData())

    _, row = rows(logger, "train")[-1]
    assert (row["train/samples"], row["train/lengths"]) == (4, 8)
    assert row["train/device/flops_per_sec"] == pytest.approx(1000 * row["train/device/batches_per_sec"])
    assert row["train/device/mfu"] == pytest.approx(row["train/device/flops_per_sec"] / 1e15)
    assert row["train/device/items_per_sec"] == pytest.approx(4 * row["train/device/batches_per_sec"])


def test_rows_come_as_often_as_the_trainer_logs_and_at_the_end_of_a_window():
    logger = RecordingLogger()

    options = {"log_every_n_steps": 2, "accumulate_grad_batches": 2}
    trainer_with(ThroughputMonitor(), logger, **options).fit(TinyModule(), TinyData(train=7))

    assert [(step, row["train/batches"]) for step, row in rows(logger, "train")] == [(1, 4), (3, 7)]


def test_every_stage_is_measured_on_its_own():
    logger = RecordingLogger()
    trainer = trainer_with(ThroughputMonitor(separator="|"), logger)

    trainer.fit(TinyModule(), TinyData(evaluation=2))
    trainer.validate(TinyModule(), datamodule=TinyData(evaluation=2), verbose=False)
    trainer.test(TinyModule(), TinyData(), verbose=False)
    trainer.predict(TinyModule(), datamodule=TinyData())

    stages = [min(row).split("|")[0] for _, row in logger.rows if any("|batches" in name for name in row)]
    assert [name for name in stages if name != "epoch"] == ["validate"] * 4 + ["test", "predict"]
    assert sum("train|batches" in row for _, row in logger.rows) == 2


def test_rates_are_those_of_the_window_without_the_pauses():
    measured = ByHand(torch.device("cpu"), window_size=3)
    for now in (1.0, 2.0, 3.0):
        measured.now = now
        measured.add(4, None, None)
    measured.pause()
    measured.now = 103.0
    measured.resume()
    measured.now = 105.0
    measured.add(4, None, None)

    found = measured.compute()

    assert found["time"] == 5.0
    assert found["device/batches_per_sec"] == pytest.approx(2 / 3)
    assert found["device/samples_per_sec"] == pytest.approx(8 / 3)


def test_several_devices_are_added_up():
    measured = ByHand(torch.device("cpu"), window_size=2, world_size=4)
    for now in (1.0, 3.0):
        measured.now = now
        measured.add(2, 10, None)

    found = measured.compute()

    assert (found["samples_per_sec"], found["items_per_sec"], found["batches_per_sec"]) == (4.0, 20.0, 2.0)


@pytest.mark.parametrize(
    ("name", "precision", "tf32", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", "bf16-mixed", False, 312e12),
        ("NVIDIA A100-SXM4-80GB", "32-true", False, 19.5e12),
        ("NVIDIA A100-SXM4-80GB", "32-true", True, 156e12),
        ("NVIDIA H100 PCIe", "16-mixed", False, 756e12),
        ("NVIDIA H100 80GB HBM3", "64-true", False, 33.5e12),
        ("NVIDIA L40S", "bf16-true", False, 362e12),
        ("Tesla T4", "64-true", False, None),
        ("Abacus 1000", "32-true", False, None),
    ],
)
def test_peaks_are_those_of_the_data_sheets(name, precision, tf32, peak):
    assert of_chip(name, precision, tf32) == peak


def test_a_batch_without_a_size_is_refused():
    with pytest.raises(ConfigurationError, match="counted 0 samples and None items"):
        trainer_with(ThroughputMonitor(lambda batch: 0), RecordingLogger()).fit(TinyModule(), TinyData())


def test_a_window_of_one_batch_is_refused():
    with pytest.raises(ConfigurationError, match=r"window_size=1\) is too small"):
        ThroughputMonitor(window_size=1)
