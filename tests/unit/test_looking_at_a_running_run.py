"""A run is looked at while another process executes it: what is replaced and deleted meanwhile is no fault."""

from __future__ import annotations

import shutil
import threading

import pytest
import torch

from leyden.cli.main import main
from leyden.runs.guard import contained
from tests.run_directories import make

_ROUNDS = 60
_LOOKS = {
    "list": ["runs", "ls"],
    "show": ["runs", "show", "runs/digits"],
    "export": ["runs", "export", "table.csv", "--force"],
    "jobs": ["jobs", "--all", "--json"],
    "why": ["jobs", "why", "runs/digits"],
    "report": ["report", "runs/digits", "runs/other"],
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run in which checkpoints of both kinds, and what they are written as, come and go."""
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "runs" / "other")
    path = make(tmp_path / "runs" / "digits").path
    checkpoints = path / "checkpoints"
    checkpoints.mkdir()
    torch.save({"state_dict": {}, "epoch": 0, "global_step": 1}, tmp_path / "written.ckpt")
    done = threading.Event()

    def execute():
        while not done.is_set():
            for number in range(20):
                shutil.copy(tmp_path / "written.ckpt", checkpoints / f".{number}.ckpt.1.tmp")
                (checkpoints / f".{number}.ckpt.1.tmp").rename(checkpoints / f"step={number}.ckpt")
                folder = checkpoints / f"sharded-step={number}.ckpt"
                folder.mkdir(parents=True)
                (folder / "meta.pt").touch()
            for number in range(20):
                (checkpoints / f"step={number}.ckpt").unlink()
                shutil.rmtree(checkpoints / f"sharded-step={number}.ckpt")

    executing = threading.Thread(target=execute)
    executing.start()
    yield path
    done.set()
    executing.join()


def test_files_and_folders_that_come_and_go_are_not_refused(run):
    for _ in range(4 * _ROUNDS):
        contained(run)


@pytest.mark.parametrize("words", _LOOKS.values(), ids=_LOOKS)
def test_a_command_that_looks_at_it_succeeds(run, words, capsys):
    for _ in range(_ROUNDS):
        assert main(words) == 0, capsys.readouterr().err
