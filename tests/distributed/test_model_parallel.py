"""A module divided by hand over a mesh of two dimensions does what one process does."""

from __future__ import annotations

import pytest
import torch
from sharded_fits import Perceptron, fitted
from test_fsdp import apart, run

import leyden as L
from leyden.strategies import ModelParallelStrategy

CASES = """
tensor_parallel tensor_parallel_clipped data_parallel data_parallel_clipped saved_by_hand saved_in_one_file
resumed_by_hand resumed_from_one_file turned
""".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the ranks leave what they come to."""
    made = tmp_path_factory.mktemp("model_parallel")
    run(made, CASES)
    return made


@pytest.fixture(scope="module")
def results(folder):
    """What each case came to."""
    return {name: torch.load(folder / f"{name}.pt") for name in CASES}


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("name", ["tensor_parallel", "data_parallel"])
def test_columns_and_rows_come_to_what_one_process_comes_to(results, name, clip):
    alone = fitted("auto", Perceptron(), batch_size=8, devices=1, gradient_clip_val=clip)

    found = results[name if clip is None else f"{name}_clipped"]
    assert apart(found["weights"], alone["weights"]) < 1e-6
    assert found["metrics"] == pytest.approx(alone["metrics"], abs=1e-6)
    assert found["metrics"]["samples"] == 20


@pytest.mark.parametrize("name", ["saved_in_one_file", "resumed_by_hand", "resumed_from_one_file"])
def test_a_fit_saved_in_the_middle_of_a_window_goes_on_to_the_same_bits(results, name):
    assert results[name]["sha256"] == results["saved_by_hand"]["sha256"]


def test_what_was_divided_by_columns_goes_on_divided_by_rows_and_the_other_way(folder, results):
    alone = fitted("auto", Perceptron(), folder / "in_between.ckpt", devices=1, accumulate_grad_batches=2)

    assert apart(results["turned"]["weights"], results["saved_by_hand"]["weights"]) < 1e-6
    assert apart(alone["weights"], results["saved_by_hand"]["weights"]) < 1e-6


def strategy(ranks, *sizes):
    """A strategy of so many ranks on one machine."""
    made = ModelParallelStrategy(*sizes)
    made.place("cpu", range(ranks), 1)
    return made


@pytest.mark.parametrize(
    ("sizes", "expected"), [((), (1, 4)), ((2,), (2, 2)), (("auto", 1), (4, 1)), ((1, "auto"), (1, 4))]
)
def test_a_size_that_is_left_out_is_what_the_other_leaves(sizes, expected):
    assert strategy(4, *sizes).sizes == expected


def test_ranks_of_one_row_have_the_same_part_of_the_data():
    made = strategy(4, 2, 2)

    shares = []
    for made.global_rank in range(4):
        shares.append(made.share)
    assert shares == [(0, 2), (0, 2), (1, 2), (1, 2)]


def test_sizes_that_do_not_make_up_all_ranks_are_refused():
    with pytest.raises(L.ConfigurationError, match=r"3 .* times 2 .* are 6 ranks, but there are 4"):
        _ = strategy(4, 3, 2).sizes


@pytest.mark.parametrize("size", [0, "all", 1.5])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(L.ConfigurationError, match="expected a positive number of ranks, or 'auto'"):
        ModelParallelStrategy(size)
