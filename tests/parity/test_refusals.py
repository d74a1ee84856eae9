"""What Lightning refuses, Leyden refuses; what works there works here."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset
from twins import LEYDEN, LIGHTNING, loader, quiet, regression, silence

from leyden.errors import LeydenError

LOGGED = {
    "nested_dict": lambda module: module.log("a", {"b": 1.0}),
    "two_elements": lambda module: module.log("a", torch.ones(2)),
    "text": lambda module: module.log("a", "text"),
    "nothing": lambda module: module.log("a", None),
    "neither_level": lambda module: module.log("a", 1.0, on_step=False, on_epoch=False),
    "unknown_reduction": lambda module: module.log("a", 1.0, on_epoch=True, reduce_fx="median"),
    "function_as_reduction": lambda module: module.log("a", 1.0, on_epoch=True, reduce_fx=torch.median),
    "index_in_the_name": lambda module: module.log("a/dataloader_idx_0", 1.0),
    "twice_differently": lambda module: [module.log("a", 1.0, on_epoch=flag) for flag in (True, False)],
}
FORBIDDEN = (
    "setup configure_optimizers on_fit_start on_train_end on_fit_end on_validation_end train_dataloader teardown "
    "on_before_batch_transfer on_after_batch_transfer transfer_batch_to_device lr_scheduler_step on_save_checkpoint "
    "on_validation_model_eval prepare_data configure_model val_dataloader"
).split()
ALLOWED = (
    "on_train_start on_train_epoch_start on_train_batch_start training_step on_before_zero_grad on_before_backward "
    "on_after_backward on_before_optimizer_step optimizer_step optimizer_zero_grad on_train_batch_end "
    "on_train_epoch_end on_validation_start on_validation_epoch_start on_validation_batch_start validation_step "
    "on_validation_batch_end on_validation_epoch_end configure_gradient_clipping backward"
).split()


def complaint(library, tmp_path, Module, stage="fit", arguments=(), **options):
    """Run *stage*; return the type of error it ends with, or None."""
    with silence():
        try:
            options = {"max_epochs": 1, "num_sanity_val_steps": 0, **options}
            getattr(quiet(library, tmp_path, **options), stage)(Module(), *arguments)
        except Exception as error:
            return type(error)
    return None


def logging_in(library, hook):
    """A module that logs in *hook*, too."""

    def logs(self, *args, **kwargs):
        self.log("late", 1.0)
        return getattr(Base, hook)(self, *args, **kwargs)

    class Saves(library.callbacks.Checkpoint):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.save_checkpoint(trainer.default_root_dir + "/saved.ckpt")

    class Base(regression(library)):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

        def configure_callbacks(self):
            return Saves()

    return type("Logs", (Base,), {hook: logs})


@pytest.mark.parametrize("hook", FORBIDDEN)
def test_logging_is_refused_in_the_same_hooks(tmp_path, hook):
    theirs = complaint(LIGHTNING, tmp_path, logging_in(LIGHTNING, hook))
    ours = complaint(LEYDEN, tmp_path, logging_in(LEYDEN, hook))

    assert theirs is not None
    assert issubclass(ours, LeydenError)


@pytest.mark.parametrize("hook", ALLOWED)
def test_logging_works_in_the_same_hooks(tmp_path, hook):
    theirs = complaint(LIGHTNING, tmp_path, logging_in(LIGHTNING, hook))
    ours = complaint(LEYDEN, tmp_path, logging_in(LEYDEN, hook))

    assert ours is theirs is None


@pytest.mark.parametrize("stage", ["fit", "predict"])
@pytest.mark.parametrize("what", LOGGED)
def test_the_same_values_are_refused(tmp_path, what, stage):
    complaints = []
    for library in (LIGHTNING, LEYDEN):

        class Module(regression(library)):
            def training_step(self, batch, batch_idx):
                LOGGED[what](self)

            def predict_step(self, batch, batch_idx):
                LOGGED[what](self)

        complaints.append(complaint(library, tmp_path, Module, stage))

    theirs, ours = complaints

    assert theirs is not None
    assert issubclass(ours, LeydenError)


def sgd(module):
    return torch.optim.SGD(module.parameters(), lr=0.1)


def plateau(**more):
    """A `configure_optimizers` whose scheduler dict holds *more*."""

    def configure_optimizers(self):
        optimizer = sgd(self)
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer), **more}]

    return configure_optimizers


def clips_by_itself(self, optimizer, gradient_clip_val, gradient_clip_algorithm):
    self.clip_gradients(optimizer, gradient_clip_val=0.5)


MEMBERS = {
    "no_training_step": lambda contract: {"training_step": contract.training_step},
    "no_optimizers": lambda contract: {"configure_optimizers": contract.configure_optimizers},
    "loss_is_text": lambda contract: {"training_step": lambda self, batch, batch_idx: "loss"},
    "dict_without_loss": lambda contract: {"training_step": lambda self, batch, batch_idx: {}},
    "removed_hook": lambda contract: {"training_epoch_end": lambda self, outputs: None},
    "optimizer_is_text": lambda contract: {"configure_optimizers": lambda self: "sgd"},
    "two_optimizers": lambda contract: {"configure_optimizers": lambda self: [sgd(self), sgd(self)]},
    "no_scheduler": lambda contract: {"configure_optimizers": lambda self: ([sgd(self)], [{"interval": "step"}])},
    "plateau_without_monitor": lambda contract: {"configure_optimizers": plateau()},
    "plateau_of_an_unknown_metric": lambda contract: {"configure_optimizers": plateau(monitor="nothing")},
    "unknown_interval": lambda contract: {"configure_optimizers": plateau(monitor="val_loss", interval="batch")},
    "manual_backward": lambda contract: {
        "training_step": lambda self, batch, batch_idx: self.manual_backward(self.loss(batch))
    },
    "other_clip_value": lambda contract: {"configure_gradient_clipping": clips_by_itself},
    "no_loader_index": lambda contract: {
        "validation_step": lambda self, batch, batch_idx: None,
        "val_dataloader": lambda self: [loader(1), loader(1)],
    },
}


@pytest.mark.parametrize("name", MEMBERS)
def test_the_same_modules_are_refused(tmp_path, name):
    complaints = []
    for library in (LIGHTNING, LEYDEN):
        Module = type("Module", (regression(library),), MEMBERS[name](library.LightningModule))
        complaints.append(complaint(library, tmp_path, Module, gradient_clip_val=1.0))

    theirs, ours = complaints

    assert theirs is not None
    assert issubclass(ours, LeydenError)


class Stream(IterableDataset):
    """A data set without a length."""

    def __iter__(self):
        return iter(loader(3).dataset)


OPTIONS = {
    "interval_longer_than_an_epoch": {"val_check_interval": 7},
    "fraction_above_one": {"limit_train_batches": 1.5},
    "fraction_that_leaves_nothing": {"limit_train_batches": 0.01},
    "negative_limit": {"limit_val_batches": -1},
    "unknown_precision": {"precision": "8-true"},
    "no_accumulation": {"accumulate_grad_batches": 0},
    "unknown_clipping": {"gradient_clip_val": 1.0, "gradient_clip_algorithm": "cosine"},
    "unknown_accelerator": {"accelerator": "abacus"},
    "unknown_strategy": {"strategy": "chess"},
    "unknown_option": {"max_epoch": 3},
    "unknown_profiler": {"profiler": "stethoscope"},
    "negative_epochs": {"max_epochs": -2},
    "negative_steps": {"max_steps": -2},
    "interval_of_text": {"val_check_interval": [1]},
    "no_such_time": {"max_time": "tomorrow"},
    "negative_dev_run": {"fast_dev_run": -1},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_options_are_refused(tmp_path, name):
    theirs = complaint(LIGHTNING, tmp_path, regression(LIGHTNING), **OPTIONS[name])
    ours = complaint(LEYDEN, tmp_path, regression(LEYDEN), **OPTIONS[name])

    assert theirs is not None
    assert issubclass(ours, LeydenError)


@pytest.mark.parametrize("options", [{"val_check_interval": 0.5}, {"limit_train_batches": 0.5}], ids=str)
def test_a_fraction_of_an_unknown_length_is_refused(tmp_path, options):
    loaders = (DataLoader(Stream(), batch_size=2),)

    theirs = complaint(LIGHTNING, tmp_path, regression(LIGHTNING), arguments=loaders, **options)
    ours = complaint(LEYDEN, tmp_path, regression(LEYDEN), arguments=loaders, **options)

    assert theirs is not None
    assert issubclass(ours, LeydenError)
