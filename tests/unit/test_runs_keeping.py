"""A removed run can be brought back, and one that is pinned or at work is not removed."""

import os

import pytest

from leyden.errors import RunError
from leyden.runs.directory import RunDirectory
from leyden.runs.keeping import TRASH, empty, pin, refusal, remove, trashed, unpin
from tests.run_directories import make


def test_a_removed_run_lies_in_the_trash_and_comes_back_by_being_moved_back(tmp_path):
    run = make(tmp_path / "runs" / "digits" / "a", metrics={"test_acc": 0.9})

    target = remove(run.path, tmp_path / "runs")

    assert not run.path.exists()
    assert target.parts[-5:-3] == ("runs", TRASH)
    assert target.parts[-2:] == ("digits", "a")
    os.rename(target, run.path)
    assert RunDirectory(run.path).result()["metrics"] == {"test_acc": 0.9}


def test_runs_of_the_same_name_do_not_meet_in_the_trash(tmp_path):
    targets = {remove(make(tmp_path / "runs" / "a").path, tmp_path / "runs") for _ in range(3)}

    assert len(targets) == 3
    assert all(target.is_dir() for target in targets)


def test_a_run_outside_of_the_output_folder_goes_to_a_trash_beside_itself(tmp_path):
    run = make(tmp_path / "elsewhere" / "a")

    target = remove(run.path, tmp_path / "runs")

    assert target.parent.parent == tmp_path / "elsewhere" / TRASH


def test_a_pinned_run_is_not_removed_until_the_pin_is_off(tmp_path):
    run = make(tmp_path / "runs" / "a")
    pin(run.path)
    pin(run.path)

    with pytest.raises(RunError, match="is pinned"):
        remove(run.path, tmp_path / "runs")
    unpin(run.path)
    unpin(run.path)

    assert not remove(run.path, tmp_path / "runs").is_relative_to(run.path)


def test_a_run_at_work_is_not_removed_whatever_its_status_says(tmp_path):
    run = make(tmp_path / "runs" / "a", metrics={})

    with run.locked(), pytest.raises(RunError, match=f"is being executed by process {os.getpid()}"):
        remove(run.path, tmp_path / "runs")

    assert run.path.is_dir()


def test_a_run_that_may_be_at_work_on_another_machine_is_not_removed(tmp_path):
    run = make(tmp_path / "runs" / "a", status="running", host="far", pid=12)

    assert "is being executed by process 12 on far" in refusal(run.path)


def test_a_dead_run_may_be_removed(tmp_path):
    run = make(tmp_path / "runs" / "a", status="running", host=os.uname().nodename, pid=2**22 + 1)

    assert refusal(run.path) is None


def test_a_folder_that_is_no_run_is_not_removed(tmp_path):
    (tmp_path / "config.yaml").write_text("a: 1")

    with pytest.raises(RunError, match="is no run"):
        remove(tmp_path, tmp_path)


def test_the_folder_one_is_in_is_not_removed(tmp_path, monkeypatch):
    run = make(tmp_path / "runs" / "a")
    monkeypatch.chdir(run.path)

    assert "holds the current directory" in refusal(run.path)


def test_emptying_the_trash_deletes_what_was_removed_and_nothing_else(tmp_path):
    kept = make(tmp_path / "runs" / "kept")
    remove(make(tmp_path / "runs" / "a").path, tmp_path / "runs")

    count = empty(tmp_path / "runs")

    assert (count, trashed(tmp_path / "runs")) == (1, [])
    assert kept.path.is_dir()
