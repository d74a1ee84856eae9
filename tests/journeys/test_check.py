"""``leyden train --check`` finds what would go wrong, by building and by a batch of each stage, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

OWN = """
from leyden.models import MLP


class Own(MLP):
    def test_step(self, batch, batch_idx):
        raise ValueError("mine")
"""


@pytest.fixture
def check(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "own.py").write_text(OWN)
    before = sorted(tmp_path.rglob("*"))

    def call(*given):
        words = [sys.executable, "-m", "leyden", "train", "--check", *given]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert sorted(tmp_path.rglob("*")) == before
        return done

    return call


def test_a_run_that_would_work_is_said_to_and_with_what_it_logs(check):
    done = check("trainer.max_epochs=500")

    assert done.returncode == 0, done.stderr
    assert "nothing is wrong" in done.stdout
    assert "test_acc, test_loss, train_loss, val_acc, val_loss" in done.stdout


def test_an_exception_in_the_last_stage_is_found(check):
    done = check("model._target_=own.Own")

    assert done.returncode == 1
    assert "ValueError: mine" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("optimized_metric=nope", "optimized_metric=nope"),
        ("callbacks.model_checkpoint.monitor=nope", "callbacks.model_checkpoint.monitor=nope"),
        ("model.classes=3", "MLP was made for classes=3"),
        ("optimizer.lr=-1", "Invalid learning rate"),
    ],
)
def test_what_would_be_refused_later_is_refused_now(check, words, said):
    done = check(words)

    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("launcher", ["local", "basic"])
def test_each_point_of_a_grid_is_tried_and_nothing_started(check, launcher):
    done = check("-m", "seed=1,2", f"hydra/launcher={launcher}")

    assert done.returncode == 0, done.stderr
    assert "run 1 of 2: seed=2" in done.stdout
    assert done.stdout.count("nothing is wrong") == 2


def test_several_ranks_are_tried_as_one_process(check):
    assert check("trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu").returncode == 0
