"""Differences in what counters count, seen side by side."""

from __future__ import annotations

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from observing import fitted, observed
from twins import regression


def scheduled(library, scheduler, **options):
    """A module with one scheduler, made by *scheduler* of its optimizer."""

    class Scheduled(regression(library)):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler(optimizer), **options}}

    return Scheduled


def scored(library):
    """A module whose validation logs the number of its step."""

    class Scored(regression(library)):
        def validation_step(self, batch, batch_idx):
            self.log("score", float(self.global_step))

    return Scored


def saved(library, tmp_path, module, trainer_options, **options):
    """Steps at which files are saved, each with its score."""
    callback = library.callbacks.ModelCheckpoint(tmp_path / "saved", save_top_k=-1, filename="{step}", **options)
    found = {"enable_checkpointing": True, "callbacks": [callback], **trainer_options}
    fitted(library, tmp_path, module, **found)
    steps = {int(path.stem.removeprefix("step=")): str(path) for path in (tmp_path / "saved").glob("*.ckpt")}
    return {step: float(callback.best_k_models.get(path, -1)) for step, path in sorted(steps.items())}


@observed("score_of_a_step", theirs={2: 2.0, 4: 2.0, 6: 6.0}, ours={2: 2.0, 4: 4.0, 6: 6.0})
def _(library, tmp_path):
    options = {"val_check_interval": 2, "num_sanity_val_steps": 0}
    return saved(library, tmp_path, scored(library), options, monitor="score", every_n_train_steps=2)


@observed("validation_after_every_batch", theirs=[6], ours=[1, 2, 3, 4, 5, 6])
def _(library, tmp_path):
    return list(saved(library, tmp_path, scored(library), {"val_check_interval": 1}, monitor="score"))


@observed("epochs_without_validation", theirs=[], ours=[6, 12])
def _(library, tmp_path):
    options = {"check_val_every_n_epoch": 2, "limit_val_batches": 0, "max_epochs": 2}
    return list(saved(library, tmp_path, regression(library), options))


@observed("frequency_of_a_scheduler", theirs=(0, 6), ours=(2, 3))
def _(library, tmp_path):
    def steps(frequency, **options):
        halving = scheduled(
            library,
            lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1),
            interval="step",
            frequency=frequency,
        )
        trainer, _ = fitted(library, tmp_path, halving, **options)
        return trainer.lr_scheduler_configs[0].scheduler.last_epoch

    return steps(8, max_epochs=3), steps(2, limit_train_batches=6, accumulate_grad_batches=2, max_epochs=2)


@observed("schedule_of_a_refused_batch", theirs=4, ours=3)
def _(library, tmp_path):
    base = scheduled(library, lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1), interval="step")

    class Refuses(base):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == 3 else None

    return fitted(library, tmp_path, Refuses)[0].lr_scheduler_configs[0].scheduler.last_epoch


@observed("stop_before_it_is_allowed", theirs=4, ours=6)
def _(library, tmp_path):
    class Improves(regression(library)):
        def on_validation_epoch_end(self):
            if not self.trainer.sanity_checking:
                self.log("score", [1.0, 2.0, 3.0, 0.5, 0.4, 0.3][self.current_epoch])

    stopping = library.callbacks.EarlyStopping("score", patience=2)
    return fitted(library, tmp_path, Improves, callbacks=[stopping], min_epochs=4, max_epochs=6)[0].current_epoch


def outcome(library, tmp_path, module, **options):
    """Epochs trained, or the error instead."""
    try:
        return fitted(library, tmp_path, module, num_sanity_val_steps=0, **options)[0].current_epoch
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        return type(error).__name__


@observed("plateau_before_a_validation", theirs="MisconfigurationException", ours=2)
def _(library, tmp_path):
    module = scheduled(library, torch.optim.lr_scheduler.ReduceLROnPlateau, monitor="val_loss")
    return outcome(library, tmp_path, module, check_val_every_n_epoch=2, max_epochs=2)


@observed("check_before_a_validation", theirs="RuntimeError", ours=2)
def _(library, tmp_path):
    stopping = library.callbacks.EarlyStopping("val_loss", check_on_train_epoch_end=True)
    options = {"check_val_every_n_epoch": 2, "max_epochs": 2, "callbacks": [stopping]}
    return outcome(library, tmp_path, regression(library), **options)


def manual(library, bare, optimizers=1):
    """A module that steps its optimizers itself, wrapped or *bare*."""

    class Manual(regression(library)):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            self.manual_backward(self.loss(batch))
            ours = self.optimizers(use_pl_optimizer=not bare)
            for each in ours if optimizers > 1 else [ours]:
                each.step()

        def configure_optimizers(self):
            parts = (self.net[0], self.net[3])[:optimizers]
            return [torch.optim.SGD(part.parameters(), lr=0.1) for part in parts]

    return Manual


@observed("steps_of_a_bare_optimizer", theirs=[], ours=[2, 4, 6])
def _(library, tmp_path):
    return list(saved(library, tmp_path, manual(library, bare=True), {}, every_n_train_steps=2))


@observed("multiples_that_are_passed", theirs=[6, 12], ours=[4, 6, 10, 12])
def _(library, tmp_path):
    return sorted(saved(library, tmp_path, manual(library, bare=False, optimizers=2), {}, every_n_train_steps=3))
