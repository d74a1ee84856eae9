"""Ticks are round, lie on the axis, and can be told apart, as lines can; speeds come from the moments in the log."""

from __future__ import annotations

import math

import numpy as np
import pytest

from leyden.runs.report.axes import linear, logarithmic, short, steps
from leyden.runs.report.chart import style
from leyden.runs.report.page import MOST_RUNS
from leyden.runs.report.series import series
from leyden.runs.report.speed import speed

RANGES = [
    *((0.0, 1.0), (0.1, 2.3), (-3.0, 5.0), (0.97, 0.9701), (1e-7, 3e-7), (1e-4, 0.0031), (12_345.0, 67_890.0)),
    *((5.0, 5.0), (0.0, 0.0), (-1e-12, 1e-12), (1e20, 3e20), (-2e5, 3e6), (0.0, 2.0), (1e5, 1e5 + 3)),
    *((1e199, 1.1e199), (0.0, 5e-324), (-5e-324, 5e-324), (1e-320, 2e-310)),
]


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_a_linear_axis_covers_its_values_with_a_few_different_ticks(low, high):
    axis = linear(low, high)

    places = [place for place, _ in axis.ticks]
    labels = [label for _, label in axis.ticks]
    assert axis.low <= low or math.isclose(axis.low, low)
    assert axis.high >= high or math.isclose(axis.high, high)
    assert 2 <= len(labels) <= 9
    assert all(-1e-6 <= place <= 1 + 1e-6 for place in places)
    assert places == sorted(places)
    assert len(set(labels)) == len(labels) or high - low < abs(high) * 1e-4, labels
    assert max(map(len, labels)) <= 8, labels


@pytest.mark.parametrize(("low", "high"), [each for each in RANGES if each[0] > 0])
def test_a_logarithmic_axis_covers_its_values_with_a_few_different_ticks(low, high):
    axis = logarithmic(low, high)

    labels = [label for _, label in axis.ticks]
    assert axis.low < math.log10(low)
    assert axis.high > math.log10(high)
    assert len(labels) <= 12
    assert all(0 <= place <= 1 for place, _ in axis.ticks)
    assert len(set(labels)) == len(labels)


def test_a_logarithmic_axis_over_many_decades_leaves_some_out():
    labels = [label for _, label in logarithmic(1e-12, 1e12).ticks]

    assert labels == ["1e\N{MINUS SIGN}10", "1e\N{MINUS SIGN}5", "1", "100k", "10G"]


def test_steps_are_whole_and_begin_at_zero_where_that_is_near():
    assert [label for _, label in steps(0, 2).ticks] == ["0", "1", "2"]
    assert [label for _, label in steps(49, 23_999).ticks] == ["0", "5k", "10k", "15k", "20k"]
    assert steps(9_000, 10_000).low == 9_000


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12_000, "12k"), (0.25, "0.25"), (3e-5, "3e\N{MINUS SIGN}5"), (-1.5e6, "\N{MINUS SIGN}1.5M")],
)
def test_a_number_is_written_in_few_characters(value, text):
    assert short(value) == text


def test_a_curve_is_thinned_to_its_extremes():
    values = np.sin(np.arange(10_000) / 50)
    values[5_000], values[5_001] = 9.0, -9.0

    thin = series(np.arange(10_000), values).thinned(200)

    assert len(thin.x) <= 202
    assert (thin.x[0], thin.x[-1]) == (0, 9_999)
    assert (thin.y.max(), thin.y.min()) == (9.0, -9.0)


def test_only_a_noisy_curve_has_a_calm_companion():
    smooth = np.linspace(2, 0, 5_000)
    noisy = smooth + np.random.default_rng(0).normal(0, 0.3, 5_000)

    assert series(np.arange(5_000), smooth).calm() is None
    calm = series(np.arange(5_000), noisy).calm()
    assert calm is not None
    assert np.abs(np.diff(calm.y)).sum() < np.abs(np.diff(noisy)).sum() / 50


def test_speed_is_steps_over_the_time_between_two_epochs():
    found = speed(
        "2026-03-01 10:00:00,000 INFO leyden.run: training starts at epoch 0, step 0\n"
        "2026-03-01 10:00:02,500 INFO leyden.run: epoch 0, step 50: loss 1\n"
        "2026-03-01 10:00:03,000 WARNING leyden.run: something else, step 51\n"
        "2026-03-01 10:00:07,500 INFO leyden.run: epoch 1, step 100: loss 1\n"
    )

    assert found is not None
    assert (found.x.tolist(), found.y.tolist()) == ([50, 100], [20, 10])


def test_the_time_between_two_attempts_counts_for_no_speed():
    found = speed(
        "2026-03-01 10:00:00,000 INFO leyden.run: training starts at epoch 0, step 0\n"
        "2026-03-01 10:00:10,000 INFO leyden.run: epoch 0, step 50: loss 1\n"
        "2026-03-02 10:00:00,000 INFO leyden.run: training starts at epoch 1, step 50\n"
        "2026-03-02 10:00:05,000 INFO leyden.run: epoch 1, step 100: loss 1\n"
    )

    assert found is not None
    assert found.y.tolist() == [5, 10]


def test_a_log_that_tells_no_speed_gives_none():
    assert speed("") is None
    assert speed("2026-99-99 10:00:00,000 INFO leyden.run: epoch 0, step 50: loss 1\n") is None


def test_as_many_lines_as_a_report_may_have_look_different():
    assert len({style(number) for number in range(MOST_RUNS)}) == MOST_RUNS
