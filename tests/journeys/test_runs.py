"""Runs, made by training, are listed, looked at, compared, followed, exported, reused and removed as a person would."""

import csv
import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from tests.journeys.command import ENVIRONMENT, leyden, start, wait_until

QUICK = ["train", "trainer.max_epochs=2", "logger=csv", "callbacks.model_summary=null"]
OWN = """
import leyden as L


class Failing(L.Callback):
    def on_train_epoch_end(self, trainer, module):
        raise ValueError("one of my own")
"""


pytestmark = pytest.mark.usefixtures("a_cache_of_its_own")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with code of its own: a grid of two seeds, and one run that failed."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "conf").mkdir()
    (folder / "own.py").write_text(OWN)
    leyden(folder, "train", "-m", *QUICK[1:], "seed=1,2", "model.hidden=[64]")
    leyden(folder, *QUICK, "name=other", "+callbacks.failing._target_=own.Failing", code=1)
    return folder


def rows(said):
    header, *lines = said.splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def on_a_terminal(folder, *words, answer=b"", width=120):
    """Run ``leyden words`` on a pseudo-terminal, and return what it showed."""
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "COLUMNS": str(width)}
    process = subprocess.Popen(
        [sys.executable, "-m", "leyden", *words],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    os.write(ours, answer)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    process.wait()
    os.close(ours)
    return shown.decode()


def test_runs_are_selected_sorted_and_printed_for_programs(project):
    wanted = ["model.hidden=[64]", "status=finished", "test_acc>0.1"]

    said = leyden(project, "runs", "ls", *wanted, "--sort", "-test_acc", "--json")

    found = json.loads(said)
    assert len(found) == 2
    assert found[0]["metrics"]["test_acc"] >= found[1]["metrics"]["test_acc"] > 0.1
    assert {run["config"]["seed"] for run in found} == {1, 2}
    assert all(run["typed"][-1] == "model.hidden=[64]" for run in found)
    assert found[0]["code"] == found[1]["code"]


def test_in_a_pipe_the_list_is_plain(project):
    said = leyden(project, "runs", "ls", "--columns", "run,status,seed,model")

    assert "\x1b" not in said
    assert sorted((row["status"], row["seed"], row["model"]) for row in rows(said)) == [
        ("failed", "0", "mlp"),
        ("finished", "1", "mlp"),
        ("finished", "2", "mlp"),
    ]


def test_on_a_terminal_the_list_fits_it(project):
    shown = on_a_terminal(project, "runs", "ls")

    assert "\x1b[32mfinished" in shown
    assert "\x1b[31mfailed" in shown
    plain = shown.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert max(map(len, plain.splitlines())) <= 120


def test_a_slip_of_the_pen_is_told(project):
    assert "Did you mean 'model.hidden'?" in leyden(project, "runs", "ls", "model.hiden=[64]", code=2)
    assert "Did you mean: leyden runs show" in leyden(project, "runs", "shwo", code=2)
    assert "--in FOLDER" in leyden(project, "runs", "ls", "--in", "nowhere", code=2)


def test_show_tells_what_a_run_is_made_of(project):
    said = leyden(project, "runs", "show", "/0")

    for expected in ("finished", "seed=1 model.hidden=[64]", "test_acc", "last.ckpt", "signature", "final_weights"):
        assert expected in said
    assert "one of my own" in leyden(project, "runs", "show", "other/")
    assert leyden(project, "runs", "show", "/0", "--config").startswith("_target_: leyden.experiment.Experiment")
    assert json.loads(leyden(project, "runs", "show", "/0", "--json"))["manifest"]["seeds"]["seed"] == 1


def test_diff_shows_what_differs_and_nothing_else(project):
    said = leyden(project, "runs", "diff", "/0", "/1", "--json")

    found = json.loads(said)
    assert found["config"] == {"seed": [1, 2]}
    assert found["code"] == {}
    assert len(found["metrics"]["fingerprint.final_weights"]) == 2
    assert "code   the same" in leyden(project, "runs", "diff", "/0", "/1")


def test_the_best_run_is_found(project):
    runs = json.loads(leyden(project, "runs", "ls", "--json"))
    accuracies = {run["path"]: run["metrics"].get("test_acc", 0) for run in runs}

    said = leyden(project, "runs", "best", "test_acc", "--path")
    worst = leyden(project, "runs", "best", "test_acc", "--min", "--path")

    assert said.strip() == max(accuracies, key=accuracies.get)
    assert worst.strip() != said.strip()
    assert "none of the 3 runs has 'test_f1'" in leyden(project, "runs", "best", "test_f1", code=2)


def test_a_table_is_exported(project):
    leyden(project, "runs", "export", "table.csv", "status=finished")
    leyden(project, "runs", "export", "table.parquet")

    with open(project / "table.csv", newline="") as file:
        assert {row["config.seed"] for row in csv.DictReader(file)} == {"1", "2"}
    assert (project / "table.parquet").read_bytes()[:4] == b"PAR1"
    assert "exists already" in leyden(project, "runs", "export", "table.csv", code=2)


def test_a_killed_run_is_dead_and_one_at_work_is_not_removed(tmp_path):
    process = start(tmp_path, *QUICK, "trainer.max_epochs=2000")
    wait_until(lambda: any('"step"' in path.read_text() for path in tmp_path.glob("runs/*/*/status.json")), process)

    running = rows(leyden(tmp_path, "runs", "ls"))
    refused = leyden(tmp_path, "runs", "rm", "last", "--yes", code=2)
    process.kill()
    process.wait()
    dead = rows(leyden(tmp_path, "runs", "ls", "status=dead"))
    leyden(tmp_path, "runs", "rm", "last", "--yes")

    assert [row["status"] for row in running] == ["running"]
    assert f"is being executed by process {process.pid}" in refused
    assert [row["status"] for row in dead] == ["dead"]
    assert leyden(tmp_path, "runs", "ls").strip() == "run\tstatus\tage\tduration\tstep\ttyped"


def test_following_a_log_ends_with_the_run(tmp_path):
    process = start(tmp_path, *QUICK, "trainer.max_epochs=2000")
    wait_until(lambda: list(tmp_path.glob("runs/*/*/logs/rank0.log")), process)
    words = [sys.executable, "-m", "leyden", "runs", "logs", "-f"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as follower:
        first = next(line for line in follower.stdout if "epoch 1," in line)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        rest = follower.stdout.read()

    assert follower.returncode == 0
    assert "train_loss" in first
    assert "stopped by SIGTERM" in rest
    assert leyden(tmp_path, "runs", "logs", "-n", "1").count("\n") == 1
    assert "There are: rank0.log" in leyden(tmp_path, "runs", "logs", "--rank", "3", code=2)


def test_a_run_is_removed_after_asking_and_brought_back(tmp_path):
    leyden(tmp_path, *QUICK, "trainer.max_epochs=1")
    (run,) = (tmp_path / "runs" / "digits_mlp").iterdir()

    leyden(tmp_path, "runs", "pin", "last")
    assert "is pinned" in leyden(tmp_path, "runs", "rm", "last", "--yes", code=2)
    assert "stays:" in leyden(tmp_path, "runs", "rm", "status=finished", "--yes")
    leyden(tmp_path, "runs", "pin", "--off", "last")
    assert "Nobody is there to answer" in leyden(tmp_path, "runs", "rm", "last", code=2)
    on_a_terminal(tmp_path, "runs", "rm", "last", answer=b"n\n")
    assert run.is_dir()
    shown = on_a_terminal(tmp_path, "runs", "rm", "last", answer=b"y\n")
    assert not run.exists()
    undo = shown.partition("undo with:")[2].split()
    subprocess.run(undo, cwd=tmp_path, check=True)

    assert "finished" in leyden(tmp_path, "runs", "show", "last")
    leyden(tmp_path, "runs", "rm", "status=finished", "--yes")
    assert "deleted" in leyden(tmp_path, "runs", "rm", "--empty-trash", "--yes")
    assert list((tmp_path / "runs" / ".trash").iterdir()) == []


def test_an_identical_finished_run_is_reused_and_another_one_is_not(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "own.py").write_text("width = 1\n")
    again = [*QUICK, "--reuse"]

    first = leyden(tmp_path, *again)
    same = leyden(tmp_path, *again, "logger=none", "name=renamed", "callbacks.progress_bar=null")
    (tmp_path / "own.py").write_text("width = 2\n")
    other_code = leyden(tmp_path, *again)
    other_config = leyden(tmp_path, *again, "model.dropout=0.5")

    assert "no run in runs has this config" in first
    assert "nothing was trained" in same
    assert same.partition("run directory")[2].split()[0] == first.partition("run directory")[2].split()[0]
    assert not (tmp_path / "runs" / "renamed").exists()
    assert "has this config, but was made by other code" in other_code
    assert "no run in runs has this config" in other_config
    assert len(list(tmp_path.glob("runs/digits_mlp/*"))) == 3


def test_of_a_grid_only_the_jobs_are_trained_that_no_finished_run_stands_for(tmp_path):
    leyden(tmp_path, *QUICK, "seed=1")

    said = leyden(tmp_path, "train", "--reuse", "-m", *QUICK[1:], "seed=1,2")

    assert said.count("nothing was trained") == 1
    assert [path.name for path in tmp_path.glob("runs/multirun/*/*") if path.is_dir()] == ["1"]
