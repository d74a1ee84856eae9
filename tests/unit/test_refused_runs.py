"""A new run that is refused before anything came of it leaves nothing; what holds anybody's work stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from leyden.cli.train import main
from leyden.runs.directory import RunDirectory
from leyden.runs.refused import discard

CONFIG = {"_target_": "leyden.experiment.Experiment", "name": "x", "paths": {"run_dir": "runs/x/1"}}


@pytest.fixture
def new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return RunDirectory.create(tmp_path / "runs/x/1", CONFIG, {"overrides": [], "choices": {}})


def test_a_new_directory_goes_and_takes_its_empty_folders_along(new, tmp_path):
    assert discard(new.path, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_folders_with_other_runs_stay(new, tmp_path):
    (tmp_path / "runs/other").mkdir()

    assert discard(new.path, tmp_path / "runs")
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["other"]


def test_a_folder_above_that_of_all_runs_stays(new, tmp_path):
    (tmp_path / "above/runs/x").mkdir(parents=True)
    (new.path).rename(tmp_path / "above/runs/x/1")

    assert discard(tmp_path / "above/runs/x/1", tmp_path / "above/runs")
    assert (tmp_path / "above").is_dir()


def a_checkpoint(run):
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints/last.ckpt").write_bytes(b"x")


def a_file_of_its_own(run):
    (run.path / "predictions.pt").write_bytes(b"x")


def a_second_attempt(run):
    run.update(attempts=2)


def a_day(run):
    os.utime(run.path / "config.yaml", (time.time() - 86400,) * 2)


@pytest.mark.parametrize("worth", [a_checkpoint, a_file_of_its_own, a_second_attempt, a_day])
def test_what_is_worth_something_stays(new, tmp_path, worth):
    worth(new)

    assert not discard(new.path, tmp_path / "runs")
    assert (new.path / "config.yaml").is_file()


def test_a_run_with_an_epoch_behind_it_stays(new, tmp_path):
    assert not discard(new.path, tmp_path / "runs", epochs=1)


def test_a_run_that_is_being_executed_stays(new, tmp_path):
    with new.locked():
        assert not discard(new.path, tmp_path / "runs")
    assert new.path.is_dir()


def test_what_only_a_batch_tells_is_told_in_words_and_leaves_no_run(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    code = main(["model.classes=3", "trainer.max_epochs=1"])

    said = capfd.readouterr().err
    assert code == 2
    assert "MLP was made for classes=3, but a label of the data is" in said
    assert "run directory" not in said.splitlines()[-1]
    assert list(Path(tmp_path).iterdir()) == []
