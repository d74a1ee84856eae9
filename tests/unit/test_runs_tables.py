"""Tables fit the terminal, are plain in a pipe, and what runs hold cannot command a terminal."""

import pytest

from leyden.cli.columns import _fitted, render, span
from leyden.cli.runs_best import smaller_is_better
from leyden.errors import ConfigurationError


def test_in_a_pipe_columns_are_between_tabs_and_nothing_is_cut():
    lines = render(["a", "b"], [["1", "x" * 500], ["", "two\tparts\nhere"]])

    assert lines == ["a\tb", "1\t" + "x" * 500, "\ttwo parts here"]


def test_nothing_in_a_table_can_command_the_terminal():
    assert render(["a"], [["\x1b[2Jé\x07\u202e"]]) == ["a", "\\x1b[2Jé\\x07\\u202e"]


@pytest.mark.parametrize(("widths", "give", "expected"), [([10, 80], 1, 40 - 2), ([10, 20], 1, 30), ([50, 80], 1, 38)])
def test_a_line_is_as_wide_as_the_terminal_at_most(widths, give, expected):
    assert sum(_fitted(list(widths), 40, give)) == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (121, "2 min"), (7300, "2 h"), (200_000, "2 d"), (None, "")]
)
def test_a_span_of_time_is_in_its_largest_unit(seconds, text):
    assert span(seconds) == text


def test_the_name_of_a_metric_tells_which_end_is_the_good_one():
    assert smaller_is_better("val_loss")
    assert smaller_is_better("test/RMSE")
    assert not smaller_is_better("test_acc")
    for unclear in ("score_loss", "reward"):
        with pytest.raises(ConfigurationError, match="Say --min or --max"):
            smaller_is_better(unclear)
