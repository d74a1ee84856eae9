"""Checkpoint files are named, ranked, linked and dropped as Lightning does; nonsense options are refused."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
import torch

from leyden.callbacks import ModelCheckpoint
from leyden.callbacks.checkpoint_files import (
    best_of,
    default_directory,
    first_free,
    format_name,
    link,
    may_delete,
    worst_of,
)
from leyden.callbacks.checkpoint_triggers import Triggers
from leyden.errors import ConfigurationError
from leyden.logger import Logger


class Folder(Logger):
    """A real logger that keeps nothing but knows where it would."""

    def __init__(self, save_dir=None, version=0):
        self._save_dir, self._version = save_dir, version

    @property
    def name(self):
        return "runs"

    @property
    def version(self):
        return self._version

    @property
    def save_dir(self):
        return self._save_dir

    @property
    def log_dir(self):
        return self._save_dir

    def log_metrics(self, metrics, step=None):
        return None

    def log_hyperparams(self, params, *args, **kwargs):
        return None


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "metrics", "auto_insert", "expected"),
    [
        ("{epoch}-{step}", {"epoch": 0, "step": 3}, True, "epoch=0-step=3"),
        (
            "mnist-{epoch:02d}-{val_loss:.2f}",
            {"epoch": 2, "val_loss": torch.tensor(0.321)},
            True,
            "mnist-epoch=02-val_loss=0.32",
        ),
        ("{missing:d}", {}, True, "missing=0"),
        ("{missing:.2f}", {}, True, "missing=0.00"),
        ("e{epoch}-l{val/loss:.1f}", {"epoch": torch.tensor(1), "val/loss": 0.55}, False, "e1-l0.6"),
        ("{epoch}-{val/loss:.2f}", {"epoch": 0, "val/loss": 3.384}, True, "epoch=0-val/loss=3.38"),
        ("{epoch}-{epoch_test}", {"epoch": 1, "epoch_test": 2}, True, "epoch=1-epoch_test=2"),
        ("{val.loss:.1f}", {"val.loss": 0.25}, True, "val.loss=0.2"),
        ("best", {}, True, "best"),
    ],
)
def test_a_template_is_filled_as_lightning_fills_it(template, metrics, auto_insert, expected):
    assert format_name(template, metrics, auto_insert=auto_insert) == expected


def test_a_format_that_does_not_fit_its_value_is_refused_with_the_filename():
    with pytest.raises(ConfigurationError, match=r"filename='\{val_loss:d\}'"):
        format_name("{val_loss:d}", {"val_loss": torch.tensor(0.5)})


def test_the_characters_of_a_name_can_be_overridden():
    class Colons(ModelCheckpoint):
        CHECKPOINT_JOIN_CHAR = "_"
        CHECKPOINT_EQUALS_CHAR = ":"
        FILE_EXTENSION = ".tar"

    assert Colons().format_checkpoint_name({"epoch": 1, "step": 2}, ver=3, prefix="p") == "p_epoch:1_step:2_v3.tar"


def test_the_first_free_name_is_taken_and_the_file_to_be_replaced_counts_as_free():
    taken = {"a", "b"}.__contains__

    assert first_free(iter("abc"), taken, replaces="") == "c"
    assert first_free(iter("abc"), taken, replaces="b") == "b"


# --- ranking, deleting, linking ------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "best", "worst"), [("min", "low", "high"), ("max", "high", "low")])
def test_the_best_and_the_worst_depend_on_the_mode(mode, best, worst):
    scores = {"high": torch.tensor(2.0), "low": torch.tensor(1.0), "middle": torch.tensor(1.5)}

    assert (best_of(scores, mode), worst_of(scores, mode)) == (best, worst)


def test_only_files_inside_the_folder_may_be_deleted_and_never_the_ones_to_keep(tmp_path):
    inside, outside = str(tmp_path / "run" / "a.ckpt"), str(tmp_path / "other" / "a.ckpt")
    folder = str(tmp_path / "run")

    assert may_delete(inside, folder, keep=[None, ""])
    assert not may_delete(outside, folder, keep=[])
    assert not may_delete(inside, folder, keep=[inside])


def test_the_target_of_a_link_that_was_resumed_from_is_not_deleted(tmp_path):
    target = tmp_path / "epoch=0.ckpt"
    target.touch()
    link(str(target), str(tmp_path / "last.ckpt"))

    assert not may_delete(str(target), str(tmp_path), keep=[str(tmp_path / "last.ckpt")])


@pytest.mark.parametrize("before", ["nothing", "file", "folder", "link"])
def test_a_link_is_relative_and_replaces_whatever_was_there(tmp_path, before):
    target, linkpath = tmp_path / "new.ckpt", tmp_path / "last.ckpt"
    target.write_text("new")
    if before == "file":
        linkpath.write_text("old")
    elif before == "folder":
        linkpath.mkdir()
    elif before == "link":
        linkpath.symlink_to("gone.ckpt")

    link(str(target), str(linkpath))

    assert os.readlink(linkpath) == "new.ckpt"
    assert linkpath.read_text() == "new"


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "best"}, "mode='best'"),
        ({"save_top_k": -2}, "save_top_k=-2"),
        ({"save_top_k": 2}, "nothing to rank"),
        ({"every_n_epochs": -1}, "every_n_epochs=-1"),
        ({"every_n_train_steps": 1, "every_n_epochs": 1}, "mutually exclusive"),
        ({"train_time_interval": timedelta(1), "every_n_epochs": 1}, "mutually exclusive"),
        ({"dirpath": "s3://bucket/run"}, "not on a local disk"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, words):
    with pytest.raises(ConfigurationError, match=words):
        ModelCheckpoint(**options)


def test_without_a_trigger_every_epoch_is_saved_and_zero_switches_all_off():
    assert Triggers.from_options(None, None, None).epochs == 1
    assert not Triggers.from_options(0, None, None).due_at_epoch(0)


def test_the_state_key_is_lightnings():
    callback = ModelCheckpoint(monitor="val_loss")

    assert callback.state_key == (
        "ModelCheckpoint{'monitor': 'val_loss', 'mode': 'min', 'every_n_train_steps': 0, "
        "'every_n_epochs': 1, 'train_time_interval': None}"
    )


# --- where ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "folder"), [(3, "version_3"), ("blue", "blue")])
def test_checkpoints_lie_beside_the_rows_of_the_first_logger_with_a_folder(tmp_path, version, folder):
    loggers = [Folder(), Folder(str(tmp_path), version)]

    assert default_directory(loggers, "root") == str(tmp_path / "runs" / folder / "checkpoints")


def test_without_such_a_logger_checkpoints_lie_under_the_root():
    assert default_directory([Folder()], "root") == os.path.join("root", "checkpoints")
