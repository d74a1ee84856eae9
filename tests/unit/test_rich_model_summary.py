"""RichModelSummary prints the same layers and totals as ModelSummary, in a table with lines."""

from __future__ import annotations

import pytest

from leyden import Trainer
from leyden.callbacks import ModelSummary, RichModelSummary
from leyden.errors import ConfigurationError
from leyden.testing import TinyData, TinyModule


def fit(summary):
    options = {"max_epochs": 1, "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    Trainer(callbacks=[summary], **options).fit(TinyModule(), TinyData())


def test_layers_and_totals_are_printed(capsys):
    fit(RichModelSummary())

    printed = capsys.readouterr().out
    assert [line.split() for line in printed.splitlines() if "Linear" in line] == [
        ["│", "0", "│", "layer", "│", "Linear", "│", "3", "│", "train", "│"]
    ]
    assert "Total params" in printed
    assert "\x1b[" not in printed


def test_it_takes_the_place_of_the_plain_summary():
    trainer = Trainer(callbacks=[RichModelSummary()], logger=False, enable_progress_bar=False)

    summaries = [callback for callback in trainer.callbacks if isinstance(callback, ModelSummary)]

    assert [type(each) for each in summaries] == [RichModelSummary]


def test_a_depth_of_zero_prints_nothing(capsys):
    fit(RichModelSummary(max_depth=0))

    assert "Linear" not in capsys.readouterr().out


def test_a_depth_that_means_nothing_is_refused():
    with pytest.raises(ConfigurationError, match="max_depth=-2 means nothing"):
        RichModelSummary(max_depth=-2)
