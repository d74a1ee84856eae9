"""Averaged weights are what is validated, saved and kept, and a resumed run averages on as if it had never stopped."""

import signal

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import leyden as L
from leyden.callbacks import EMAWeightAveraging, ModelCheckpoint, WeightAveraging
from leyden.errors import Interrupted


class Classifier(L.LightningModule):
    """Has parameters, buffers and dropout."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2))
        self.validated = []

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.validated.append(self.layers[0].weight.detach().clone())
        self.log("val_loss", F.cross_entropy(self.layers(batch[0]), batch[1]))

    def test_step(self, batch, batch_idx):
        self.validated.append(self.layers[0].weight.detach().clone())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.05)


def loader():
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), 8)


def trainer_of(folder, *callbacks, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "num_sanity_val_steps": 0}
    return L.Trainer(**{"max_epochs": 3, "default_root_dir": folder, **quiet, **options}, callbacks=list(callbacks))


def fit(folder, callback, ckpt_path=None, module_class=Classifier, **options):
    """Train from seed 3, with a checkpoint after every batch; return the module and the trainer."""
    L.seed_everything(3, verbose=False)
    module = module_class()
    every = ModelCheckpoint(folder / "every", filename="{step}", every_n_train_steps=1, save_top_k=-1)
    epochs = ModelCheckpoint(folder / "epochs", filename="{epoch}", monitor="val_loss", save_top_k=-1)
    trainer = trainer_of(folder, callback, epochs, every, **options)
    trainer.fit(module, loader(), loader(), ckpt_path=ckpt_path)
    return module, trainer


def ema():
    return EMAWeightAveraging(decay=0.8)


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_average_is_what_the_formula_says(tmp_path):
    states = []

    class Watching(Classifier):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            states.append(self.layers[3].weight.detach().clone())

    module, _ = fit(
        tmp_path, EMAWeightAveraging(decay=0.8, update_every_n_steps=2), module_class=Watching, max_epochs=1
    )

    expected = 0.8 * (0.8 * states[0] + (1 - 0.8) * states[2]) + (1 - 0.8) * states[4]
    torch.testing.assert_close(module.layers[3].weight, expected)


def test_every_validation_sees_the_average_and_training_goes_on_without_it(tmp_path):
    bare, _ = fit(tmp_path / "bare", L.Callback())

    module, _ = fit(tmp_path / "averaged", ema())

    assert not torch.equal(module.validated[0], bare.validated[0])
    saved = torch.load(tmp_path / "averaged/every/step=15.ckpt", weights_only=True)
    assert equal(saved["current_model_state"], bare.state_dict())
    assert torch.equal(module.validated[-1], module.layers[0].weight)
    assert equal(saved["state_dict"], module.state_dict())


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-true"])
@pytest.mark.parametrize(
    "make",
    [
        ema,
        WeightAveraging,
        lambda: WeightAveraging(use_buffers=False),
        lambda: EMAWeightAveraging(decay=0.5, update_every_n_steps=0, update_starting_at_epoch=0),
    ],
    ids=["exponential", "equal", "buffers copied", "by epochs"],
)
@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_resuming_from_any_checkpoint_equals_the_uninterrupted_run(tmp_path, make, precision):
    options = {"precision": precision, "accumulate_grad_batches": 2}
    expected, trainer = fit(tmp_path / "whole", make(), **options)
    saved = [*sorted((tmp_path / "whole/every").glob("*.ckpt"))[::2], *(tmp_path / "whole/epochs").glob("*.ckpt")]

    assert len(saved) >= 7
    for number, path in enumerate(saved):
        module, resumed = fit(tmp_path / str(number), make(), ckpt_path=path, **options)

        assert equal(module.state_dict(), expected.state_dict()), path.name
        assert equal(_saved(resumed, tmp_path)["averaging_state"], _saved(trainer, tmp_path)["averaging_state"])


def _saved(trainer, folder):
    trainer.save_checkpoint(folder / "now.ckpt")
    return torch.load(folder / "now.ckpt", weights_only=True)


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_a_checkpoint_saved_after_the_fit_can_be_trained_further_exactly(tmp_path):
    expected, _ = fit(tmp_path / "whole", ema(), max_epochs=4)
    half, trainer = fit(tmp_path / "half", ema(), max_epochs=2)
    trainer.save_checkpoint(tmp_path / "after.ckpt")

    module, _ = fit(tmp_path / "rest", ema(), ckpt_path=tmp_path / "after.ckpt", max_epochs=4)

    saved = torch.load(tmp_path / "after.ckpt", weights_only=True)
    assert equal(saved["state_dict"], half.state_dict())
    assert not equal(saved["current_model_state"], half.state_dict())
    assert equal(module.state_dict(), expected.state_dict())


class Stopped(Classifier):
    """Sends a signal to its own process in the middle of a validation."""

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        if batch_idx == 1 and self.current_epoch == 1:
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_a_run_stopped_while_the_module_holds_the_average_loses_no_weights(tmp_path):
    expected, _ = fit(tmp_path / "whole", ema())
    stopped = []

    class Kept(Stopped):
        def __init__(self):
            super().__init__()
            stopped.append(self)

    with pytest.raises(Interrupted) as caught:
        fit(tmp_path / "stopped", ema(), module_class=Kept)
    module, _ = fit(tmp_path / "again", ema(), ckpt_path=caught.value.checkpoint)

    assert equal(module.state_dict(), expected.state_dict())
    saved = torch.load(caught.value.checkpoint, weights_only=True)
    assert equal(saved["current_model_state"], stopped[0].state_dict())
    assert not equal(saved["current_model_state"], saved["state_dict"])


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_an_average_may_begin_with_the_weights_of_a_checkpoint_without_one(tmp_path):
    fit(tmp_path / "bare", L.Callback(), max_epochs=1)
    path = tmp_path / "bare/every/step=5.ckpt"
    never = EMAWeightAveraging(update_every_n_steps=0)

    with pytest.warns(UserWarning, match="written without WeightAveraging"):
        module, _ = fit(tmp_path / "more", never, ckpt_path=path, max_epochs=2)

    assert equal(module.state_dict(), torch.load(path, weights_only=True)["state_dict"])


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_a_test_of_a_checkpoint_sees_its_average(tmp_path):
    module, trainer = fit(tmp_path, ema())
    path = tmp_path / "every/step=8.ckpt"

    trainer.test(module, loader(), ckpt_path=path, verbose=False)

    assert torch.equal(module.validated[-1], torch.load(path, weights_only=True)["state_dict"]["layers.0.weight"])


def test_a_module_that_makes_its_layers_late_can_be_averaged(tmp_path):
    class Late(Classifier):
        def __init__(self):
            super().__init__()
            self.late = None

        def configure_model(self):
            if self.late is None:
                self.late = nn.Linear(2, 2)

        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self.late(self.layers(batch[0])), batch[1])

    module, trainer = fit(tmp_path, ema(), module_class=Late, max_epochs=1)

    assert equal(_saved(trainer, tmp_path)["state_dict"], module.state_dict())


def test_a_module_that_is_not_averaged_is_saved_as_it_is(tmp_path):
    _, trainer = fit(tmp_path, ema(), max_epochs=1)
    other = Classifier()

    trainer.test(other, loader(), verbose=False)

    assert equal(_saved(trainer, tmp_path)["state_dict"], other.state_dict())


@pytest.mark.parametrize(
    ("arguments", "steps", "epochs"),
    [
        ({}, [0, 1, 2, 3, 4, 5], []),
        ({"update_every_n_steps": 2}, [0, 2, 4], []),
        ({"update_every_n_steps": 2, "update_starting_at_step": 3}, [4], []),
        ({"update_every_n_steps": 0, "update_starting_at_epoch": 4}, [], [4, 5]),
    ],
)
def test_updates_happen_when_they_were_asked_for(arguments, steps, epochs):
    callback = EMAWeightAveraging(**arguments)

    assert [index for index in range(6) if callback.should_update(step_idx=index)] == steps
    assert [index for index in range(6) if callback.should_update(epoch_idx=index)] == epochs
