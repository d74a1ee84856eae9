"""Killed at any step of writing its checkpoints, a run that goes on leaves the files of one that was never killed."""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from pathlib import Path

import pytest

from leyden.cli.main import main
from leyden.runs.leftovers import sweep
from tests.stopped_runs import make, outcome

EVENTS = ("open", "os.rename", "os.remove", "os.symlink")
EVERY = "callbacks.model_checkpoint.every_n_train_steps"
SHORT = ("trainer.max_epochs=2", f"{EVERY}=3", "data.samples=48")  # of four batches
BEST = (
    "callbacks.model_checkpoint.monitor=val_loss", "callbacks.model_checkpoint.save_top_k=2",
    "trainer.val_check_interval=2", f"{EVERY}=2", "optimizer.lr=0.3",
)  # fmt: skip
SECOND = {
    "_target_": "leyden.callbacks.ModelCheckpoint", "dirpath": "<run_dir>/checkpoints", "filename": "second-{step}",
    "every_n_train_steps": 1,
}  # fmt: skip
LIGHT = {**SECOND, "filename": "light-{step}", "save_weights_only": True, "every_n_train_steps": 2}
BROKEN = {"_target_": "leyden.callbacks.OnExceptionCheckpoint", "dirpath": "<run_dir>/checkpoints"}
SETTINGS = {
    "the newest": ((), {}),
    "a link": (("callbacks.model_checkpoint.save_last=link",), {}),
    "the best two": (BEST, {}),
    "two callbacks": ((), {"second": SECOND, "broken": BROKEN}),
    "weights alone beside it": ((), {"light": LIGHT}),
    "beside training": (("trainer.plugins=async_checkpoint_io",), {}),
}


class Assassin:
    """Kills this process at step number *at* of those that change something among the checkpoints.

    With *only*, those count that have it in their name: the event, and the last path it is about.
    """

    def __init__(self, folder: Path, at: int, only: str = "") -> None:
        self.folder, self.left, self.only = os.fspath(folder), at, only

    def heard(self, event: str, arguments: tuple) -> None:
        paths = [os.fspath(each) for each in arguments if isinstance(each, (str, Path))]
        if event not in EVENTS or not any(each.startswith(self.folder) for each in paths):
            return
        if (event == "open" and arguments[1] != "wb") or self.only not in f"{event} {paths[-1]}":
            return
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_child(run: Path, at: int, only: str = "") -> int:
    """Execute *run* in a child that is killed at the step *at*; returns the number of the signal, or 0."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            sys.addaudithook(Assassin(run / "checkpoints", at, only).heard)
            code = main(["run", str(run)])
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, ended = os.waitpid(child, 0)
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0
    return os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else 0


def found(run: Path) -> dict:
    said = outcome(run)
    return {**said, "files": [name for name in said["files"] if name not in ("attempts.jsonl", ".lock")]}


@pytest.mark.filterwarnings("ignore:.*is from an earlier run and is replaced", "ignore:Checkpoint directory .* exists")
@pytest.mark.filterwarnings("ignore:ModelCheckpoint.* also saves at steps at which no validation runs")
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_that_was_killed_while_it_saved_leaves_what_an_undisturbed_one_leaves(name, tmp_path):
    words, callbacks = SETTINGS[name]
    whole = make(tmp_path / "whole", *SHORT, *words, callbacks=callbacks)
    assert main(["run", str(whole)]) == 0
    expected = found(whole)
    kills = 0

    for at in range(2, 200, 3):
        run = make(tmp_path / str(at), *SHORT, *words, callbacks=callbacks)
        if not in_a_child(run, at):
            break
        kills += 1
        if in_a_child(run, 1 + kills % 7):  # the one that goes on is killed, too: sooner or later
            kills += 1
        assert main(["run", str(run)]) == 0
        assert found(run) == expected, f"killed at step {at} of writing"

    assert kills >= 4


def test_a_run_that_goes_on_has_swept_what_a_killed_process_left(tmp_path):
    run = make(tmp_path / "run", *SHORT)
    left = run / "checkpoints" / f".last.ckpt.{2**22 + 1}.tmp"  # no process has this number
    left.parent.mkdir()
    left.touch()

    assert main(["run", str(run)]) == 0
    assert not left.exists()


@pytest.mark.filterwarnings("ignore:.*is from an earlier run and is replaced", "ignore:Checkpoint directory .* exists")
def test_what_was_to_be_deleted_is_known_to_the_file_that_a_resumed_run_writes_first(tmp_path):
    whole = make(tmp_path / "whole", *SHORT)
    assert main(["run", str(whole)]) == 0
    run = make(tmp_path / "run", *SHORT)

    assert in_a_child(run, 2, f"os.rename {run / 'checkpoints' / 'last.ckpt'}")  # the best one is new, last.ckpt is old
    assert in_a_child(run, 1, f"os.remove {run / 'checkpoints' / 'epoch'}")  # last.ckpt is new, the one before is left
    assert main(["run", str(run)]) == 0

    assert found(run) == found(whole)


def test_leftovers_go_and_nothing_else(tmp_path):
    living, gone = os.getppid(), 2**22 + 1
    doomed = [f".last.ckpt.{gone}.tmp", f".metrics.csv.{gone}.tmp", ".last.ckpt.part", "last.ckpt.new", "last.old.ckpt"]
    kept = [f".last.ckpt.{living}.tmp", "notes.tmp", ".hidden.tmp", "alone.old.ckpt", "mine.new", "last.ckpt"]
    for name in (*doomed, *kept):
        path = tmp_path / "checkpoints" / name
        if re.search(r"\.(part|ckpt)$", name):
            path.mkdir(parents=True)
            (path / "file").touch()
        else:
            path.parent.mkdir(exist_ok=True)
            path.touch()

    sweep(tmp_path)

    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == sorted(kept)
