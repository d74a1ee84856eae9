"""With deterministic=true neither the number of workers nor kill -9 changes a single bit of what a run comes to."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.journeys.command import ENVIRONMENT, leyden, only_run, start, wait_until

RUN = [
    "train",
    "deterministic=true",
    "trainer.max_epochs=6",
    "trainer.log_every_n_steps=1",
    "callbacks.model_checkpoint.every_n_train_steps=8",
    "model.dropout=0.2",
    "logger=csv",
]
BARE = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONHASHSEED"}


def fingerprint(run):
    return json.loads((run / "fingerprint.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without workers that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    leyden(folder, *RUN)
    return only_run(folder)


def test_a_run_leaves_a_complete_fingerprint(whole):
    found = fingerprint(whole)

    assert found["complete"] is True
    assert found["losses"]["steps"] == 6 * 20 == (whole / "losses.f64").stat().st_size // 8
    assert found["final_metrics"]["values"] == json.loads((whole / "result.json").read_text())["metrics"]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(workers, whole, tmp_path):
    leyden(tmp_path, *RUN, f"data.num_workers={workers}")

    assert fingerprint(only_run(tmp_path)) == fingerprint(whole)


def test_killed_and_resumed_it_has_the_fingerprint_of_the_whole_run(whole, tmp_path):
    process = start(tmp_path, *RUN)
    wait_until(lambda: [p for p in saved(tmp_path) if int(re.search(r"step=(\d+)", p.name)[1]) >= 48], process)
    process.kill()
    process.wait()
    run = only_run(tmp_path)
    half = fingerprint(run)

    leyden(tmp_path, "run", str(run))

    assert half["complete"] is False
    assert half["initial_weights"] == fingerprint(whole)["initial_weights"]
    assert fingerprint(run) == fingerprint(whole)
    assert (run / "losses.f64").read_bytes() == (whole / "losses.f64").read_bytes()


def saved(folder):
    return list(folder.glob("runs/*/*/checkpoints/epoch*.ckpt"))


MODEL = """
import os, sys
import torch
from leyden.models import MLP

class Telling(MLP):
    def on_train_start(self):
        print("hash of a text", hash("leyden"), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
"""


@pytest.fixture
def telling(tmp_path):
    """A prepared project whose model tells what its process is like."""
    (tmp_path / "telling.py").write_text(MODEL)
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "portable.yaml").write_text("# @package _global_\ndeterministic: portable\n")
    return tmp_path


def told(folder, *words, module="leyden"):
    environment = {**BARE, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=folder, check=False, capture_output=True, text=True,
        env=environment, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return re.search(r"hash of a text (-?\d+) (\w+) (\d+)", done.stdout).groups()


SHORT = ["train", "model._target_=telling.Telling", "trainer.max_epochs=1", "logger=csv", "test=false"]


def test_texts_hash_alike_in_every_run_and_the_process_is_as_the_config_says(telling):
    one = told(telling, *SHORT)
    again = told(telling, *SHORT, "threads=2", "deterministic=true")

    assert one[0] == again[0]
    assert (one[2], again[2]) == ("1", "2")


def test_portable_uses_the_instructions_that_every_x86_processor_has(telling):
    typed = told(telling, *SHORT, "deterministic=portable")
    composed = told(telling, *SHORT, "experiment=portable")
    first, second = sorted((telling / "runs").glob("*/*/fingerprint.json"))

    assert typed == composed
    assert typed[1] == "AVX2"
    assert json.loads(first.read_text()) == json.loads(second.read_text())


def test_a_prepared_portable_run_is_executed_as_it_says(telling):
    expected = told(telling, *SHORT, "deterministic=portable")
    run = next((telling / "runs").glob("*/*"))
    for name in ("status.json", "attempts.jsonl", "fingerprint.json"):
        (run / name).unlink()
    for checkpoint in (run / "checkpoints").iterdir():
        checkpoint.unlink()

    assert told(telling, str(run), module="leyden.run") == expected
