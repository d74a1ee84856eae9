"""LearningRateMonitor logs every learning rate under Lightning's name, in the row of the update that uses it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

from leyden import Callback, LightningModule, Trainer
from leyden.callbacks import LearningRateMonitor
from leyden.errors import ConfigurationError
from leyden.logger import Logger


class Rows(Logger):
    """A real logger that keeps its rows in memory."""

    name, version = "rows", 0

    def __init__(self):
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, params, *args, **kwargs):
        return None

    def of(self, key):
        return [(step, row[key]) for step, row in self.rows if key in row]


class Model(LightningModule):
    """Two layers, optimised as the test wants it."""

    def __init__(self, configure):
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 1)
        self.configure = configure

    def training_step(self, batch, batch_idx):
        loss = self.second(self.first(batch[0])).pow(2).mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return self.configure(self)

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=1)


class Manual(Model):
    """The same with two optimizers, stepped by hand."""

    def __init__(self, configure):
        super().__init__(configure)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(self.second(self.first(batch[0])).pow(2).mean())
            optimizer.step()


def train(monitor, module, root, before=(), **options):
    rows = Rows()
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[*before, monitor],
        logger=rows,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(root),
        **{"max_epochs": 2, "log_every_n_steps": 2, **options},
    )
    trainer.fit(module)
    return rows, trainer


def groups(module, *names):
    found = [{"params": module.first.parameters()}, {"params": module.second.parameters(), "lr": 0.2}]
    return [{**group, **({"name": name} if name else {})} for group, name in zip(found, names, strict=True)]


def decayed(module, **options):
    optimizer = SGD(module.parameters(), lr=0.8)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": StepLR(optimizer, 1, 0.5), **options}}


def test_rows_carry_the_rate_of_their_own_update(tmp_path):
    rows, _ = train(LearningRateMonitor("step"), Model(lambda module: decayed(module, interval="step")), tmp_path)

    assert rows.of("lr-SGD") == [(1, 0.4), (3, 0.1), (5, 0.025), (7, 0.00625)]
    assert [step for step, _ in rows.of("loss")] == [1, 3, 5, 7]


def test_an_interval_of_epochs_logs_once_at_the_start_of_each(tmp_path):
    rows, _ = train(LearningRateMonitor("epoch"), Model(decayed), tmp_path)

    assert rows.of("lr-SGD") == [(0, 0.8), (4, 0.4)]


def test_by_default_the_interval_is_that_of_the_scheduler(tmp_path):
    rows, _ = train(LearningRateMonitor(), Model(decayed), tmp_path)

    assert rows.of("lr-SGD") == [(0, 0.8), (4, 0.4)]


def test_an_accumulated_update_is_logged_once(tmp_path):
    module = Model(lambda module: decayed(module, interval="step"))

    rows, _ = train(LearningRateMonitor("step"), module, tmp_path, accumulate_grad_batches=2, log_every_n_steps=1)

    assert [step for step, _ in rows.of("lr-SGD")] == [0, 1, 2, 3]


def test_without_schedulers_the_rates_of_the_optimizers_are_logged(tmp_path):
    rows, trainer = train(LearningRateMonitor(), Model(lambda module: Adam(module.parameters(), lr=0.1)), tmp_path)

    assert rows.of("lr-Adam") == [(0, 0.1), (1, 0.1), (3, 0.1), (4, 0.1), (5, 0.1), (7, 0.1)]
    assert float(trainer.callback_metrics["lr-Adam"]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("names", "expected"),
    [((None, None), ["lr-SGD/pg1", "lr-SGD/pg2"]), (("body", "head"), ["lr-SGD/body", "lr-SGD/head"])],
)
def test_parameter_groups_have_names_of_their_own(tmp_path, names, expected):
    monitor = LearningRateMonitor("epoch")

    train(monitor, Model(lambda module: SGD(groups(module, *names), lr=0.1)), tmp_path)

    assert monitor.lrs == {expected[0]: [0.1, 0.1], expected[1]: [0.2, 0.2]}


def test_two_groups_of_one_name_are_refused(tmp_path):
    module = Model(lambda module: SGD(groups(module, "body", "body"), lr=0.1))

    with pytest.raises(ConfigurationError, match="same name: body"):
        train(LearningRateMonitor("epoch"), module, tmp_path)


def test_the_name_of_a_scheduler_wins(tmp_path):
    rows, _ = train(LearningRateMonitor("epoch"), Model(lambda module: decayed(module, name="rate")), tmp_path)

    assert rows.of("rate") == [(0, 0.8), (4, 0.4)]


def test_optimizers_of_one_kind_are_counted(tmp_path):
    monitor = LearningRateMonitor("epoch")

    def two(module):
        return [Adam(module.first.parameters(), lr=0.1), Adam(module.second.parameters(), lr=0.2)]

    train(monitor, Manual(two), tmp_path)

    assert monitor.lrs == {"lr-Adam": [0.1, 0.1], "lr-Adam-1": [0.2, 0.2]}


def test_a_group_added_during_training_takes_the_history_along(tmp_path):
    class Grow(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                trainer.optimizers[0].add_param_group({"params": pl_module.second.parameters(), "lr": 0.3})

    monitor = LearningRateMonitor("epoch")

    train(monitor, Model(lambda module: SGD(module.first.parameters(), lr=0.1)), tmp_path, before=[Grow()])

    assert monitor.lrs == {"lr-SGD/pg1": [0.1, 0.1], "lr-SGD/pg2": [0.3]}


def test_momentum_weight_decay_and_a_prefix_are_logged_if_asked_for(tmp_path):
    monitor = LearningRateMonitor("epoch", log_momentum=True, log_weight_decay=True, log_key_prefix="optim/")

    module = Model(lambda module: Adam(module.parameters(), lr=0.1, betas=(0.7, 0.9), weight_decay=0.01))
    rows, _ = train(monitor, module, tmp_path, max_epochs=1)

    assert rows.rows[0] == (
        0,
        {"optim/lr-Adam": 0.1, "optim/lr-Adam-momentum": 0.7, "optim/lr-Adam-weight_decay": 0.01},
    )


def test_without_a_logger_the_callback_is_refused(tmp_path):
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[LearningRateMonitor()],
        logger=False,
        max_epochs=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=str(tmp_path),
    )

    with pytest.raises(ConfigurationError, match="nowhere to log to"):
        trainer.fit(Model(lambda module: SGD(module.parameters(), lr=0.1)))


def test_an_unknown_interval_is_refused():
    with pytest.raises(ConfigurationError, match="'batch'"):
        LearningRateMonitor("batch")
