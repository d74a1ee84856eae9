"""Validation by the clock comes when Lightning's does, and what is no interval there is none here."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from twins import LEYDEN, LIGHTNING, fit, quiet, silence

from leyden.errors import ConfigurationError

NO_TIME = [timedelta(0), "00:00:00:00", {"seconds": 0}]
REFUSALS = {LIGHTNING: (MisconfigurationException, TypeError), LEYDEN: ConfigurationError}
LONG = [timedelta(days=1), "01:00:00:00", {"hours": 24}]


def plain(library, Base):
    return Base


def stopping(library, Base):
    class Module(Base):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.trainer.should_stop = self.trainer.should_stop or batch_idx == 3

    return Module


@pytest.mark.parametrize("interval", NO_TIME + LONG, ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"check_val_every_n_epoch": None}, {"check_val_every_n_epoch": 2, "max_epochs": 4}, {"fast_dev_run": 2}],
    ids=str,
)
def test_the_clock_decides_on_the_same_validations(tmp_path, interval, options):
    options = {"val_check_interval": interval, **options, **({"logger": False} if "fast_dev_run" in options else {})}

    theirs = dataclasses.asdict(fit(LIGHTNING, tmp_path, plain, **options))
    ours = dataclasses.asdict(fit(LEYDEN, tmp_path, plain, **options))

    for what, value in theirs.items():
        assert ours[what] == value, what


def test_whoever_stops_is_validated_before_the_time_is_up(tmp_path):
    theirs = dataclasses.asdict(fit(LIGHTNING, tmp_path, stopping, val_check_interval=timedelta(days=1)))
    ours = dataclasses.asdict(fit(LEYDEN, tmp_path, stopping, val_check_interval=timedelta(days=1)))

    assert [name for name, *_ in ours["seen"]].count("validation") == 1
    for what, value in theirs.items():
        assert ours[what] == value, what


@pytest.mark.parametrize(
    "options",
    [
        {"val_check_interval": "tomorrow"},
        {"val_check_interval": "12:00:00"},
        {"val_check_interval": "00:00:half:00"},
        {"val_check_interval": {"moons": 1}},
        {"val_check_interval": 0.5, "check_val_every_n_epoch": None},
        {"val_check_interval": 1.0, "check_val_every_n_epoch": None},
    ],
    ids=str,
)
def test_the_same_intervals_are_refused(tmp_path, options):
    for library in (LIGHTNING, LEYDEN):
        with silence(), pytest.raises(REFUSALS[library]):
            quiet(library, tmp_path, **options)


def test_batches_are_counted_across_epochs_without_an_interval(tmp_path):
    theirs = dataclasses.asdict(fit(LIGHTNING, tmp_path, plain, check_val_every_n_epoch=None))
    ours = dataclasses.asdict(fit(LEYDEN, tmp_path, plain, check_val_every_n_epoch=None))

    assert ours == theirs
