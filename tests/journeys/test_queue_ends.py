"""A queue tells and mends every end of a run: killed while it starts, deleted, impossible to start, or out of GPUs."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from tests.journeys.command import ENVIRONMENT, leyden, start, wait_until
from tests.journeys.test_queue import SHORT, project, runs_of, states, status_of, training
from tests.run_directories import make

LENDING = """
import sys
from pathlib import Path
from leyden.launch.local.queue import Queue
from leyden.launch.local.record import Options, QueueRecord
from leyden.launch.local.screen import Screen

folder = Path("queue")
folder.mkdir()
record = QueueRecord(folder, [Path(each) for each in sys.argv[2:]], Options(slots=2), {})
sys.exit(Queue(record, Screen(live=False), devices=sys.argv[1].split(",")).run())
"""


@pytest.fixture
def at(tmp_path):
    """Return an empty project."""
    return project(tmp_path)


def workers_of(process):
    """Return the processes that *process* has started to execute runs; it starts Git, too."""
    executing = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):
            executing += [child] if "leyden.run" in child.cmdline() else []
    return executing


def test_a_run_that_is_killed_during_its_imports_is_run_again_like_one_that_is_killed_later(at):
    process = start(at, "train", "-m", *SHORT, "seed=1,2", "hydra.launcher.slots=1")
    wait_until(lambda: workers_of(process), process)[0].send_signal(signal.SIGKILL)
    code = process.wait(timeout=200)
    killed = status_of(runs_of(at)[0])
    said = (at / "out.txt").read_text()

    leyden(at, "queue", str(runs_of(at)[0].parent))

    assert code == 1
    assert (killed["status"], killed["attempts"]) == ("interrupted", 0)
    assert killed["error"] == "killed by SIGKILL before the run began"
    assert said.splitlines()[-1] == "1 finished, 1 interrupted"
    assert states(at) == ["finished"] * 2


def test_a_run_that_is_deleted_while_the_queue_goes_on_is_named_in_its_last_line(at):
    process = start(at, "train", "-m", *SHORT, "model.pause=1", "seed=1,2,3", "hydra.launcher.slots=1")
    wait_until(lambda: training(at), process)
    doomed = runs_of(at)[1]
    shutil.rmtree(doomed)
    (at / "go").touch()

    code = process.wait(timeout=200)
    again = leyden(at, "queue", str(doomed.parent))

    place = doomed.relative_to(at)
    assert code == 1
    assert (at / "out.txt").read_text().splitlines()[-1] == f"2 finished; 1 deleted: {place}"
    assert again.splitlines()[-1] == f"2 finished; 1 deleted: {place}"
    assert not doomed.exists()


@pytest.mark.parametrize("devices", ["0", "0,1"])
def test_gpus_are_given_back_when_a_run_ends_however_it_does(devices, tmp_path):
    """Four runs that end at once, in turns: each waits for GPUs that an earlier one has had."""
    runs = [make(tmp_path / f"run{number}").path for number in range(4)]
    for run in runs:
        (run / "config.yaml").write_text("_target_: nothing.Such\ntrainer:\n  devices: 1\n")
    (runs[1] / "logs").mkdir()
    (runs[1] / "logs" / "job.log").symlink_to(tmp_path / "elsewhere")  # its process cannot be started

    done = subprocess.run(
        [sys.executable, "-c", LENDING, devices, *map(str, runs)],
        cwd=tmp_path, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=250,
    )  # fmt: skip

    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == "4 failed"
    lent = [line.rpartition("on GPU ")[2] for line in done.stdout.splitlines() if line.startswith("started")]
    assert len(lent) == 3
    assert set(lent) == set(devices.split(","))
    assert json.loads((tmp_path / "queue" / "queue.json").read_text())["devices"] == {}
    assert f"job.log is a link, to {tmp_path / 'elsewhere'}: it is not followed" in status_of(runs[1])["error"]
    assert not (tmp_path / "elsewhere").exists()


def test_what_a_killed_start_has_left_blocks_no_run_of_a_multirun_and_is_no_run_to_any_command(at):
    left = at / "sweep" / "0"
    left.mkdir(parents=True)
    (left / "overrides.yaml").write_text("overrides:\n- seed=1\nchoices:\n  model: mlp\n")
    hidden = at / "sweep" / f".1.4194304@{os.uname().nodename}.making"  # no process has this number
    hidden.mkdir()
    (hidden / "config.yaml").write_text("name: half\n")

    leyden(at, "run", "sweep/0", code=2)
    listed = leyden(at, "runs", "ls", "--in", "sweep")
    leyden(at, "train", "-m", *SHORT, "seed=1,2", "hydra.sweep.dir=sweep")

    assert "half" not in listed
    assert sorted(each.name for each in (at / "sweep").iterdir() if (each / "config.yaml").is_file()) == ["0", "1"]
    assert not hidden.exists()
