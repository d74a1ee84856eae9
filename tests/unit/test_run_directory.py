"""A run directory is made once, exclusively, holds everything a run needs, and may be moved."""

import json
import multiprocessing
import os
from itertools import islice

import pytest

from leyden.errors import RunError
from leyden.runs.directory import RunDirectory, candidates

CONFIG = {"name": "x", "paths": {"run_dir": "/old/place", "data_dir": "data"}, "deep": [{"path": "/old/place/logs"}]}


def _claim(parent, gate, made):
    gate.wait()
    for path in candidates(parent, "same-moment"):
        try:
            made.put(str(RunDirectory.create(path, CONFIG, {}).path))
            return
        except FileExistsError:
            continue


def test_runs_started_at_the_same_moment_get_directories_of_their_own(tmp_path):
    context = multiprocessing.get_context("fork")
    gate, made = context.Event(), context.Queue()
    processes = [context.Process(target=_claim, args=(tmp_path, gate, made)) for _ in range(8)]

    for process in processes:
        process.start()
    gate.set()
    found = {made.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()

    assert len(found) == 8
    assert found == {str(path) for path in islice(candidates(tmp_path, "same-moment"), 8)}


def test_an_existing_directory_is_never_written_to(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()

    with pytest.raises(FileExistsError):
        RunDirectory.create(tmp_path / "mine", CONFIG, {})

    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_new_directory_holds_config_overrides_and_status(tmp_path):
    run = RunDirectory.create(tmp_path / "run", CONFIG, {"overrides": ["seed=3"], "choices": {"model": "mlp"}})

    assert run.config_file.read_text().startswith("name: x\n")
    assert "- seed=3" in (run.path / "overrides.yaml").read_text()
    assert run.status().state == "queued"


def test_paths_below_the_directory_move_along_with_it(tmp_path):
    run = RunDirectory.create(tmp_path / "run", CONFIG, {})

    config = run.config()

    assert config["paths"] == {"run_dir": str(run.path), "data_dir": "data"}
    assert config["deep"] == [{"path": os.path.join(run.path, "logs")}]


def test_a_directory_without_a_config_is_no_run(tmp_path):
    with pytest.raises(RunError, match=r"holds no config\.yaml, so that it is no run"):
        RunDirectory(tmp_path)
    with pytest.raises(RunError, match="is no directory"):
        RunDirectory(tmp_path / "nowhere")


def test_a_broken_status_file_is_no_obstacle(tmp_path):
    run = RunDirectory.create(tmp_path / "run", CONFIG, {})
    (run.path / "status.json").write_text('{"status": "runn')

    run.update(status="running")

    assert json.loads((run.path / "status.json").read_text())["status"] == "running"


def test_the_lock_goes_with_the_process_that_holds_it(tmp_path):
    run = RunDirectory.create(tmp_path / "run", CONFIG, {})

    with run.locked():
        refused = _refused(run)
    again = _refused(run)

    assert f"is being executed by process {os.getpid()}" in refused
    assert again == ""


def _refused(run):
    try:
        with run.locked():
            return ""
    except RunError as error:
        return str(error)
