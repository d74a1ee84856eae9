"""Differences in callbacks, hyper-parameters and checkpoints, seen side by side."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from io import StringIO
from pickle import UnpicklingError

import pytest
import torch
from observing import fitted, observed
from torch.utils.data import DataLoader
from twins import LIGHTNING, loader, quiet, regression, rows_of

import leyden.callbacks

assert leyden.callbacks


def breaking(library, hook):
    """A module that breaks in *hook*."""

    def breaks(self, *args):
        raise ArithmeticError("on purpose")

    return type("Breaking", (regression(library),), {hook: breaks})


def left(library, tmp_path, hook, **options):
    """The files that a fit leaves which breaks in *hook*."""
    callback = library.callbacks.OnExceptionCheckpoint(tmp_path / "left")
    options = {"enable_checkpointing": True, "callbacks": [callback], **options}
    with pytest.raises(ArithmeticError, match="on purpose"):
        fitted(library, tmp_path, breaking(library, hook), **options)
    return [path.name for path in (tmp_path / "left").glob("*")]


@observed("exception_before_training", theirs=["on_exception.ckpt"], ours=[])
def _(library, tmp_path):
    return left(library, tmp_path, "on_fit_start")


@observed("exception_in_a_dry_run", theirs=["on_exception.ckpt"], ours=[])
def _(library, tmp_path):
    return left(library, tmp_path, "on_train_batch_end", fast_dev_run=1)


@observed("test_beside_a_checkpoint_of_an_exception", theirs=False, ours=True)
def _(library, tmp_path):
    path = tmp_path / "on_exception.ckpt"
    path.touch()
    callback = library.callbacks.OnExceptionCheckpoint(tmp_path)
    trainer = quiet(library, tmp_path, enable_checkpointing=True, callbacks=[callback])
    trainer.test(regression(library)(), verbose=False)
    return path.exists()


@observed("clock_of_a_second_fit", theirs=False, ours=True)
def _(library, tmp_path):
    timer, counted = library.callbacks.Timer(), []

    class Reads(library.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            counted.append(timer.time_elapsed() >= 0)

    trainer, module = fitted(library, tmp_path, regression(library), callbacks=[timer, Reads()])
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module)
    return all(counted)


@observed("schedule_that_was_given", theirs={1: 2, 0: 1}, ours={1: 2})
def _(library, tmp_path):
    given = {1: 2}
    library.callbacks.GradientAccumulationScheduler(given)
    return given


@observed("epochs_as_text", theirs="MisconfigurationException", ours=3)
def _(library, tmp_path):
    try:
        return library.callbacks.GradientAccumulationScheduler({"4": 3}).get_accumulate_grad_batches(4)
    except LIGHTNING.utilities.exceptions.MisconfigurationException as error:
        return type(error).__name__


@observed("second_fit_of_a_schedule", theirs="ValueError", ours=4)
def _(library, tmp_path):
    schedule = library.callbacks.GradientAccumulationScheduler({0: 3})
    trainer, module = fitted(library, tmp_path, regression(library), callbacks=[schedule])
    trainer.fit_loop.max_epochs = 2
    try:
        trainer.fit(module)
    except ValueError as error:
        return type(error).__name__
    return trainer.global_step


@observed("steps_of_a_schedule", theirs=12, ours=9)
def _(library, tmp_path):
    schedule = library.callbacks.GradientAccumulationScheduler({0: 2, 1: 1})
    return fitted(library, tmp_path, regression(library), callbacks=[schedule], max_epochs=2)[
        0
    ].estimated_stepping_batches


@observed("schedule_on_resume", theirs=1, ours=3)
def _(library, tmp_path):
    path, sizes = tmp_path / "middle.ckpt", []

    class Module(regression(library)):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            sizes.append(self.trainer.accumulate_grad_batches)
            if batch_idx == 2 and not path.exists():
                self.trainer.save_checkpoint(path)

    def schedule():
        return [library.callbacks.GradientAccumulationScheduler({0: 3})]

    fitted(library, tmp_path, Module, callbacks=schedule())
    sizes.clear()
    fitted(library, tmp_path, Module, {"ckpt_path": str(path)}, callbacks=schedule())
    return sizes[0]


@observed("samples_of_a_batch", theirs="TypeError", ours=2)
def _(library, tmp_path):
    try:
        monitor = library.callbacks.ThroughputMonitor()
    except TypeError as error:
        return type(error).__name__
    return monitor.batch_size_fn(next(iter(loader())))


def counts(library, tmp_path, stage):
    """The rows of a monitor in three runs of *stage*."""
    rows = rows_of(library)
    monitor = library.callbacks.ThroughputMonitor(lambda batch: len(batch[0]), window_size=2)
    options = {"callbacks": [monitor], "logger": rows, "log_every_n_steps": 1, "max_epochs": 2}
    trainer, module = fitted(library, tmp_path, regression(library), limit_train_batches=2, **options)
    if stage == "test":
        trainer.test(module, verbose=False)
        trainer.test(module, verbose=False)
    return [(step, row[f"{stage}/batches"]) for step, row in rows.rows if f"{stage}/batches" in row]


@observed("axis_of_throughput", theirs=[1, 2, 3, 1, 2, 3], ours=[1, 1, 1, 3, 3, 3])
def _(library, tmp_path):
    return [step for step, _ in counts(library, tmp_path, "validate")]


@observed("throughput_of_a_second_test", theirs=[1, 2, 3, 4, 5, 6], ours=[1, 2, 3, 1, 2, 3])
def _(library, tmp_path):
    return [number for _, number in counts(library, tmp_path, "test")]


@observed("pictures_of_a_bar", theirs=True, ours=False)
def _(library, tmp_path):
    options = {"enable_progress_bar": True, "callbacks": [library.callbacks.TQDMProgressBar()]}
    screen = StringIO()
    with contextlib.redirect_stderr(screen), contextlib.redirect_stdout(screen):
        fitted(
            library, tmp_path, regression(library), {"train_dataloaders": loader(500)}, limit_val_batches=0, **options
        )
    return screen.getvalue().count("\r") > 400


@observed("stream_of_a_bar", theirs="stdout", ours="stderr")
def _(library, tmp_path):
    options = {"enable_progress_bar": True, "callbacks": [library.callbacks.TQDMProgressBar()]}
    out, err = StringIO(), StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        fitted(library, tmp_path, regression(library), **options)
    return "stdout" if "Epoch 0" in out.getvalue() else "stderr" if "Epoch 0" in err.getvalue() else None


@observed("columns_of_a_summary", theirs=True, ours=False)
def _(library, tmp_path):
    options = {"enable_model_summary": True, "callbacks": [library.callbacks.RichModelSummary()]}
    screen = StringIO()
    with contextlib.redirect_stdout(screen):
        fitted(library, tmp_path, regression(library), **options)
    return "FLOPs" in screen.getvalue()


@observed("errors_of_hyperparameters", theirs="KeyError", ours="ConfigurationError")
def _(library, tmp_path):
    class Module(library.LightningModule):
        def __init__(self, a):
            super().__init__()
            self.save_hyperparameters("b")

    with pytest.raises((KeyError, ValueError)) as caught:
        Module(1)
    return caught.type.__name__


@observed("objects_among_hyperparameters", theirs="UnpicklingError", ours=3)
def _(library, tmp_path):
    class Module(regression(library)):
        def __init__(self, width, ratio=None):
            super().__init__()
            self.save_hyperparameters()

    trainer, _ = fitted(library, tmp_path, lambda: Module(3, Fraction(1, 3)))
    trainer.save_checkpoint(tmp_path / "saved.ckpt")
    try:
        return Module.load_from_checkpoint(tmp_path / "saved.ckpt", weights_only=True).hparams.width
    except UnpicklingError as error:
        return type(error).__name__


@observed("iterators_of_a_reloaded_loader", theirs=2, ours=1)
def _(library, tmp_path):
    made = []

    class Loader(DataLoader):
        def __iter__(self):
            made.append(1)
            return super().__iter__()

    class Module(regression(library)):
        def train_dataloader(self):
            made.clear()
            return Loader(loader().dataset, batch_size=2)

    fitted(library, tmp_path, Module, max_epochs=2, reload_dataloaders_every_n_epochs=1)
    return len(made)


@observed("place_of_a_checkpoint_of_lightning", theirs=[0, 1, 2], ours=[3, 4, 5])
def _(library, tmp_path):
    path, seen = tmp_path / "middle.ckpt", []

    def module_of(library):
        class Module(regression(library)):
            def training_step(self, batch, batch_idx):
                index = next(i for i, other in enumerate(loader()) if torch.equal(other[0], batch[0]))
                seen.append(index)
                return super().training_step(batch, batch_idx)

            def on_train_batch_end(self, outputs, batch, batch_idx):
                if batch_idx == 2 and not path.exists():
                    self.trainer.save_checkpoint(path)

        return Module

    fitted(LIGHTNING, tmp_path, module_of(LIGHTNING))
    seen.clear()
    fitted(library, tmp_path, module_of(library), {"ckpt_path": str(path)})
    return seen


@observed("deferred_without_a_validation", theirs=[], ours=["step=6.ckpt"])
def _(library, tmp_path):
    checkpoint = library.callbacks.ModelCheckpoint(
        tmp_path / "kept", "{step}", monitor="train_loss", every_n_train_steps=6, save_top_k=-1
    )
    fitted(
        library, tmp_path, regression(library), callbacks=[checkpoint], enable_checkpointing=True, val_check_interval=4
    )
    return [path.name for path in (tmp_path / "kept").glob("*.ckpt")]


@observed("storage_options", theirs="TypeError", ours="ConfigurationError")
def _(library, tmp_path):
    trainer, _ = fitted(library, tmp_path, regression(library))
    with pytest.raises((TypeError, ValueError)) as caught:
        trainer.save_checkpoint(tmp_path / "saved.ckpt", storage_options={"a": 1})
    return caught.type.__name__


@observed("rows_of_a_sanity_check", theirs=True, ours=False)
def _(library, tmp_path):
    rows = rows_of(library)
    options = {"callbacks": [library.callbacks.DeviceStatsMonitor(cpu_stats=True)], "logger": rows}
    trainer = quiet(library, tmp_path, max_epochs=1, num_sanity_val_steps=1, log_every_n_steps=1, **options)
    trainer.fit(regression(library)())
    return any("validation" in name for name in rows.rows[0][1])


@observed("options_of_the_environment", theirs=3, ours=1000)
def _(library, tmp_path):
    os.environ["PL_TRAINER_MAX_EPOCHS"] = "3"
    try:
        return quiet(library, tmp_path).max_epochs
    finally:
        del os.environ["PL_TRAINER_MAX_EPOCHS"]
