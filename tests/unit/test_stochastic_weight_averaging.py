"""Stochastic weight averaging ends with the mean of the last epochs, resumes exactly, and leaves nothing changed."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import leyden as L
from leyden.callbacks import LearningRateMonitor, ModelCheckpoint, StochasticWeightAveraging
from leyden.errors import ConfigurationError
from leyden.testing import RecordingLogger


class Classifier(L.LightningModule):
    """Has dropout, and batch norm and a scheduler if wanted."""

    def __init__(self, norm=True, scheduler="epoch"):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8) if norm else nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)
        )
        self.scheduler = scheduler
        self.starts = []

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self.layers(batch[0]), batch[1]))

    def on_train_epoch_start(self):
        self.starts.append({name: each.detach().clone() for name, each in self.named_parameters()})

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        if self.scheduler is None:
            return optimizer
        decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return [optimizer], [{"scheduler": decay, "interval": self.scheduler}]


def data():
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    return TensorDataset(x, (x[:, 0] > 0).long())


def swa(**options):
    return StochasticWeightAveraging(**{"swa_lrs": 0.02, "swa_epoch_start": 2, "annealing_epochs": 2, **options})


def fit(folder, callback, ckpt_path=None, arguments=None, loader=None, module_class=Classifier, **options):
    """Train from seed 3, with a checkpoint after every batch; return the module, the trainer and the rows."""
    L.seed_everything(3, verbose=False)
    module, rows = module_class(**arguments or {}), RecordingLogger()
    every = ModelCheckpoint(folder / "every", filename="{step}-{n}", every_n_train_steps=1, save_top_k=-1)
    epochs = ModelCheckpoint(folder / "epochs", filename="{epoch}", monitor="val_loss", save_top_k=-1)
    options = {"max_epochs": 4, "num_sanity_val_steps": 0, "log_every_n_steps": 1, **options}
    trainer = L.Trainer(
        callbacks=[callback, LearningRateMonitor(), epochs, every],
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=rows,
        **options,
    )
    loader = DataLoader(data(), 8, shuffle=True) if loader is None else loader
    trainer.fit(module, loader, DataLoader(data(), 20), ckpt_path=ckpt_path)
    return module, trainer, rows.rows


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("norm", [True, False])
def test_the_module_ends_with_the_mean_of_its_weights_at_the_starts_of_the_epochs(tmp_path, norm):
    module, trainer, _ = fit(tmp_path, swa(), arguments={"norm": norm})

    for name, weight in module.named_parameters():
        mean = torch.stack([start[name] for start in module.starts[1:4]]).mean(0)
        torch.testing.assert_close(weight, mean, msg=name)
    assert trainer.global_step == 20


def test_statistics_of_batch_norm_are_gathered_anew_for_the_average(tmp_path):
    module, _, _ = fit(tmp_path, swa())

    mean = module.layers[0](data().tensors[0]).mean(0)
    assert module.layers[1].momentum == 0.1
    assert int(module.layers[1].num_batches_tracked) == 5
    torch.testing.assert_close(module.layers[1].running_mean, mean)


def test_nothing_of_the_trainer_stays_changed(tmp_path):
    _, trainer, _ = fit(tmp_path, swa(), accumulate_grad_batches=2)

    assert (trainer.max_epochs, trainer.accumulate_grad_batches, trainer.forward_only) == (4, 2, False)


def test_nothing_of_the_trainer_stays_changed_after_an_exception(tmp_path):
    class Breaks(Classifier):
        def training_step(self, batch, batch_idx):
            if self.current_epoch == 4:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    callback = swa()
    kept = []

    class Keeping(Breaks):
        def __init__(self):
            super().__init__()
            kept.append(self)

    with pytest.raises(ZeroDivisionError):
        fit(tmp_path, callback, module_class=Keeping, accumulate_grad_batches=2)

    trainer = kept[0].trainer
    assert (trainer.max_epochs, trainer.accumulate_grad_batches, trainer.forward_only) == (4, 2, False)
    assert kept[0].layers[1].momentum == 0.1


def test_the_learning_rate_is_annealed_in_place_of_the_schedule(tmp_path):
    _, trainer, rows = fit(tmp_path, swa(swa_lrs=0.02, annealing_strategy="linear"), arguments={"norm": False})

    rates = dict.fromkeys(row["lr-SGD"] for _, row in rows if "lr-SGD" in row)
    assert list(rates) == pytest.approx([0.1, 0.09, 0.055, 0.02])
    assert [type(config.scheduler).__name__ for config in trainer.lr_scheduler_configs] == ["SWALR"]


CASES = {
    "batch norm, scheduler": ({}, {}, {}),
    "batch norm alone": ({"scheduler": None}, {}, {}),
    "accumulation": ({}, {}, {"accumulate_grad_batches": 3}),
    "neither": ({"norm": False, "scheduler": None}, {}, {}),
    "linear, own average": (
        {"norm": False},
        {"annealing_strategy": "linear", "avg_fn": lambda mean, new, count: 0.6 * mean + 0.4 * new},
        {},
    ),
}


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
@pytest.mark.parametrize("case", CASES)
def test_resuming_from_any_checkpoint_equals_the_uninterrupted_run(tmp_path, case):
    arguments, own, options = CASES[case]
    expected, trainer, rows = fit(tmp_path / "whole", swa(**own), arguments=arguments, **options)
    saved = [*sorted((tmp_path / "whole/every").glob("*.ckpt"))[::3], *(tmp_path / "whole/epochs").glob("*.ckpt")]

    assert len(saved) >= 6
    for number, path in enumerate(saved):
        module, resumed, later = fit(tmp_path / str(number), swa(**own), path, arguments, **options)

        assert equal(module.state_dict(), expected.state_dict()), path.name
        assert later == rows[len(rows) - len(later) :], path.name
        assert resumed.global_step == trainer.global_step
        assert [layer.momentum for layer in module.modules() if isinstance(layer, nn.BatchNorm1d)] in ([], [0.1])


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_a_run_stopped_while_it_gathers_statistics_gathers_the_rest_of_them(tmp_path):
    class Saves(Classifier):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            if self.current_epoch == 4 and batch_idx == 2:
                self.trainer.save_checkpoint(tmp_path / "middle.ckpt")

    expected, _, _ = fit(tmp_path / "whole", swa(), module_class=Saves)

    module, trainer, _ = fit(tmp_path / "rest", swa(), ckpt_path=tmp_path / "middle.ckpt")

    assert equal(module.state_dict(), expected.state_dict())
    assert (trainer.current_epoch, trainer.max_epochs, trainer.global_step) == (5, 4, 20)


def test_a_second_fit_of_one_callback_averages_anew(tmp_path):
    callback = swa()
    first, _, _ = fit(tmp_path / "first", callback)

    second, _, _ = fit(tmp_path / "second", callback)

    assert equal(first.state_dict(), second.state_dict())


def test_data_without_a_length_can_be_averaged(tmp_path):
    class Stream(IterableDataset):
        def __iter__(self):
            yield from zip(*data().tensors, strict=True)

    sized, _, _ = fit(tmp_path / "sized", swa(), loader=DataLoader(data(), 8))

    module, _, _ = fit(tmp_path / "stream", swa(), loader=DataLoader(Stream(), 8))

    assert equal(module.state_dict(), sized.state_dict())


def test_training_without_an_end_ends_with_the_average(tmp_path):
    module, _, _ = fit(tmp_path, swa(swa_epoch_start=1), arguments={"norm": False}, max_epochs=-1, max_steps=10)

    first, second = (start["layers.0.weight"] for start in module.starts)
    torch.testing.assert_close(module.layers[0].weight, (first + second) / 2)


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_a_late_beginning_is_said(tmp_path):
    fit(tmp_path / "bare", L.Callback(), max_epochs=2)

    with pytest.warns(UserWarning, match="begins in epoch 2, not in 1"):
        fit(tmp_path / "late", swa(), ckpt_path=tmp_path / "bare/epochs/epoch=1.ckpt", max_epochs=3)


def test_a_scheduler_that_steps_with_the_batches_is_replaced_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="once an epoch"):
        fit(tmp_path, swa(), arguments={"scheduler": "step"}, max_epochs=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"swa_lrs": 0}, "swa_lrs=0"),
        ({"swa_lrs": [0.1, -1.0]}, r"swa_lrs=\[0.1, -1.0\]"),
        ({"swa_lrs": []}, r"swa_lrs=\[\]"),
        ({"swa_epoch_start": 0}, "swa_epoch_start=0"),
        ({"swa_epoch_start": 1.5}, "swa_epoch_start=1.5"),
        ({"annealing_strategy": "tan"}, "annealing_strategy='tan'"),
        ({"avg_fn": 3}, "avg_fn=3"),
        ({"device": 3}, "device=3"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(arguments, said):
    with pytest.raises(ConfigurationError, match=said):
        swa(**arguments)


def test_a_share_of_no_end_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="max_epochs=-1"):
        fit(tmp_path, swa(swa_epoch_start=0.5), max_epochs=-1, max_steps=3)


def test_several_optimizers_are_refused(tmp_path):
    class Two(Classifier):
        automatic_optimization = False

        def configure_optimizers(self):
            return [torch.optim.SGD(self.parameters(), 0.1) for _ in range(2)]

    with pytest.raises(ConfigurationError, match="one optimizer"):
        fit(tmp_path, swa(), module_class=Two)
