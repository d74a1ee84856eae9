"""Two ranks do what one process does, stop and go on together, and say what keeps them from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("scenarios.py")


def run(folder, ranks, *words):
    """Start *ranks* processes of a scenario; return what each of them saw."""
    starter = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    done = subprocess.run(
        [sys.executable, *starter, str(SCRIPT), str(folder), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((folder / f"rank{rank}.json").read_text("utf-8")) for rank in range(ranks)]


def apart(one, two):
    """How far two sets of weights are apart at most."""
    return max((torch.tensor(one[name]) - torch.tensor(two[name])).abs().max().item() for name in one)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_ranks_do_what_one_process_does_at_the_same_global_batch(tmp_path, accumulate):
    alone = run(tmp_path, 1, "trained", 16 // accumulate, 0, 0, accumulate)[0]
    first, second = run(tmp_path, 2, "trained", 8 // accumulate, 0, 0, accumulate)

    assert first["weights"] == second["weights"]
    assert apart(alone["weights"], first["weights"]) < 1e-6
    assert first["steps"] == second["steps"] == alone["steps"]
    assert first["metrics"] == pytest.approx(alone["metrics"], abs=1e-6)
    assert first["test"] == second["test"] == pytest.approx(alone["test"], abs=1e-6)
    assert first["predicted"] + second["predicted"] == alone["predicted"] == 7


def test_the_number_of_loader_workers_changes_no_batch(tmp_path):
    without, with_two = (run(tmp_path, 2, "trained", 8, 0, workers)[0]["weights"] for workers in (0, 2))

    assert without == with_two


@pytest.mark.parametrize(("batches", "accumulate"), [(5, 1), (14, 1), (12, 1), (17, 3)])
def test_a_run_that_goes_on_ends_with_the_bits_of_one_that_was_not_disturbed(tmp_path, batches, accumulate):
    expected = run(tmp_path, 2, "saved", batches, accumulate)
    found = run(tmp_path, 2, "resumed", batches, accumulate)

    assert found == expected


def test_a_signal_to_one_rank_stops_all_of_them_at_the_same_step(tmp_path):
    first, second = run(tmp_path, 2, "interrupted")

    assert first == second
    assert first["signum"] == 15
    assert first["saved"]
    assert first["steps"] >= 10


def test_a_validation_that_all_ranks_break_off_is_not_passed_over(tmp_path):
    assert run(tmp_path, 2, "interrupted_in_validation") == [{"steps": 24, "validated": True}] * 2


def test_a_search_for_a_learning_rate_stops_at_the_same_step_on_all_ranks(tmp_path):
    first, second = run(tmp_path, 2, "rates")

    assert first == second
    assert first["steps"] < 60


def test_loaders_without_a_length_end_with_the_first_rank_that_has_no_batch(tmp_path):
    first, second = run(tmp_path, 2, "ragged")

    assert first == second
    assert first["steps"] == 2 * 7


@pytest.mark.parametrize("accumulate", [1, 2])
def test_loaders_that_announce_too_much_end_the_epoch_on_all_ranks_with_the_first_that_has_no_batch(
    tmp_path, accumulate
):
    first, second = run(tmp_path, 2, "ragged", "announced", accumulate)

    assert first["weights"] == second["weights"]
    assert first["steps"] == second["steps"] == 2 * -(-7 // accumulate)
    assert first["validations"] == second["validations"] == 2
    assert ["announced 10 batches with len(), and yielded 7" in each for each in first["said"]] == [True]
    assert second["said"] == []


@pytest.mark.parametrize(("processors", "workers"), [(1, 0), (2, 0), (2, 2)])
def test_ranks_and_workers_that_are_more_than_the_processors_are_told_by_the_first_rank(tmp_path, processors, workers):
    first, second = run(tmp_path, 2, "crowded", processors, workers)

    assert second["said"] == []
    assert [
        f"2 ranks with {workers} loader workers each share {processors} processors" in each for each in first["said"]
    ] == ([True] if (processors, workers) != (2, 0) else [])


def test_loaders_of_different_lengths_are_refused_on_every_rank(tmp_path):
    first, second = run(tmp_path, 2, "uneven")

    assert "has 4 batches on rank 0, but the ranks have from 4 to 6" in first["error"]
    assert "has 6 batches on rank 1" in second["error"]


def test_gradients_travel_in_16_bits(tmp_path):
    exact = run(tmp_path, 2, "trained", 8)[0]["weights"]
    first, second = run(tmp_path, 2, "compressed")

    assert first["weights"] == second["weights"]
    assert 0 < apart(first["weights"], exact) < 5e-2
    assert "bf16_compress_hook" in first["error"]


def test_ranks_talk(tmp_path):
    first, second = run(tmp_path, 2, "talk")

    for found, factor in ((first, 1.0), (second, 2.0)):
        assert found["reduced"] == {"mean": [1.5, 3.0], "sum": [3.0, 6.0], "min": [1.0, 2.0], "max": [2.0, 4.0]}
        assert found["whole"] == 0.5
        assert found["own"] == [factor, 2 * factor]
        assert found["gathered"] == [[1.0, 2.0], [2.0, 4.0]]
        assert found["told"] == {"rank": 0}
    assert first["collected"] == [0, 1]


def test_ranks_save_beside_training_and_all_of_them_hear_of_what_fails(tmp_path):
    first, second = run(tmp_path, 2, "beside_training")
    once, beside = (torch.load(tmp_path / f"{name}.ckpt", weights_only=True) for name in ("once", "beside"))

    assert first["weights"] == second["weights"]
    assert first["there"]
    assert second["there"]
    assert {name: each.tolist() for name, each in beside["state_dict"].items()} == {
        name: each.tolist() for name, each in once["state_dict"].items()
    }
    assert len(beside["leyden"]["ranks"]) == 1
    assert beside["leyden"]["ranks"][0]["rng"]["torch"] == once["leyden"]["ranks"][0]["rng"]["torch"]
    assert (first["kind"], second["kind"]) == ("CheckpointError", "RankError")
    assert second["error"] == f"rank 0 has failed: CheckpointError: {first['error']}"
    assert first["steps"] == second["steps"] == 48  # nothing was saved after the failure: it is told at the end


def test_the_clock_of_rank_0_decides(tmp_path):
    assert [each["steps"] for each in run(tmp_path, 2, "clock")] == [24, 24]


def test_batch_statistics_of_all_ranks_are_refused_on_cpus(tmp_path):
    for each in run(tmp_path, 2, "synchronised"):
        assert "torch's SyncBatchNorm works on accelerators only" in each["error"]


@pytest.mark.parametrize("attempt", range(2))
def test_ranks_that_end_right_after_they_exchanged_something_end_well(tmp_path, attempt):
    assert run(tmp_path, 4, "left_at_once") == [{}] * 4  # without a pause, one in three aborts in a thread of gloo
