"""Differences in what counts when a fit goes on from a checkpoint with other settings, seen side by side."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from observing import fitted, observed
from twins import LEYDEN, loader, regression

from leyden.errors import ConfigurationError


def rates(library, tmp_path, first, then, **options):
    """The learning rate after each batch of a fit of four epochs that goes on from the end of one of two."""
    path, found = tmp_path / "end.ckpt", []

    class Watches(library.Callback):
        def on_train_batch_start(self, trainer, *_):
            found.append(round(trainer.optimizers[0].param_groups[0]["lr"], 4))

    trainer, _ = fitted(library, tmp_path, first, max_epochs=2, limit_train_batches=2)
    trainer.save_checkpoint(path)
    options = {"max_epochs": 4, "limit_train_batches": 2, "callbacks": [Watches()], **options}
    fitted(library, tmp_path, then, {"ckpt_path": str(path)}, **options)
    return found


def module(library, lr=0.1, schedule=None):
    """A module with a rate, and a schedule that is made of the optimizer and the trainer."""

    class Module(regression(library)):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=lr)
            if schedule is None:
                return optimizer
            made = schedule(optimizer, int(self.trainer.estimated_stepping_batches))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": made, "interval": "step"}}

    return Module


@observed("options_on_resume", theirs=[0.1] * 4, ours=[0.5] * 4)
def _(library, tmp_path):
    with warned(library, "lr=0.5, no longer 0.1"):
        return rates(library, tmp_path, module(library, 0.1), module(library, 0.5))


@observed("schedule_on_longer_resume", theirs=[0.0] * 4, ours=[0.05, 0.0375, 0.025, 0.0125])
def _(library, tmp_path):
    def line(optimizer, total):
        return torch.optim.lr_scheduler.PolynomialLR(optimizer, total)

    with warned(library, "PolynomialLR goes on at step 4"):
        return rates(library, tmp_path, module(library, 0.1, line), module(library, 0.1, line))


@observed("patience_on_resume", theirs=4, ours=6)
def _(library, tmp_path):
    def fit(patience, **call):
        class Constant(regression(library)):
            def on_validation_epoch_end(self):
                self.log("score", 1.0)

        stopping = library.callbacks.EarlyStopping("score", patience=patience)
        with warned(library, "patience=5, no longer 2" if call else ""):
            return fitted(library, tmp_path, Constant, call, callbacks=[stopping], max_epochs=8)[0]

    fit(2).save_checkpoint(tmp_path / "end.ckpt")
    return fit(5, ckpt_path=str(tmp_path / "end.ckpt")).current_epoch


@observed("batch_size_on_resume", theirs=4 + 6, ours="refused")
def _(library, tmp_path):
    path, seen = tmp_path / "middle.ckpt", []

    def sized(size):
        class Sized(regression(library)):
            def train_dataloader(self):
                return loader(batches=8 // size, size=size)

            def on_train_batch_end(self, outputs, batch, batch_idx):
                seen.append(len(batch[0]))
                if size == 2 and batch_idx == 1:
                    self.trainer.save_checkpoint(path)

        return Sized

    fitted(library, tmp_path, sized(2))
    del seen[2:]
    try:
        fitted(library, tmp_path, sized(1), {"ckpt_path": str(path)})
    except ConfigurationError:
        return "refused"
    return sum(seen)


def warned(library, words):
    """Expect the warning of ours."""
    return pytest.warns(UserWarning, match=words) if library is LEYDEN and words else nullcontext()
