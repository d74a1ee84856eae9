"""Jobs of this machine are listed, followed, cancelled, explained and started again as a person would."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.journeys.command import ENVIRONMENT, leyden, only_run, start, wait_until

QUICK = ["trainer.max_epochs=1", "logger=csv", "callbacks.model_summary=null"]
LONG = [*QUICK[1:], "trainer.max_epochs=4000", "callbacks.model_checkpoint.every_n_train_steps=20"]
FAILING = "+callbacks.failing._target_=own.Failing"
OWN = """
import leyden as L


class Failing(L.Callback):
    def on_train_epoch_end(self, trainer, module):
        raise ValueError("one of my own")
"""


pytestmark = pytest.mark.usefixtures("a_cache_of_its_own")


@pytest.fixture
def project(tmp_path):
    """A project with code of its own, in an empty folder."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def jobs(folder, *words):
    return json.loads(leyden(folder, "jobs", *words, "--json"))


def states(folder, *words):
    return {job["run"].rpartition("/")[2]: job["state"] for job in jobs(folder, *words)}


def written(folder, status):
    return [path for path in folder.glob("runs/**/status.json") if f'"status": "{status}"' in path.read_text()]


def training(folder):
    """Tell how many runs have saved something since they began."""
    return len({path.parent for path in folder.glob("runs/**/checkpoints/epoch*.ckpt")})


def shorten(run):
    """Let a run that was interrupted end soon after it has gone on."""
    saved = [torch.load(file, weights_only=True)["epoch"] for file in (run / "checkpoints").glob("*.ckpt")]
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("max_epochs: 4000", f"max_epochs: {max(saved, default=0) + 2}"))


@pytest.fixture
def processes():
    """Processes that are ended after a test, however it went."""
    started = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_one_run_is_seen_followed_cancelled_explained_and_started_again(project, processes):
    process = start(project, "train", *LONG)
    processes.append(process)
    wait_until(lambda: training(project), process)

    (job,) = jobs(project)
    assert (job["state"], job["launcher"], job["step"] >= 0) == ("running", "", True)
    follower = subprocess.Popen(
        [sys.executable, "-m", "leyden", "jobs", "logs", "-f"], cwd=project, env=ENVIRONMENT, stdout=subprocess.PIPE
    )
    processes.append(follower)
    assert "stops at the end of a step, and saves" in leyden(project, "jobs", "cancel", "last")
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in follower.communicate(timeout=60)[0].decode()

    (why,) = json.loads(leyden(project, "jobs", "why", "--json"))
    assert (why["state"], why["cause"]) == ("interrupted", "signal")
    assert "stopped and saved at SIGTERM" in why["why"]
    assert "nothing to cancel" in leyden(project, "jobs", "cancel", "last")
    said = leyden(project, "jobs", "retry", "last", code=1)
    assert f"leyden run runs/digits_mlp/{only_run(project).name}" in said


def test_a_run_without_a_launcher_is_started_again_here(project, processes):
    process = start(project, "train", *QUICK, "trainer.max_epochs=40")
    processes.append(process)
    wait_until(lambda: written(project, "running"), process)
    process.kill()
    process.wait()
    assert list(states(project).values()) == ["dead"]
    assert "killed by kill -9" in leyden(project, "jobs", "why")

    said = leyden(project, "jobs", "retry", "last", "--here")

    assert "finished here" in said
    assert list(states(project).values()) == ["finished"]
    assert "1 finished: not started again" in leyden(project, "jobs", "retry", "last")


def test_an_error_of_ones_own_is_shown_and_not_started_again_unasked(project):
    leyden(project, "train", *QUICK, FAILING, code=1)

    (why,) = json.loads(leyden(project, "jobs", "why", "--json"))
    assert why["cause"] == "error"
    assert "one of my own" in why["why"]
    assert "Traceback" not in why["why"]
    assert any("one of my own" in line for line in why["traceback"])
    assert "name it, or say --failed" in leyden(project, "jobs", "retry", "runs")
    assert "not started, no launcher is known" in leyden(project, "jobs", "retry", "--failed", code=1)


def test_a_queue_is_watched_and_its_jobs_taken_out_stopped_and_killed_then_retried(project, processes):
    process = start(
        project, "train", "-m", *LONG, "hydra.launcher.slots=2", "seed=0,1,2,3", "hydra.sweep.dir=runs/sweep"
    )
    processes.append(process)
    wait_until(lambda: training(project) == 2, process)
    assert states(project) == {"0": "running", "1": "running", "2": "queued", "3": "queued"}
    assert all(job["launcher"] == "local" and job["job"].startswith(f"{process.pid}_") for job in jobs(project))
    assert "for a slot of the queue" in leyden(project, "jobs", "why", "runs/sweep/3")

    assert "taken out of the queue" in leyden(project, "jobs", "cancel", "runs/sweep/3", "runs/sweep/2", "--yes")
    assert "was killed" in leyden(project, "jobs", "cancel", "--now", "runs/sweep/1")
    assert "saves" in leyden(project, "jobs", "cancel", "--all", "--yes")
    assert process.wait(timeout=60) == 1
    assert states(project) == dict.fromkeys("0123", "interrupted")
    why = leyden(project, "jobs", "why", "runs/sweep")
    assert why.count("cancelled by leyden jobs cancel") == 4

    for number in range(4):
        shorten(project / "runs" / "sweep" / str(number))
    said = leyden(project, "jobs", "retry", "runs/sweep")
    assert states(project) == dict.fromkeys("0123", "finished")
    assert said.count(": finished") == 4
    assert "there is nothing to retry" in leyden(project, "jobs", "retry", "runs/sweep")


def test_several_jobs_are_not_cancelled_unless_somebody_agrees(project, processes):
    process = start(project, "train", "-m", *LONG, "hydra.launcher.slots=1", "seed=0,1", "hydra.sweep.dir=runs/sweep")
    processes.append(process)
    wait_until(lambda: training(project) == 1, process)

    assert "Nothing was done" in leyden(project, "jobs", "cancel", "--all", code=2)
    assert "[y/N]" in on_a_terminal(project, b"n\n", "jobs", "cancel", "--all")
    assert states(project) == {"0": "running", "1": "queued"}
    on_a_terminal(project, b"y\n", "jobs", "cancel", "--all")

    assert process.wait(timeout=60) == 1
    assert states(project) == {"0": "interrupted", "1": "interrupted"}


def test_the_table_is_filtered_watched_and_refuses_slips_of_the_pen(project):
    leyden(project, "train", *QUICK)
    leyden(project, "train", *QUICK, "name=other", FAILING, code=1)

    assert list(states(project, "--state", "failed,running").values()) == ["failed"]
    assert len(jobs(project, "--launcher", "none")) == 2
    assert jobs(project, "--launcher", "slurm,local") == []
    header, *lines = leyden(project, "jobs", "digits_mlp").splitlines()
    assert header.split("\t")[:4] == ["run", "launcher", "job", "state"]
    assert len(lines) == 1
    assert "Did you mean 'failed'?" in leyden(project, "jobs", "--state", "faild", code=2)
    assert "no run below" in leyden(project, "jobs", "nonsense", code=2)
    assert "one of them is needed" in leyden(project, "jobs", "retry", code=2)
    assert "one of the two is needed" in leyden(project, "jobs", "cancel", code=2)
    assert "--rank 0" in leyden(project, "jobs", "logs", "--job", code=2)
    assert "logs/rank7.log" in leyden(project, "jobs", "logs", "--rank", "7", code=2)

    watching = start(project, "jobs", "--watch", "0.2")
    wait_until(lambda: (project / "out.txt").read_text().count("run\tlauncher") >= 3, watching)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(timeout=30) == 130


def on_a_terminal(folder, answer, *words):
    """Run ``leyden words`` on a pseudo-terminal, type *answer*, and return what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "leyden", *words], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**ENVIRONMENT, "COLUMNS": "120"},
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, answer)
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        shown += part
    process.wait(timeout=60)
    os.close(ours)
    return shown.decode()
