"""Which checkpoint is the newest is what those of a run say; only unrelated ones are told apart by the clock."""

from __future__ import annotations

import os
import shutil
import time
import zipfile

import pytest
import torch

from leyden import Trainer
from leyden.callbacks import ModelCheckpoint, OnExceptionCheckpoint
from leyden.cli.main import main
from leyden.engine.stages import _last
from leyden.recency import newest, oldest_first
from leyden.testing import TinyData, TinyModule
from tests.stopped_runs import checkpoints, copied, stopped

NEWEST_FIRST = ["last.ckpt", "epoch=1-step=12.ckpt", "epoch=1-step=8.ckpt", "epoch=0-step=4.ckpt"]
HOUR = 3600


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return stopped(tmp_path_factory.mktemp("recency") / "run", "callbacks.model_checkpoint.save_top_k=-1")


@pytest.fixture
def run(original, tmp_path):
    return copied(original, tmp_path / "run")


def age(paths):
    """Give files times of which the first is the oldest."""
    for number, path in enumerate(paths):
        os.utime(path, (time.time() + number * HOUR,) * 2)


def reversed_clock(run):
    age(run / "checkpoints" / name for name in NEWEST_FIRST)


def one_time(run):
    for path in checkpoints(run):
        os.utime(path, (0, 0))


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


def flipped(path):
    """Flip one bit in the middle of the largest tensor: what the file says of itself can be read as before."""
    with zipfile.ZipFile(path) as archive:
        tensors = [each for each in archive.infolist() if "/data/" in each.filename]
        largest = max(tensors, key=lambda each: each.file_size)
        part = archive.read(largest)
    content = bytearray(path.read_bytes())
    content[content.index(part) + len(part) // 2] ^= 8
    path.write_bytes(content)


CLOCKS = [reversed_clock, one_time]


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_run_is_shown_with_its_checkpoints_in_the_order_in_which_they_were_saved(clock, run, capsys):
    clock(run)
    capsys.readouterr()

    assert main(["runs", "show", str(run)]) == 0

    said = capsys.readouterr().out
    places = [said.index(f"/{name}") for name in NEWEST_FIRST]
    assert places == sorted(places)


def test_a_run_with_a_damaged_checkpoint_is_shown_with_that_one_at_the_end(run, capsys):
    cut(run / "checkpoints" / "last.ckpt")
    capsys.readouterr()

    assert main(["runs", "show", str(run)]) == 0

    said = capsys.readouterr().out
    assert said.index("/epoch=1-step=12.ckpt") < said.index("/epoch=0-step=4.ckpt") < said.index("/last.ckpt")


@pytest.fixture
def trainer(run):
    """A trainer whose last checkpoints may be three files of one run, the oldest of which has the newest time."""
    folder = run / "checkpoints"
    shutil.move(folder / "epoch=1-step=8.ckpt", folder / "last-v1.ckpt")
    shutil.move(folder / "epoch=0-step=4.ckpt", folder / "on_exception.ckpt")
    age(folder / name for name in ("last.ckpt", "last-v1.ckpt", "on_exception.ckpt"))
    callbacks = [ModelCheckpoint(dirpath=folder), OnExceptionCheckpoint(folder, "on_exception")]
    return Trainer(logger=False, callbacks=callbacks, default_root_dir=str(run))


def test_the_last_checkpoint_of_all_callbacks_is_the_one_that_says_so(run, trainer):
    assert _last(trainer) == str(run / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize("damage", [cut, flipped])
def test_a_damaged_last_checkpoint_is_named_and_the_one_before_is_taken(damage, run, trainer, caplog):
    damage(run / "checkpoints" / "last.ckpt")

    assert _last(trainer) == str(run / "checkpoints" / "last-v1.ckpt")
    assert f"passing over {run / 'checkpoints' / 'last.ckpt'}" in caplog.text


def test_where_all_are_damaged_the_newest_is_read_and_says_what_is_wrong(run, trainer):
    for path in checkpoints(run):
        flipped(path)

    assert _last(trainer) == str(run / "checkpoints" / "last.ckpt")


@pytest.fixture
def fits(tmp_path):
    """The checkpoints of two fits in a script: the second, a shorter one, began anew."""
    for name, epochs in (("last.ckpt", 3), ("last-v1.ckpt", 1)):
        off = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
        trainer = Trainer(max_epochs=epochs, **off)
        trainer.fit(TinyModule(), datamodule=TinyData())
        trainer.save_checkpoint(tmp_path / name)
    age(paths := [tmp_path / "last.ckpt", tmp_path / "last-v1.ckpt"])
    return paths


def test_fits_of_a_script_are_told_apart_by_the_time_they_were_written(fits):
    assert oldest_first(fits) == fits
    age(reversed(fits))
    assert oldest_first(fits) == fits[::-1]


def test_a_checkpoint_of_a_run_among_others_is_told_apart_by_the_time_too(fits, run):
    found = [*fits, run / "checkpoints" / "last.ckpt", run / "checkpoints" / "epoch=1-step=12.ckpt"]
    age(found)

    assert oldest_first(found) == found


def test_a_later_attempt_is_newer_than_a_further_step(run):
    folder = run / "checkpoints"
    earlier, later = folder / "last.ckpt", folder / "epoch=0-step=4.ckpt"
    content = torch.load(later, weights_only=True)
    content["leyden"]["run"]["attempt"] += 1
    torch.save(content, later)
    age([later, earlier])

    assert newest([str(earlier), str(later)]) == str(later)


def test_of_none_there_is_no_newest():
    assert newest([]) is None
