"""Either library goes on from the other's checkpoints, at the right place and to the same weights."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from twins import LEYDEN, LIGHTNING, quiet, silence

BATCHES, EPOCHS = 6, 3


class Positioned:
    """A loader that keeps its own position."""

    def __init__(self, batches):
        self.batches, self.next, self.resumed = batches, 0, False

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        self.next, self.resumed = self.next if self.resumed else 0, False
        while self.next < len(self.batches):
            self.next += 1
            yield self.batches[self.next - 1]

    def state_dict(self):
        return {"next": self.next}

    def load_state_dict(self, state):
        self.next, self.resumed = state["next"], True


def batches(positioned=False):
    x = torch.randn(BATCHES * 2, 4, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True).sin()), batch_size=2)
    return Positioned(list(loader)) if positioned else loader


def module_of(library, manual=False, plateau=False):
    class Net(library.LightningModule):
        def __init__(self, width=8):
            super().__init__()
            self.save_hyperparameters()
            self.automatic_optimization = not manual
            self.net = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Tanh(), torch.nn.Linear(width, 1))

        def forward(self, x):
            return self.net(x)

        def loss(self, batch):
            return torch.nn.functional.mse_loss(self(batch[0]), batch[1])

        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("train_loss", loss)
            if manual:
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
            return loss

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.loss(batch))

        def test_step(self, batch, batch_idx):
            self.log("test_loss", self.loss(batch))

        def predict_step(self, batch, batch_idx):
            return self(batch[0])

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
            schedulers = torch.optim.lr_scheduler
            if plateau:
                scheduler = schedulers.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
                return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}
            by_step = {"scheduler": schedulers.ExponentialLR(optimizer, 0.97), "interval": "step"}
            return [optimizer], [by_step, schedulers.StepLR(optimizer, 2, 0.5)]

    torch.manual_seed(0)
    return Net()


def saver_of(library, folder):
    """A callback that saves wherever a ``ModelCheckpoint`` might."""

    class Saver(library.callbacks.Checkpoint if library is LIGHTNING else library.callbacks.ModelCheckpoint):
        def __init__(self):
            if library is LEYDEN:
                super().__init__(save_top_k=0)

        def setup(self, trainer, pl_module, stage):
            pass

        def state_dict(self):
            return {}

        def save(self, trainer, name):
            trainer.save_checkpoint(folder / f"{name}.ckpt")

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.save(trainer, f"batch-{trainer.current_epoch}-{batch_idx}")

        def on_validation_end(self, trainer, pl_module):
            if not trainer.sanity_checking:
                self.save(trainer, f"validation-{trainer.current_epoch}-{trainer.global_step}")

        def on_train_epoch_end(self, trainer, pl_module):
            self.save(trainer, f"epoch-{trainer.current_epoch}")

    return Saver()


def train(library, folder, case, resume=None, save=False):
    """Return everything that a run must end with."""
    options = dict(CASES[case])
    net = {name: options.pop(name) for name in ("manual", "plateau") if name in options}
    positioned = options.pop("positioned", False)
    callbacks = [saver_of(library, folder)] if save else []
    with silence():
        module = module_of(library, **net)
        trainer = quiet(
            library,
            folder,
            **{"max_epochs": EPOCHS, "num_sanity_val_steps": 0, "enable_checkpointing": save, **options},
            callbacks=callbacks,
        )
        trainer.fit(module, batches(positioned), batches(), ckpt_path=None if resume is None else str(resume))
    (optimizer,) = trainer.optimizers
    return {
        "weights": {name: weight.tolist() for name, weight in module.state_dict().items()},
        "moments": [state["exp_avg"].tolist() for state in optimizer.state.values()],
        "updates": [state["step"].item() for state in optimizer.state.values()],
        "rate": optimizer.param_groups[0]["lr"],
        "epoch": trainer.current_epoch,
        "step": trainer.global_step,
    }


CASES = {
    "plain": {},
    "accumulation": {"accumulate_grad_batches": 3},
    "validation within epochs": {"val_check_interval": 2},
    "manual": {"manual": True},
    "max_steps": {"max_epochs": -1, "max_steps": 15},
    "positioned loader": {"positioned": True},
}


@cache
def whole(library, case, folder):
    return train(library, folder, case, save=True)


def saved(folder, *kinds):
    found = sorted(path for kind in kinds for path in folder.glob(f"{kind}*.ckpt"))
    assert found
    return found


@pytest.mark.parametrize("case", CASES)
def test_leyden_goes_on_from_any_checkpoint_of_lightning_to_the_weights_of_the_uninterrupted_run(case, tmp_path):
    expected = whole(LIGHTNING, case, tmp_path)

    for path in saved(tmp_path, "batch", "validation", "epoch")[::2]:
        found = train(LEYDEN, tmp_path, case, resume=path)

        assert found == expected, path.name


@pytest.mark.parametrize("case", CASES)
def test_lightning_goes_on_from_the_end_of_any_epoch_of_leyden_to_the_weights_of_the_uninterrupted_run(case, tmp_path):
    expected = whole(LEYDEN, case, tmp_path)

    for path in saved(tmp_path, "epoch", f"batch-*-{BATCHES - 1}"):
        found = train(LIGHTNING, tmp_path, case, resume=path)

        assert found == expected, path.name


def test_lightning_goes_on_within_an_epoch_of_leyden_to_the_weights_of_the_uninterrupted_run(tmp_path):
    expected = whole(LEYDEN, "positioned loader", tmp_path)

    for path in saved(tmp_path, "batch")[::4]:
        found = train(LIGHTNING, tmp_path, "positioned loader", resume=path)

        assert found == expected, path.name


@pytest.mark.parametrize("case", ["plain", "validation within epochs", "manual", "max_steps"])
def test_lightning_goes_on_within_an_epoch_of_leyden_as_from_its_own_checkpoint(case, tmp_path):
    """Which is from the right step, but with the first batches of its data: Lightning cannot find the place again."""
    own, ours = tmp_path / "own", tmp_path / "ours"
    whole(LIGHTNING, case, own), whole(LEYDEN, case, ours)

    for path in saved(ours, "batch")[::4]:
        expected = train(LIGHTNING, tmp_path, case, resume=own / path.name)

        assert train(LIGHTNING, tmp_path, case, resume=path) == expected, path.name


def test_without_the_gradients_of_a_window_leyden_goes_on_as_lightning_does(tmp_path):
    """They are not in Lightning's file, and a loader that keeps its own position cannot be taken back."""
    CASES["window"] = {"positioned": True, "accumulate_grad_batches": 2}
    whole(LIGHTNING, "window", tmp_path)

    for path in saved(tmp_path, "batch-*-2"):
        expected = train(LIGHTNING, tmp_path, "window", resume=path)

        assert train(LEYDEN, tmp_path, "window", resume=path) == expected, path.name


def test_a_plateau_scheduler_goes_on_as_under_lightning(tmp_path):
    """The metric it would have read is not in the file: that one step is left out."""
    CASES["plateau"] = {"plateau": True}
    whole(LIGHTNING, "plateau", tmp_path)

    for path in saved(tmp_path, "epoch"):
        expected = train(LIGHTNING, tmp_path, "plateau", resume=path)

        assert train(LEYDEN, tmp_path, "plateau", resume=path) == expected, path.name


def callbacks_of(library, folder):
    checkpoint = library.callbacks.ModelCheckpoint(folder, monitor="val_loss", save_top_k=2, save_last=True)
    return [checkpoint, library.callbacks.EarlyStopping("val_loss", patience=3, min_delta=0.05)]


def with_callbacks(library, folder, epochs, resume=None):
    callbacks = callbacks_of(library, folder)
    with silence():
        trainer = quiet(library, folder, max_epochs=epochs, enable_checkpointing=True, callbacks=callbacks)
        trainer.fit(module_of(library), batches(), batches(), ckpt_path=resume)
    checkpoint, stopping = callbacks
    return {
        "best": (Path(checkpoint.best_model_path).name, checkpoint.best_model_score.item()),
        "files": sorted(path.name for path in folder.glob("*.ckpt")),
        "ranked": {Path(path).name: score.item() for path, score in checkpoint.best_k_models.items()},
        "waited": (stopping.wait_count, stopping.best_score.item(), stopping.stopped_epoch),
        "epoch": trainer.current_epoch,
    }


@pytest.mark.parametrize(("writer", "reader"), [(LIGHTNING, LEYDEN), (LEYDEN, LIGHTNING)], ids=["theirs", "ours"])
def test_callbacks_go_on_with_the_scores_and_files_of_the_other_library(writer, reader, tmp_path):
    expected = with_callbacks(writer, tmp_path / "whole", 5)
    with_callbacks(writer, tmp_path / "again", 2)

    found = with_callbacks(reader, tmp_path / "again", 5, resume=str(tmp_path / "again" / "last.ckpt"))

    assert found == expected


@pytest.mark.parametrize(("writer", "reader"), [(LIGHTNING, LEYDEN), (LEYDEN, LIGHTNING)], ids=["theirs", "ours"])
def test_weights_of_the_other_library_evaluate_and_predict_the_same(writer, reader, tmp_path):
    def results(library, path):
        with silence():
            trainer, module = quiet(library, tmp_path), module_of(library)
            (validated,) = trainer.validate(module, batches(), ckpt_path=path, verbose=False)
            (tested,) = trainer.test(module, batches(), ckpt_path=path, verbose=False)
            predicted = trainer.predict(module, batches(), ckpt_path=path)
        return validated, tested, [batch.tolist() for batch in predicted]

    whole(writer, "plain", tmp_path)
    path = str(tmp_path / f"epoch-{EPOCHS - 1}.ckpt")

    assert results(reader, path) == results(writer, path)


@pytest.mark.parametrize(("writer", "reader"), [(LIGHTNING, LEYDEN), (LEYDEN, LIGHTNING)], ids=["theirs", "ours"])
def test_a_module_is_rebuilt_from_the_checkpoint_of_the_other_library(writer, reader, tmp_path):
    expected = whole(writer, "plain", tmp_path)["weights"]

    module = type(module_of(reader)).load_from_checkpoint(tmp_path / f"epoch-{EPOCHS - 1}.ckpt")

    assert module.hparams == {"width": 8}
    assert {name: weight.tolist() for name, weight in module.state_dict().items()} == expected


def scaled(library):
    class Scaled(module_of(library).__class__):
        def __init__(self, scale, width=8):
            super().__init__(width)
            self.save_hyperparameters()
            self.scale = scale

    return Scaled


@pytest.mark.parametrize("writer", [LIGHTNING, LEYDEN], ids=["theirs", "ours"])
@pytest.mark.parametrize("reader", [LIGHTNING, LEYDEN], ids=["by-them", "by-us"])
def test_an_object_among_the_arguments_comes_back_for_who_trusts_the_file(writer, reader, tmp_path):
    module = scaled(writer)(Fraction(1, 3))
    with silence():
        trainer = quiet(writer, tmp_path, max_steps=1, limit_val_batches=0)
        trainer.fit(module, batches())
        trainer.save_checkpoint(tmp_path / "it.ckpt")

    rebuilt = scaled(reader).load_from_checkpoint(tmp_path / "it.ckpt", weights_only=False)
    raw = torch.load(tmp_path / "it.ckpt", weights_only=False)["hyper_parameters"]

    assert rebuilt.scale == raw["scale"] == Fraction(1, 3)


def stateful_data(library):
    class Counted(library.LightningDataModule):
        def __init__(self, size=2):
            super().__init__()
            self.save_hyperparameters()
            self.asked = 0

        def train_dataloader(self):
            self.asked += 1
            return batches()

        def state_dict(self):
            return {"asked": self.asked}

        def load_state_dict(self, state):
            self.asked = state["asked"]

    return Counted


@pytest.mark.parametrize(("writer", "reader"), [(LIGHTNING, LEYDEN), (LEYDEN, LIGHTNING)], ids=["theirs", "ours"])
def test_a_data_module_takes_back_its_state_and_its_arguments_from_the_other_library(writer, reader, tmp_path):
    Theirs, Ours = stateful_data(writer), stateful_data(reader)
    with silence():
        trainer = quiet(writer, tmp_path, max_epochs=1, limit_val_batches=0)
        trainer.fit(module_of(writer), datamodule=Theirs(size=3))
        trainer.save_checkpoint(tmp_path / "it.ckpt")
        again = Ours()
        trainer = quiet(reader, tmp_path, max_epochs=2, limit_val_batches=0)
        trainer.fit(module_of(reader), datamodule=again, ckpt_path=str(tmp_path / "it.ckpt"))

    rebuilt = Ours.load_from_checkpoint(tmp_path / "it.ckpt")

    assert again.asked == 2
    assert (rebuilt.asked, rebuilt.hparams) == (1, {"size": 3})


def test_a_checkpoint_has_the_entries_of_lightnings_and_one_of_its_own(tmp_path):
    whole(LIGHTNING, "plain", tmp_path / "theirs"), whole(LEYDEN, "plain", tmp_path / "ours")
    name = "batch-1-2.ckpt"

    theirs, ours = (torch.load(tmp_path / side / name, weights_only=True) for side in ("theirs", "ours"))

    assert set(ours) - set(theirs) == {"leyden"}
    assert set(theirs) <= set(ours)
    for key in ("epoch", "global_step", "pytorch-lightning_version", "hyper_parameters", "hparams_name"):
        assert ours[key] == theirs[key], key
    fit, other = ours["loops"]["fit_loop"], theirs["loops"]["fit_loop"]
    assert set(fit) == set(other)
    for counter in ("epoch_loop.batch_progress", "epoch_loop.state_dict", "epoch_progress"):
        assert fit[counter] == other[counter], counter
    step = "epoch_loop.automatic_optimization.optim_progress"
    assert fit[step] == other[step]
