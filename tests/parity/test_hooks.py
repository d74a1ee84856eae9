"""Every hook is called at the same moment, with the same arguments, under Lightning and under Leyden."""

from __future__ import annotations

import pytest
import torch
from twins import LEYDEN, LIGHTNING, loader, quiet, recorder, regression, silence

SHORT = {"max_epochs": 2, "limit_train_batches": 2, "limit_val_batches": 1}


def plain(library, Base):
    return Base


def with_schedulers(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            by_step = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
            by_epoch = torch.optim.lr_scheduler.StepLR(optimizer, 1)
            return [optimizer], [{"scheduler": by_step, "interval": "step"}, by_epoch]

    return Module


def with_plateau(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            by_epoch = {"scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer), "monitor": "val_loss"}
            by_step = {**by_epoch, "interval": "step"}
            return [optimizer], [by_epoch, by_step, torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    return Module


def with_a_configured_model(library, Base):
    class Module(Base):
        def prepare_data(self):
            pass

        def configure_model(self):
            pass

    return Module


def manual(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            loss = self.loss(batch)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.lr_schedulers().step()
            return loss

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    return Module


def manual_with_a_closure(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            self.optimizers().step(closure=lambda: self.manual_backward(self.loss(batch)))

    return Module


def two_optimizers_by_hand(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            for optimizer in self.optimizers():
                self.toggle_optimizer(optimizer)
                optimizer.zero_grad()
                self.manual_backward(self.loss(batch))
                optimizer.step()
                self.untoggle_optimizer(optimizer)

        def configure_optimizers(self):
            first, second = self.net[0].parameters(), self.net[3].parameters()
            return torch.optim.SGD(first, lr=0.1), torch.optim.Adam(second)

    return Module


def steps_that_return_nothing(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            return None if batch_idx == 0 else self.loss(batch)

    return Module


def epochs_cut_short(library, Base):
    class Module(Base):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == 1 else None

    return Module


def several_loaders(library, Base):
    class Module(Base):
        def val_dataloader(self):
            return [loader(2, seed=1), loader(1, seed=2)]

        test_dataloader = predict_dataloader = val_dataloader

    return Module


def without_validation(library, Base):
    class Module(Base):
        validation_step = library.LightningModule.validation_step

    return Module


def without_dropout(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.net[2] = torch.nn.Identity()

    return Module


def without_length(library, Base):
    class Batches:
        def __iter__(self):
            generator = torch.Generator().manual_seed(1)
            return iter([torch.randn(2, 5, generator=generator).split([4, 1], dim=1) for _ in range(3)])

    class Module(Base):
        def train_dataloader(self):
            return Batches()

        val_dataloader = train_dataloader

    return Module


def lbfgs(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.parameters(), max_iter=2)

    return Module


def stops(library, Base):
    class Module(Base):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.trainer.should_stop = True

    return Module


def heard_by(library, tmp_path, make, stage="fit", leave_out=(), **options):
    """Run *stage* and return every hook that was called, with its arguments."""
    heard = []
    torch.manual_seed(0)
    with silence():
        module = recorder(library, "LM", make(library, regression(library)), heard, leave_out)()
        callbacks = [recorder(library, "cb", library.Callback, heard)()]
        trainer = quiet(library, tmp_path, callbacks=callbacks, **{**SHORT, **options})
        getattr(trainer, stage)(module)
    return comparable(heard)


def comparable(heard):
    """Give the same name to what is called differently: the optimizer's wrapper, and the closure."""
    names = {"LightningSGD": "LightningOptimizer", "LightningLBFGS": "LightningOptimizer", "Closure": "function"}
    return [call._replace(arguments=[names.get(str(each), each) for each in call.arguments]) for call in heard]


FITS = {
    "plain": (plain, {}),
    "schedulers": (with_schedulers, {}),
    "plateau": (with_plateau, {"val_check_interval": 1}),
    "configured_model": (with_a_configured_model, {}),
    "accumulation": (with_schedulers, {"accumulate_grad_batches": 2, "limit_train_batches": 4}),
    "clipping": (plain, {"gradient_clip_val": 0.1}),
    "manual": (manual, {}),
    "manual_with_a_closure": (manual_with_a_closure, {}),
    "two_optimizers_by_hand": (two_optimizers_by_hand, {}),
    "nothing_returned": (steps_that_return_nothing, {}),
    "epochs_cut_short": (epochs_cut_short, {}),
    "several_loaders": (several_loaders, {"limit_val_batches": 2}),
    "without_validation": (without_validation, {}),
    "lbfgs": (lbfgs, {}),
    "validation_twice_an_epoch": (with_schedulers, {"val_check_interval": 1}),
    "validation_across_epochs": (plain, {"val_check_interval": 3, "check_val_every_n_epoch": None}),
    "no_sanity_check": (plain, {"num_sanity_val_steps": 0}),
    "no_validation_batches": (plain, {"limit_val_batches": 0}),
    "no_training_batches": (plain, {"limit_train_batches": 0}),
    "no_epochs": (plain, {"max_epochs": 0}),
    "max_steps": (plain, {"max_steps": 3, "max_epochs": -1}),
    "fast_dev_run": (plain, {"fast_dev_run": 1}),
    "stopped_within_an_epoch": (stops, {}),
    "reloaded_loaders": (without_dropout, {"reload_dataloaders_every_n_epochs": 2, "max_epochs": 5}),
    "reloaded_loaders_and_rare_validation": (
        without_dropout,
        {"reload_dataloaders_every_n_epochs": 1, "max_epochs": 4, "check_val_every_n_epoch": 2},
    ),
    "without_length": (without_length, {"limit_train_batches": 1.0}),
    "bf16": (plain, {"precision": "bf16-mixed"}),
}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_calls_the_same_hooks_with_the_same_arguments(tmp_path, name):
    make, options = FITS[name]

    theirs = heard_by(LIGHTNING, tmp_path, make, **options)
    ours = heard_by(LEYDEN, tmp_path, make, **options)

    assert ours == theirs


def test_a_module_that_leaves_the_update_alone_is_called_the_same(tmp_path):
    left = ("optimizer_step", "backward", "optimizer_zero_grad", "configure_gradient_clipping", "lr_scheduler_step")

    theirs = heard_by(LIGHTNING, tmp_path, with_schedulers, leave_out=left)
    ours = heard_by(LEYDEN, tmp_path, with_schedulers, leave_out=left)

    assert ours == theirs


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
@pytest.mark.parametrize("make", [plain, several_loaders, with_a_configured_model])
def test_an_evaluation_calls_the_same_hooks_with_the_same_arguments(tmp_path, stage, make):
    theirs = heard_by(LIGHTNING, tmp_path, make, stage)
    ours = heard_by(LEYDEN, tmp_path, make, stage)

    assert ours == theirs


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_an_evaluation_of_no_batches_calls_the_same_hooks(tmp_path, stage):
    limit = {f"limit_{kind}_batches": 0 for kind in ("val", "test", "predict")}

    theirs = heard_by(LIGHTNING, tmp_path, plain, stage, **limit)
    ours = heard_by(LEYDEN, tmp_path, plain, stage, **limit)

    assert ours == theirs


def heard_with_data(library, tmp_path, stage="fit", saves_in="on_train_epoch_end", **options):
    """As `heard_by`, with a data module and a checkpoint in the first epoch, where *saves_in* says."""
    heard = []

    class Data(library.LightningDataModule):
        def train_dataloader(self):
            return loader(2)

        def val_dataloader(self):
            return loader(1)

        test_dataloader = predict_dataloader = val_dataloader

        def state_dict(self):
            return {"seen": 1}

    def save(self, trainer, pl_module, *args):
        if not (tmp_path / "first.ckpt").exists():
            trainer.save_checkpoint(tmp_path / "first.ckpt")

    saves = type("Saves", (library.callbacks.Checkpoint,), {saves_in: save, "state_dict": lambda self: {"saves": 1}})
    torch.manual_seed(0)
    with silence():
        module = recorder(library, "LM", with_schedulers(library, regression(library)), heard)()
        callback = recorder(library, "cb", saves, heard)()
        trainer = quiet(
            library, tmp_path, callbacks=[callback], max_epochs=2, enable_checkpointing=True, num_sanity_val_steps=0
        )
        getattr(trainer, stage)(module, datamodule=recorder(library, "DM", Data, heard)(), **options)
    return comparable(heard)


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_a_data_module_is_called_at_the_same_moments(tmp_path, stage):
    theirs = heard_with_data(LIGHTNING, tmp_path / "theirs", stage)
    ours = heard_with_data(LEYDEN, tmp_path / "ours", stage)

    assert ours == theirs


@pytest.mark.parametrize("saves_in", ["on_train_epoch_end", "on_validation_end", "on_train_batch_end"])
def test_a_fit_that_goes_on_calls_the_same_hooks(tmp_path, saves_in):
    heard = []
    for library, folder in ((LIGHTNING, tmp_path / "theirs"), (LEYDEN, tmp_path / "ours")):
        heard_with_data(library, folder, saves_in=saves_in)
        again = heard_with_data(library, folder, saves_in=saves_in, ckpt_path=str(folder / "first.ckpt"))
        heard.append([str(call) for call in again])

    theirs, ours = heard

    assert ours == theirs
