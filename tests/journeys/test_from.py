"""``leyden train --from RUN`` makes a new run that goes on where another one stands, with what is typed now."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SHORT = ("data=synthetic", "data.samples=200", "trainer.accelerator=cpu", "trainer.log_every_n_steps=1", "logger=csv")
RATES = ("callbacks=[default,learning_rate_monitor]", "callbacks.learning_rate_monitor.logging_interval=epoch")


def leyden(folder, *words, code=0):
    command = [sys.executable, "-m", "leyden", *words]
    done = subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def config(run):
    return yaml.safe_load((run / "config.yaml").read_text("utf-8"))


def rates(run):
    with (run / "metrics.csv").open(encoding="utf-8") as file:
        return [float(row["lr-SGD"]) for row in csv.DictReader(file) if row.get("lr-SGD")]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A project in which one run has finished."""
    folder = tmp_path_factory.mktemp("from")
    (folder / "conf").mkdir()
    schedule = ("optimizer=sgd", "scheduler=cosine", "trainer.max_epochs=2")
    leyden(folder, "train", *SHORT, *RATES, *schedule, "paths.run_dir=runs/first", "model.hidden=[16]")
    return folder


@pytest.fixture
def folder(original, tmp_path):
    """That project itself, without what a test before has made in it."""
    for each in (original / "runs").iterdir():
        if each.name != "first":
            shutil.rmtree(each)
    return original


def test_what_referred_to_a_changed_value_follows_it_and_the_other_run_is_left_as_it_was(folder):
    before = contents(folder / "runs/first")

    done = leyden(folder, "train", "--from", "runs/first", "trainer.max_epochs=5", "paths.run_dir=runs/second")

    run = folder / "runs/second"
    made = config(run)
    assert made["scheduler"]["scheduler"]["T_max"] == made["trainer"]["max_epochs"] == 5
    assert made["model"]["hidden"] == [16]
    assert made["ckpt_path"] == str(folder / "runs/first/checkpoints/last.ckpt")
    assert json.loads((run / "status.json").read_text())["epoch"] == 5
    assert "goes on at step 2 of the schedule given now (T_max=5, no longer 2" in done.stderr
    assert "have changed since" not in done.stderr
    assert contents(folder / "runs/first") == before


def test_the_schedule_is_from_there_on_the_longer_one(folder):
    whole = ("optimizer=sgd", "scheduler=cosine", "trainer.max_epochs=5", "model.hidden=[16]")
    leyden(folder, "train", *SHORT, *RATES, *whole, "paths.run_dir=runs/whole")
    leyden(folder, "train", "--from=runs/first", "trainer.max_epochs=5", "paths.run_dir=runs/second")

    assert rates(folder / "runs/second") == pytest.approx(rates(folder / "runs/whole")[2:], rel=1e-12)


def test_where_it_begins_is_shown_and_compared(folder):
    leyden(folder, "train", "--from", "first", "trainer.max_epochs=3", "paths.run_dir=runs/second")

    assert "begins from" in leyden(folder, "runs", "show", "second").stdout
    assert "ckpt_path" in leyden(folder, "runs", "diff", "first", "second").stdout


def test_an_option_that_is_exchanged_takes_its_values_along(folder):
    words = ("optimizer=adam", "optimizer.lr=0.01", "scheduler=none", "trainer.max_epochs=3")
    leyden(folder, "train", "--from", "first", *words, "paths.run_dir=runs/second")

    assert config(folder / "runs/second")["optimizer"]["_target_"] == "torch.optim.Adam"


def test_a_grid_begins_at_one_run(folder):
    leyden(folder, "train", "--from", "first", "-m", "trainer.max_epochs=3,4", "hydra.sweep.dir=runs/grid")

    assert [config(folder / f"runs/grid/{at}")["trainer"]["max_epochs"] for at in (0, 1)] == [3, 4]


def test_a_run_that_has_finished_needs_a_later_end_and_run_says_so(folder):
    refused = leyden(folder, "train", "--from", "first", "optimizer.lr=0.5", code=2)

    assert "trainer.max_epochs=<more>" in refused.stderr
    assert "leyden train --from runs/first trainer.max_epochs=<more>" in leyden(folder, "run", "runs/first").stdout
    assert [each.name for each in (folder / "runs").iterdir()] == ["first"]


def test_what_has_changed_in_the_project_since_is_told(folder):
    changed = folder / "conf/optimizer/sgd.yaml"
    changed.parent.mkdir()
    changed.write_text("_target_: torch.optim.SGD\n_partial_: true\nlr: 0.1\nmomentum: 0.8\nnesterov: true\n")
    try:
        done = leyden(folder, "train", "--from", "first", "trainer.max_epochs=3", "paths.run_dir=runs/second")
    finally:
        shutil.rmtree(changed.parent)

    assert "have changed since runs/first: optimizer.momentum" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from"], "says nothing to go on from"),
        (["--from", "-m"], "says nothing to go on from"),
        (["--from", "nowhere"], "nowhere"),
        (["--from", "first", "trainer.max_epoch=9"], "trainer.max_epoch"),
    ],
)
def test_a_mistake_is_one_message_and_makes_nothing(folder, words, said):
    done = leyden(folder, "train", *words, code=2)

    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert [each.name for each in (folder / "runs").iterdir()] == ["first"]


def test_what_somebody_else_typed_is_not_taken_for_ones_own(folder):
    shutil.copytree(folder / "runs/first", folder / "runs/theirs")
    lines = folder / "runs/theirs/overrides.yaml"
    lines.write_text("overrides:\n- +callbacks.x._target_=os.abort\nchoices: {}\n")

    done = leyden(folder, "train", "--from", "runs/theirs", "trainer.max_epochs=3", code=2)

    assert "was not made by a launch of yours in that place" in done.stderr


def test_a_run_without_a_checkpoint_has_nothing_to_go_on_from(folder):
    bare = ("trainer.enable_checkpointing=false", "trainer.max_epochs=1", "paths.run_dir=runs/bare")
    leyden(folder, "train", *SHORT, *bare)

    done = leyden(folder, "train", "--from", "runs/bare", "trainer.max_epochs=3", code=2)

    assert "holds no checkpoint that training could go on from" in done.stderr
    assert Path(folder / "runs/bare").is_dir()
