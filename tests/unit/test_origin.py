"""A run directory is the user's own if a launch of this user recorded it, wherever it lies and whatever it says."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from leyden.cli.main import main
from leyden.runs import manifest, origin
from leyden.runs.directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    """A run that ``leyden train`` has made here."""
    (tmp_path / "conf").mkdir()
    words = ["data=synthetic", "data.samples=60", "logger=csv", "trainer.max_epochs=1", "model.hidden=[4]"]
    assert main(["train", *words, "callbacks=none", f"paths.run_dir={tmp_path}/runs/mine"]) == 0
    return tmp_path / "runs" / "mine"


def test_what_leyden_train_made_is_ones_own_before_and_after_it_is_executed_again(run):
    assert origin.is_own(run)
    assert origin.is_own_code(run, manifest.read(RunDirectory(run))["code"])
    assert main(["run", str(run)]) == 0
    assert origin.is_own(run)


def moved(run):
    return run.rename(run.with_name("moved"))


def copied(run):
    return shutil.copytree(run, run.with_name("copied"))


def replaced(run):
    shutil.copytree(run, run.with_name("kept"))
    shutil.rmtree(run)
    run.with_name("kept").rename(run)
    (run / "config.yaml").write_text((run / "config.yaml").read_text() + "tags: [x]\n")
    return run


def edited(run):
    with open(run / "config.yaml", "a") as file:
        file.write("\n")
    return run


def without_a_record(run):
    shutil.rmtree(origin.user_state() / "origins")
    return run


def with_the_record_of_another(run):
    (record,) = (origin.user_state() / "origins").iterdir()
    record.write_text(json.dumps({**json.loads(record.read_text()), "path": "/elsewhere"}))
    return run


def with_a_broken_record(run):
    (record,) = (origin.user_state() / "origins").iterdir()
    record.write_text("[" * 9000)
    return run


@pytest.mark.parametrize(
    "change", [moved, copied, replaced, edited, without_a_record, with_the_record_of_another, with_a_broken_record]
)
def test_it_is_no_longer_once_it_is(change, run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    origin.remember_run(run, {})

    assert not origin.is_own(change(run))


def test_another_commit_or_another_patch_is_not_what_was_recorded(run):
    code = manifest.read(RunDirectory(run))["code"]

    assert not origin.is_own_code(run, {**code, "root": "/elsewhere"})
    (run / "code.patch").write_text("changed")
    assert not origin.is_own_code(run, code)


def test_a_state_folder_that_cannot_be_written_costs_the_record_and_nothing_else(run, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    origin.remember_run(run, {})

    assert not origin.is_own(run)


def test_a_directory_that_names_another_through_a_link_is_judged_by_where_it_leads(run):
    os.symlink(run, run.with_name("link"))

    assert origin.is_own(run.with_name("link"))
