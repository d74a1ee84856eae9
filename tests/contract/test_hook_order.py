"""Every hook is called in the order that is written down in `golden`."""

from __future__ import annotations

import contextlib

import golden
import pytest

from leyden import Trainer
from leyden.testing import (
    RECORDED_BY_MODULE,
    RecordingCallback,
    RecordingDataModule,
    RecordingModule,
    TinyModule,
    recording,
)


class Saves(RecordingCallback):
    """A callback as `ModelCheckpoint` is: it runs last, and saves once an epoch, or where it is told to."""

    monitors = runs_last = True

    def __init__(self, heard, path, within_an_epoch=False):
        super().__init__(heard, "ck")
        self.path, self.within_an_epoch = path, within_an_epoch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self.within_an_epoch and not trainer.is_last_batch:
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer, pl_module):
        super().on_train_epoch_end(trainer, pl_module)
        if not self.within_an_epoch:
            trainer.save_checkpoint(self.path)


@recording(RECORDED_BY_MODULE)
class Manual(TinyModule):
    """Steps its optimizer itself."""

    owner = "LM"

    def __init__(self, heard):
        super().__init__()
        self.heard = heard
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.layer(batch[0]).square().mean())
        optimizer.step()


@recording(RECORDED_BY_MODULE)
class Broken(TinyModule):
    """Raises in its first step."""

    owner = "LM"

    def __init__(self, heard):
        super().__init__()
        self.heard = heard

    def training_step(self, batch, batch_idx):
        raise ArithmeticError("on purpose")


def run(tmp_path, stage="fit", make=RecordingModule, ckpt_path=None, batches=2, within_an_epoch=False, **options):
    """Run *stage* with recorders everywhere; returns what they noted."""
    heard = []
    options = {"max_epochs": 1, "num_sanity_val_steps": 0, **options}
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[Saves(heard, tmp_path / "saved.ckpt", within_an_epoch), RecordingCallback(heard)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        **options,
    )
    data = RecordingDataModule(heard, train=batches)
    with contextlib.suppress(ArithmeticError):
        getattr(trainer, stage)(make(heard), datamodule=data, ckpt_path=ckpt_path)
    return [str(call) for call in heard]


def without(names, *left_out):
    return [name for name in names if name.split(".")[1] not in left_out]


def test_a_fit_calls_its_hooks_in_order(tmp_path):
    heard = run(tmp_path, max_epochs=2, num_sanity_val_steps=1)

    assert heard == golden.FIT


def test_a_module_that_leaves_the_update_alone_hears_the_rest_in_the_same_order(tmp_path):
    own = ("optimizer_step", "optimizer_zero_grad", "backward", "configure_gradient_clipping", "lr_scheduler_step")

    @recording([name for name in RECORDED_BY_MODULE if name not in own])
    class LeavesTheUpdateAlone(TinyModule):
        owner = "LM"

        def __init__(self, heard):
            super().__init__()
            self.heard = heard

    heard = run(tmp_path, make=LeavesTheUpdateAlone, max_epochs=2, num_sanity_val_steps=1)

    assert heard == without(golden.FIT, *own)


def test_a_validation_calls_its_hooks_in_order(tmp_path):
    heard = run(tmp_path, "validate")

    assert heard == golden.VALIDATE


def test_a_test_calls_its_hooks_in_order(tmp_path):
    heard = run(tmp_path, "test")

    assert heard == golden.TEST


def test_a_prediction_calls_its_hooks_in_order(tmp_path):
    heard = run(tmp_path, "predict")

    assert heard == golden.PREDICT


def test_accumulation_calls_the_hooks_of_an_update_once_a_window(tmp_path):
    heard = run(tmp_path, batches=3, accumulate_grad_batches=2, limit_val_batches=0)

    assert heard == golden.ACCUMULATION


def test_manual_optimisation_calls_what_the_module_asks_for(tmp_path):
    heard = run(tmp_path, make=Manual, limit_val_batches=0)

    assert heard == golden.MANUAL


def test_an_exception_is_told_and_everything_is_torn_down(tmp_path):
    heard = run(tmp_path, make=Broken, limit_val_batches=0)

    assert heard == golden.EXCEPTION


def test_a_fit_that_goes_on_after_an_epoch_begins_with_the_next_one(tmp_path):
    run(tmp_path, max_epochs=1)

    heard = run(tmp_path, max_epochs=2, ckpt_path=tmp_path / "saved.ckpt", num_sanity_val_steps=1)

    assert heard == golden.RESUMED_AT_AN_EPOCH


def test_a_fit_that_goes_on_within_an_epoch_begins_with_the_next_batch(tmp_path):
    run(tmp_path, max_epochs=1, within_an_epoch=True)

    heard = run(tmp_path, ckpt_path=tmp_path / "saved.ckpt", within_an_epoch=True, num_sanity_val_steps=1)

    assert heard == golden.RESUMED_WITHIN_AN_EPOCH


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_every_hook_gets_the_batch_it_is_called_for(tmp_path, stage):
    heard = []
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        num_sanity_val_steps=0,
        callbacks=RecordingCallback(heard),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )

    getattr(trainer, stage)(RecordingModule(heard), datamodule=RecordingDataModule(heard, train=3, evaluation=2))

    starts = [call for call in heard if call.hook.endswith("_batch_start") and call.owner == "LM"]
    ends = [call for call in heard if call.hook.endswith("_batch_end") and call.owner == "LM"]
    assert [call.arguments for call in starts] == [call.arguments[1:] for call in ends]
    assert [call.arguments[1] for call in starts] == {"fit": [0, 1, 2, 0, 1]}.get(stage, [0, 1])
