"""Tables fit the terminal, are plain in a pipe, and what runs hold cannot command a terminal."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leyden.cli import columns
from leyden.cli.columns import _fitted, render, span
from leyden.errors import ConfigurationError
from leyden.runs.sweep import smaller_is_better


def test_in_a_pipe_columns_are_between_tabs_and_nothing_is_cut():
    lines = render(["a", "b"], [["1", "x" * 500], ["", "two\tparts\nhere"]])

    assert lines == ["a\tb", "1\t" + "x" * 500, "\ttwo parts here"]


def test_nothing_in_a_table_can_command_the_terminal():
    assert render(["a"], [["\x1b[2Jé\x07\u202e"]]) == ["a", "\\x1b[2Jé\\x07\\u202e"]


@pytest.mark.parametrize(("widths", "give", "expected"), [([10, 80], 1, 40 - 2), ([10, 20], 1, 30), ([50, 80], 1, 38)])
def test_a_line_is_as_wide_as_the_terminal_at_most(widths, give, expected):
    assert sum(_fitted(list(widths), 40, give)) == expected


@pytest.fixture
def terminal(monkeypatch):
    """A terminal as wide as is said."""

    def set_to(width):
        monkeypatch.setattr(columns, "on_terminal", lambda: True)
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(width))

    return set_to


HEADER = ["run", "status", "reason", "step", "loss", "typed"]
ROWS = [
    [f"{kind}/2026-11-30_21-17-40-64369{at}", "finished", "", "40", f"0.{at}", f"seed={at} optimizer=adamw"]
    for at, kind in enumerate(("digits", "digits", "mnist"))
]


def test_a_table_that_fits_is_shown_whole(terminal):
    terminal(120)

    lines = render(HEADER, ROWS, 5, [3, 4, 1])

    assert lines[0].split() == HEADER
    assert len(lines) == 4


def test_empty_and_equal_columns_go_before_a_name_is_cut(terminal):
    terminal(76)

    lines = render(HEADER, ROWS, 5, [2, 3, 4, 1])

    assert lines[0].split() == ["run", "status", "loss", "typed"]
    assert all(line.startswith(row[0]) for line, row in zip(lines[1:4], ROWS, strict=True))
    assert lines[4:] == ["the same for all: step 40"]


def test_the_folder_that_all_names_begin_with_is_told_once(terminal):
    terminal(60)
    rows = [[row[0].replace("mnist", "digits"), *row[1:]] for row in ROWS]

    lines = render(HEADER, rows, 5, [2, 3, 4, 1])

    assert "all in: digits" in lines
    assert [line.split()[0] for line in lines[1:4]] == [row[0].removeprefix("digits/") for row in rows]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(40, 200),
    st.lists(st.lists(st.text("abc/ é", max_size=60), min_size=5, max_size=5), min_size=1, max_size=6),
    st.permutations([1, 2, 3]),
)
def test_no_line_is_longer_than_the_terminal_and_no_name_is_cut_while_others_are_spare(terminal, width, rows, spare):
    terminal(width)
    rows = [[f"r{at}{row[0].strip('/ ')}", *row[1:]] for at, row in enumerate(rows)]

    lines = render(["run", "a", "b", "c", "typed"], rows, 4, spare)

    assert max(map(len, lines)) <= width
    if max(len(row[0]) for row in rows) + 2 + 24 <= width:
        for at, row in enumerate(rows):
            assert lines[at + 1].split("  ")[0].rstrip() in row[0]
            assert row[0].rstrip().endswith(lines[at + 1].split("  ")[0].strip()) or "  " in row[0]


def test_columns_that_no_one_may_leave_out_stay(terminal):
    terminal(40)

    assert render(HEADER, ROWS)[0].split()[0] == "run"
    assert len(render(HEADER, ROWS)) == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"), (12.3456, "12.35"), (1234.5678, "1235"), (12345.678, "12346"), (1e-7, "1e-07"),
        (float("nan"), "nan"), (float("inf"), "inf"), (123456789.0, "1.235e+08"), (0.0, "0"), (-0.98765432, "-0.9877"),
    ],
)  # fmt: skip
def test_a_number_has_four_significant_digits(value, text):
    assert columns.number(value) == text


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
