"""Stopped while it still imports, a command ends with the code of its signal, says no traceback and leaves nothing."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.journeys.command import leyden, start, wait_until
from tests.stopped_runs import make, status

RUN = ("data=synthetic", "data.samples=64", "trainer.max_epochs=2000", "logger=csv")


def train(folder):
    return ("train", *RUN)


def several(folder):
    return ("train", "-m", *RUN, "seed=1,2")


def run(folder):
    make(folder / "runs" / "prepared")
    return ("run", "runs/prepared")


def queue(folder):
    made = make(folder / "runs" / "prepared")
    (folder / "runs" / "queue").mkdir()
    options, names = {"slots": 1, "gpus_per_job": None}, [os.path.relpath(made, folder / "runs" / "queue")]
    content = {"version": 1, "pid": 1, "host": "x", "options": options, "directories": names, "devices": {}}
    (folder / "runs" / "queue" / "queue.json").write_text(json.dumps(content))
    return ("queue", "runs/queue")


def mapped(library):
    """Return what tells whether a process has loaded a library."""
    return lambda process: library in Path(f"/proc/{process.pid}/maps").read_text()


def replaced(process):
    return b"PYTHONHASHSEED=" in Path(f"/proc/{process.pid}/environ").read_bytes()


MOMENTS = {
    "replaced": replaced,
    "json": mapped("/_json."),  # loaded within the first tenth of a second
    "numpy": mapped("_multiarray_umath"),
    "torch": mapped("libtorch_python"),
}
CASES = [
    (train, signal.SIGTERM, "replaced"),
    (train, signal.SIGHUP, "numpy"),
    (train, signal.SIGTERM, "torch"),
    (several, signal.SIGINT, "json"),
    (several, signal.SIGHUP, "replaced"),
    (several, signal.SIGTERM, "torch"),
    (run, signal.SIGINT, "replaced"),
    (run, signal.SIGTERM, "json"),
    (run, signal.SIGHUP, "torch"),
    (queue, signal.SIGINT, "json"),
    (queue, signal.SIGTERM, "json"),
    (queue, signal.SIGHUP, "json"),
]


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.match("*.txt"))


@pytest.mark.parametrize(("command", "signum", "moment"), CASES)
def test_a_command_that_still_imports_is_stopped_without_a_trace(command, signum, moment, tmp_path):
    words = command(tmp_path)
    before = files(tmp_path)
    process = start(tmp_path, *words)
    wait_until(lambda: MOMENTS[moment](process), process)

    process.send_signal(signum)

    code, said = process.wait(timeout=120), (tmp_path / "err.txt").read_text()
    assert code in (128 + signum, -signum), said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 1, said
    assert files(tmp_path) == before


def test_a_run_that_was_stopped_that_early_is_executed_as_if_nothing_had_happened(tmp_path):
    words = run(tmp_path)
    process = start(tmp_path, *words)
    wait_until(lambda: MOMENTS["torch"](process), process)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=120)

    leyden(tmp_path, *words)

    assert (status(tmp_path / words[1])["status"], status(tmp_path / words[1])["attempts"]) == ("finished", 1)
