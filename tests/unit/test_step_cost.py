"""A training step is four frames deep, and costs at most 60 Python calls more than a loop written by hand."""

from __future__ import annotations

import gc
import os
import sys

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import leyden as L
from leyden.testing import RecordingLogger, TinyModule

PACKAGE = os.path.dirname(L.__file__) + os.sep


class Bare(L.LightningModule):
    """A module that logs nothing and overrides nothing it need not."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader(batches):
    return DataLoader(TensorDataset(torch.ones(batches, 2)), batch_size=1)


def fit(module, batches, **options):
    trainer = L.Trainer(
        **{
            "accelerator": "cpu",
            "max_epochs": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            **options,
        }
    )
    trainer.fit(module, loader(batches))


def bare_loop(batches):
    module = Bare()
    optimizer = module.configure_optimizers()
    for batch_idx, batch in enumerate(loader(batches)):
        loss = module.training_step(batch, batch_idx)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def calls_of(run):
    """Count the calls of Python functions that *run* makes."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    gc.collect()
    gc.disable()  # what other tests have left behind may call something when it is collected
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
        gc.enable()
    return calls


def calls_per_step(run):
    """Calls that 20 further steps add, for one of them; *run* takes the number of steps."""
    run(2)
    return (calls_of(lambda: run(30)) - calls_of(lambda: run(10))) / 20


class Frames(torch.autograd.Function):
    """Return the input; backward notes the frames of the package it is called from."""

    found: list[str]

    @staticmethod
    def forward(context, tensor):
        return tensor.clone()

    @staticmethod
    def backward(context, gradient):
        Frames.found, frame = [], sys._getframe()
        while frame is not None:
            if frame.f_code.co_filename.startswith(PACKAGE):
                Frames.found.insert(0, frame.f_code.co_name)
            frame = frame.f_back
        return gradient


class Watched(Bare):
    """Notes from where its loss is differentiated."""

    def training_step(self, batch, batch_idx):
        return Frames.apply(super().training_step(batch, batch_idx))


def test_a_loss_is_differentiated_four_frames_below_the_trainer():
    fit(Watched(), 1)

    assert Frames.found == ["fit", "fit", "automatic_step", "differentiate"]


def test_accumulation_clipping_and_a_scheduler_make_it_no_deeper():
    class Scheduled(Watched):
        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    fit(Scheduled(), 2, accumulate_grad_batches=2, gradient_clip_val=1.0, callbacks=[L.Callback()])

    assert Frames.found == ["fit", "fit", "automatic_step", "differentiate"]


def test_a_step_makes_at_most_60_calls_more_than_a_loop_written_by_hand():
    by_hand = calls_per_step(bare_loop)

    ours = calls_per_step(lambda batches: fit(Bare(), batches))

    assert ours - by_hand <= 60


def test_a_callback_that_overrides_nothing_costs_nothing():
    class Idle(L.Callback):
        def on_train_end(self, trainer, pl_module):
            pass

    without = calls_per_step(lambda batches: fit(Bare(), batches))

    idle = calls_per_step(lambda batches: fit(Bare(), batches, callbacks=[Idle(), Idle(), Idle()]))

    assert idle == without


def test_a_logger_costs_nothing_where_nothing_is_logged():
    without = calls_per_step(lambda batches: fit(Bare(), batches))

    logging = calls_per_step(lambda batches: fit(Bare(), batches, logger=RecordingLogger(), log_every_n_steps=1000))

    assert logging - without <= 10


@pytest.mark.parametrize(
    ("options", "most"), [({}, 20), ({"on_epoch": True}, 30), ({"on_epoch": True, "prog_bar": True}, 30)], ids=str
)
def test_a_logged_value_costs_few_calls(options, most):
    class Logs(Bare):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("loss", loss, **options)
            return loss

    without = calls_per_step(lambda batches: fit(Bare(), batches))

    logging = calls_per_step(lambda batches: fit(Logs(), batches))

    assert logging - without <= most


@pytest.mark.parametrize(("logs", "most"), [(1, 90), (5, 180)])
def test_a_step_that_logs_makes_few_calls_more_than_a_loop_written_by_hand(logs, most):
    class Logs(Bare):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            for index in range(logs):
                self.log(f"loss{index}", loss, on_step=True, on_epoch=True)
            return loss

    by_hand = calls_per_step(bare_loop)

    ours = calls_per_step(lambda batches: fit(Logs(), batches))

    assert ours - by_hand <= most


def test_what_is_counted_is_real():
    assert calls_of(lambda: [TinyModule() for _ in range(2)]) > calls_of(TinyModule) > 0
