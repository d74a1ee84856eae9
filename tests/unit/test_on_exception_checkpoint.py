"""OnExceptionCheckpoint saves when training breaks, and cleans up when it ends well."""

from __future__ import annotations

import pytest
import torch

from leyden import Trainer
from leyden.callbacks import OnExceptionCheckpoint
from leyden.errors import ConfigurationError
from leyden.testing import TinyData, TinyModule


class Breaking(TinyModule):
    """Raises in one batch."""

    def __init__(self, at=1):
        super().__init__()
        self.at = at

    def training_step(self, batch, batch_idx):
        if batch_idx == self.at:
            raise ArithmeticError("broken")
        return super().training_step(batch, batch_idx)


def trainer_with(callback, **options):
    options = {"max_epochs": 1, "logger": False, "enable_progress_bar": False, "enable_model_summary": False} | options
    return Trainer(callbacks=[callback], **options)


def broken(callback, **options):
    """Run a fit that breaks after one step."""
    with pytest.raises(ArithmeticError):
        trainer_with(callback, **options).fit(Breaking(), TinyData())


def test_the_state_at_the_exception_is_saved(tmp_path):
    callback = OnExceptionCheckpoint(tmp_path / "folder", "crash")

    broken(callback)

    assert callback.ckpt_path == str(tmp_path / "folder" / "crash.ckpt")
    assert torch.load(callback.ckpt_path, weights_only=True)["global_step"] == 1


def test_training_goes_on_from_it_and_removes_it_at_its_end(tmp_path):
    callback = OnExceptionCheckpoint(tmp_path)
    broken(callback)
    trainer = trainer_with(callback)

    trainer.fit(TinyModule(), TinyData(), ckpt_path="last")

    assert trainer.ckpt_path == callback.ckpt_path
    assert trainer.global_step == 2
    assert list(tmp_path.iterdir()) == []


def test_an_exception_before_training_leaves_an_earlier_file_alone(tmp_path):
    class Unready(TinyModule):
        def setup(self, stage):
            raise ArithmeticError("no data")

    callback = OnExceptionCheckpoint(tmp_path)
    broken(callback)
    before = (tmp_path / "on_exception.ckpt").read_bytes()

    with pytest.raises(ArithmeticError, match="no data"):
        trainer_with(callback).fit(Unready(), TinyData(), ckpt_path=callback.ckpt_path)

    assert (tmp_path / "on_exception.ckpt").read_bytes() == before


def test_an_evaluation_of_the_file_does_not_remove_it(tmp_path):
    callback = OnExceptionCheckpoint(tmp_path)
    broken(callback)

    trainer_with(callback).validate(TinyModule(), datamodule=TinyData(), ckpt_path=callback.ckpt_path, verbose=False)

    assert (tmp_path / "on_exception.ckpt").exists()


def test_a_dry_run_saves_nothing(tmp_path):
    broken(OnExceptionCheckpoint(tmp_path), fast_dev_run=2)

    assert list(tmp_path.iterdir()) == []


def test_an_empty_name_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"filename='.*names no file"):
        OnExceptionCheckpoint(tmp_path, "")
