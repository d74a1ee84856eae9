"""Comparing finds every kind of difference that a kill could leave, and nothing where there is none."""

import json
import shutil

import pytest
import torch

from tests.chaos.comparing import differences


@pytest.fixture
def two(tmp_path):
    """Return two folders with the same run in them; the times in their files are not the same."""
    one = tmp_path / "one"
    (one / "run" / "checkpoints").mkdir(parents=True)
    state = {"state_dict": {"w": torch.arange(3.0)}, "leyden": {"progress": {"seconds": 1.5, "updates": 3}}}
    torch.save(state, one / "run" / "checkpoints" / "last.ckpt")
    (one / "run" / "metrics.csv").write_text("step,loss\n0,1.0\n1,0.5\n")
    (one / "run" / "losses.f64").write_bytes(bytes(16))
    (one / "run" / "status.json").write_text(json.dumps({"status": "finished", "attempts": 1, "step": 3}))
    (one / "run" / "attempts.jsonl").write_text(json.dumps({"attempt": 1, "outcome": "finished"}) + "\n")
    shutil.copytree(one, tmp_path / "two")
    state["leyden"]["progress"]["seconds"] = 2.5
    torch.save(state, tmp_path / "two" / "run" / "checkpoints" / "last.ckpt")
    (tmp_path / "two" / "run" / "status.json").write_text(json.dumps({"status": "finished", "attempts": 4, "step": 3}))
    return one, tmp_path / "two"


def another_weight(run):
    path = run / "checkpoints" / "last.ckpt"
    state = torch.load(path)
    state["state_dict"]["w"][1] = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))
    torch.save(state, path)


def another_count(run):
    path = run / "checkpoints" / "last.ckpt"
    state = torch.load(path)
    state["leyden"]["progress"]["updates"] = 4
    torch.save(state, path)


def a_missing_row(run):
    (run / "metrics.csv").write_text("step,loss\n0,1.0\n")


def a_file_half_written(run):
    (run / "checkpoints" / ".last.ckpt.17.tmp").write_bytes(b"PK")


def an_older_checkpoint(run):
    shutil.copy(run / "checkpoints" / "last.ckpt", run / "checkpoints" / "epoch=0.ckpt")


def no_losses(run):
    (run / "losses.f64").unlink()


def another_step(run):
    (run / "status.json").write_text(json.dumps({"status": "finished", "attempts": 1, "step": 2}))


def another_outcome(run):
    (run / "attempts.jsonl").write_text(json.dumps({"attempt": 1, "outcome": "failed"}) + "\n")


def a_link_for_a_file(run):
    shutil.move(run / "checkpoints" / "last.ckpt", run / "there.ckpt")
    (run / "checkpoints" / "last.ckpt").symlink_to("../there.ckpt")


def test_runs_that_differ_in_their_times_only_are_the_same(two):
    assert list(differences(*two)) == []


@pytest.mark.parametrize(
    ("change", "file"),
    [
        (another_weight, "run/checkpoints/last.ckpt: .state_dict.w"),
        (another_count, "run/checkpoints/last.ckpt: .leyden.progress.updates"),
        (a_missing_row, "run/metrics.csv: "),
        (a_file_half_written, "run/checkpoints/.last.ckpt.17.tmp: should not be there"),
        (an_older_checkpoint, "run/checkpoints/epoch=0.ckpt: should not be there"),
        (no_losses, "run/losses.f64: missing"),
        (another_step, "run/status.json: .step"),
        (another_outcome, "run/attempts.jsonl: .outcome"),
        (a_link_for_a_file, "run/checkpoints/last.ckpt: missing"),
    ],
)
def test_a_difference_is_named_with_its_file(change, file, two):
    change(two[1] / "run")

    assert [said for said in differences(*two) if said.startswith(file)]
