"""A run whose status.json is lost or damaged goes on from its checkpoints to the same result, or says what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from leyden.cli.main import main
from tests.stopped_runs import copied, finished, outcome, status, stopped, undated


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(folder):
    """A run that was never stopped."""
    return finished(folder / "whole")


@pytest.fixture(scope="module")
def original(folder):
    return stopped(folder / "stopped")


@pytest.fixture
def run(original, tmp_path):
    return copied(original, tmp_path / "run")


def gone(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:40])


def other_bytes(path):
    path.write_bytes(b"\xff\x00" * 50)


def a_list(path):
    path.write_text("[1, 2]")


def no_entries(path):
    path.write_text("{}")


def wrong(value):
    """Return what gives every entry of a status the wrong *value*."""

    def change(path):
        path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), value)))

    change.__name__ = f"every entry {value!r:.20}"
    return change


WRONG = [[1], {"a": 1}, -1, 2**70, 10**400, 1.5, True, None]
DAMAGES = [gone, empty, cut, a_list, no_entries, *map(wrong, WRONG)]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_the_run_goes_on_to_the_same_result(damage, run, whole):
    before = status(run)
    damage(run / "status.json")

    assert main(["run", str(run)]) == 0

    assert undated(outcome(run)) == undated(outcome(whole))
    after = status(run)
    assert (after["status"], after["attempts"]) == ("finished", before["attempts"] + 1)
    assert after["run_id"] == before["run_id"]
    assert after["resumed_from"] == "checkpoints/last.ckpt"


@pytest.mark.parametrize("value", ["x", "", "../../elsewhere", 3, ["running"]])
@pytest.mark.parametrize("key", ["status", "attempts", "resumed_from", "pid"])
def test_an_entry_that_is_wrong_alone_changes_nothing(key, value, run, whole):
    (run / "status.json").write_text(json.dumps({**status(run), key: value}))

    assert main(["run", str(run)]) == 0

    assert undated(outcome(run)) == undated(outcome(whole))


@pytest.mark.parametrize("lost", [["status.json"], ["status.json", "attempts.jsonl"]])
def test_a_run_that_was_finished_stays_what_it_was(lost, whole, tmp_path):
    run = copied(whole, tmp_path / "run")
    for name in lost:
        (run / name).unlink()

    assert main(["run", str(run)]) == 0

    assert undated(outcome(run)) == undated({**outcome(whole), "files": outcome(run)["files"]})


def test_a_run_without_status_and_checkpoints_begins_anew(run, whole):
    (run / "status.json").unlink()
    shutil.rmtree(run / "checkpoints")

    with pytest.warns(UserWarning, match=r"metrics\.csv is from an earlier run"):
        assert main(["run", str(run)]) == 0

    assert undated(outcome(run)) == undated(outcome(whole))
    assert status(run)["attempts"] == 2


def test_what_is_no_text_is_refused_and_the_run_goes_on_without_it(run, whole, capsys):
    other_bytes(run / "status.json")

    assert main(["run", str(run)]) == 2
    assert f"{run}/status.json is no text" in (said := capsys.readouterr().err)
    assert "remove it" in said
    gone(run / "status.json")
    assert main(["run", str(run)]) == 0
    assert undated(outcome(run)) == undated(outcome(whole))


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "leyden", *words], capture_output=True, text=True, check=False, timeout=120
    )


def test_the_real_command_says_once_what_is_wrong_and_goes_on(run, whole):
    cut(run / "status.json")

    done = command("run", str(run))

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (run / "logs" / "rank0.log").read_text().count("status.json is torn or no JSON: going on as attempt 2") == 1
    assert undated(outcome(run)) == undated(outcome(whole))


def test_the_real_command_refuses_a_folder_in_its_place_in_one_sentence(run):
    (run / "status.json").unlink()
    (run / "status.json").mkdir()
    before = sorted(str(path) for path in run.rglob("*"))

    done = command("run", str(run))

    assert done.returncode == 2
    assert f"{run}/status.json is a folder" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3, done.stderr
    assert sorted(str(path) for path in run.rglob("*")) == before
