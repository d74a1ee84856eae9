"""Validation, test and prediction return and log the same under Lightning and under Leyden."""

from __future__ import annotations

import pytest
import torch
import torchmetrics
from torch.utils.data import DataLoader
from twins import LEYDEN, LIGHTNING, describe, loader, quiet, regression, rows_of, silence


def plain(library, Base):
    return Base


def several_loaders(library, Base):
    class Module(Base):
        def val_dataloader(self):
            return [loader(2, seed=1), loader(3, seed=2, size=3)]

        test_dataloader = predict_dataloader = val_dataloader

        def on_validation_epoch_end(self):
            self.log("shared", 1.0)

        def on_test_epoch_end(self):
            self.log("shared", 2.0)

    return Module


def loaders_in_a_dict(library, Base):
    class Module(Base):
        def val_dataloader(self):
            return {"a": loader(1, seed=1), "b": loader(2, seed=2)}

        test_dataloader = predict_dataloader = val_dataloader

    return Module


def uneven_batches(library, Base):
    class Module(Base):
        def test_dataloader(self):
            return DataLoader(loader(5, seed=2).dataset, batch_size=4)

        val_dataloader = predict_dataloader = test_dataloader

    return Module


def everything_logged(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.error = torchmetrics.MeanAbsoluteError()

        def test_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log_dict({"mean": loss, "bar": loss}, prog_bar=True)
            self.log("largest", loss, reduce_fx="max")
            self.log("unseen", loss, logger=False)
            self.error(self(batch[0]), batch[1])
            self.log("error", self.error)

        def on_test_start(self):
            self.log("start", 1.0)

        def on_test_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):
            self.log("end", float(batch_idx))

        def on_test_epoch_end(self):
            self.log("late", 3.0)

        def validation_step(self, batch, batch_idx):
            return self.loss(batch)

        def predict_step(self, batch, batch_idx):
            return {"prediction": self(batch[0]), "index": batch_idx}

    return Module


def default_prediction(library, Base):
    class Module(Base):
        predict_step = library.LightningModule.predict_step

        def forward(self, batch):
            return self.net(batch[0] if isinstance(batch, list) else batch)

    return Module


def states(library, Base):
    class Module(Base):
        def validation_step(self, batch, batch_idx):
            self.log("training", float(self.training))
            self.log("grad", float(torch.is_grad_enabled()))
            self.log("inference", float(torch.is_inference_mode_enabled()))
            self.log("step", float(self.global_step))
            self.log("epoch_now", float(self.current_epoch))

        test_step = validation_step

        def predict_step(self, batch, batch_idx):
            return [torch.is_inference_mode_enabled(), self.training, self.trainer.predicting, self.trainer.state.stage]

    return Module


MODULES = {
    "plain": plain,
    "several_loaders": several_loaders,
    "loaders_in_a_dict": loaders_in_a_dict,
    "uneven_batches": uneven_batches,
    "everything_logged": everything_logged,
    "default_prediction": default_prediction,
    "states": states,
}


def evaluate(library, tmp_path, make, stage, options, **call):
    """Run *stage* of a new trainer, and once more after a fit; return everything it left behind."""
    rows = rows_of(library)
    torch.manual_seed(0)
    with silence():
        module = make(library, regression(library))()
        trainer = quiet(library, tmp_path, logger=rows, max_epochs=1, **options)
        found = [_once(trainer, stage, module, call)]
        trainer.fit(module, loader(2))
        found.append(_once(trainer, stage, module, call))
    training = [child.training for child in module.modules()]
    return {"found": found, "rows": rows.rows, "training": training, "random": torch.rand(1).tolist()}


def _once(trainer, stage, module, call):
    returned = getattr(trainer, stage)(module, **call)
    return {
        "returned": describe(returned),
        "callback_metrics": describe(dict(trainer.callback_metrics)),
        "logged_metrics": describe(dict(trainer.logged_metrics)),
        "bar_metrics": describe(dict(trainer.progress_bar_metrics)),
        "place": (trainer.global_step, trainer.current_epoch, trainer.state.fn, trainer.state.finished),
    }


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
@pytest.mark.parametrize("name", MODULES)
def test_an_evaluation_returns_and_logs_the_same(tmp_path, name, stage):
    call = {} if stage == "predict" else {"verbose": False}

    theirs = evaluate(LIGHTNING, tmp_path, MODULES[name], stage, {}, **call)
    ours = evaluate(LEYDEN, tmp_path, MODULES[name], stage, {}, **call)

    for what, value in theirs.items():
        assert ours[what] == value, what


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
@pytest.mark.parametrize(
    "options",
    [
        {"limit_val_batches": 2, "limit_test_batches": 2, "limit_predict_batches": 2},
        {"limit_val_batches": 0.5, "limit_test_batches": 0.5, "limit_predict_batches": 0.5},
        {"limit_val_batches": 0, "limit_test_batches": 0},
        {"inference_mode": False},
        {"precision": "bf16-mixed"},
        {"precision": "64-true"},
        {"overfit_batches": 1},
    ],
    ids=str,
)
def test_the_options_of_an_evaluation_mean_the_same(tmp_path, stage, options):
    call = {} if stage == "predict" else {"verbose": False}

    theirs = evaluate(LIGHTNING, tmp_path, plain, stage, options, **call)
    ours = evaluate(LEYDEN, tmp_path, plain, stage, options, **call)

    for what, value in theirs.items():
        assert ours[what] == value, what


def test_predictions_that_nobody_wants_are_not_returned(tmp_path):
    returned = []
    for library in (LIGHTNING, LEYDEN):
        with silence():
            trainer = quiet(library, tmp_path)
            returned.append(trainer.predict(regression(library)(), return_predictions=False))

    theirs, ours = returned

    assert ours is theirs is None
