"""Of a grid is told what was swept, which run is the best, and how far its seeds are apart."""

import math
import statistics

import pytest

from leyden.runs.sweep import Point, best, comparing, conclusions, swept


def grid(values, metric="val_loss", optimized=None):
    """Two optimizers and as many seeds as there are values for each."""
    return [
        Point(f"{at}", [f"seed={seed}", f"optimizer={name}", "trainer.max_epochs=5"], {metric: value}, optimized)
        for at, (name, seed, value) in enumerate(
            (name, seed, value) for name, found in values.items() for seed, value in enumerate(found)
        )
    ]


def test_only_what_differs_was_swept():
    points = grid({"adamw": [0.5, 0.25], "sgd": [1.0, 2.0]})

    assert swept([point.typed for point in points])[0] == ["seed=0", "optimizer=adamw"]
    assert swept([["seed=1"]]) == [["seed=1"]]
    assert swept([["a=1"], ["a=1"]]) == [[], []]
    assert swept([]) == []


def test_mean_and_deviation_are_over_the_seeds_alone():
    lines = conclusions(grid({"adamw": [0.5, 0.25, 0.3], "sgd": [1.0, 2.0, 1.2]}))

    deviation = statistics.stdev([0.5, 0.25, 0.3])
    assert lines[0] == f"mean   optimizer=adamw   val_loss 0.35 ± {deviation:.4g} over 3 seeds"
    assert lines[1].startswith("mean   optimizer=sgd   val_loss 1.4 ± ")
    assert lines[2] == "best   seed=1 optimizer=adamw   val_loss 0.25   1"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("metric", "optimized", "place"),
    [
        ("val_loss", None, 1),
        ("val_acc", None, 3),
        ("reward", None, None),
        ("reward", "reward", None),
        ("val_mae", "val_mae", 1),
    ],
)
def test_the_name_of_a_metric_says_which_run_is_the_best(metric, optimized, place):
    points = grid({"adamw": [0.5, 0.25], "sgd": [0.6, 0.75]}, metric, optimized)

    assert best(points) == (metric, place)
    assert any(line.startswith("best") for line in conclusions(points)) is (place is not None)


def test_what_has_no_number_is_neither_best_nor_counted():
    points = grid({"adamw": [math.nan, 0.25, 0.35], "sgd": [math.inf, 2.0]})
    points.append(Point("failed", ["seed=9", "optimizer=adamw", "trainer.max_epochs=5"], {}))

    lines = conclusions(points)

    assert best(points)[1] == 1
    assert [line for line in lines if line.startswith("mean")] == [
        f"mean   optimizer=adamw   val_loss 0.3 ± {statistics.stdev([0.25, 0.35]):.4g} over 2 seeds"
    ]


def test_one_run_or_none_has_no_conclusions():
    assert conclusions([]) == conclusions(grid({"sgd": [1.0]})) == []
    assert best([]) == ("", None)


def test_runs_are_compared_by_validation_before_tests():
    assert comparing([["train_loss", "test_acc", "val_reward", "val_acc"]]) == ["val_acc", "val_reward", "test_acc"]
