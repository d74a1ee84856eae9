"""What makes a fit worthless is said once: no data, no loss, a loss that is no number, and rows that never come."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import leyden as L
from leyden.testing import RecordingLogger, TinyModule


def data(size=12):
    return TensorDataset(torch.randn(size, 2), torch.randn(size, 1))


def said(module, loader, **options):
    """Train; return what was said, and the trainer."""
    trainer = L.Trainer(**{
        "accelerator": "cpu",
        "max_epochs": 3,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        **options,
    })  # fmt: skip
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        trainer.fit(module, loader)
    return [str(each.message) for each in found], trainer


class Bare(L.LightningModule):
    """Logs nothing; its loss is *factor* times what it ought to be, or None."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.layer, self.factor = torch.nn.Linear(2, 1), factor

    def training_step(self, batch, batch_idx):
        return None if self.factor is None else self.layer(batch[0]).square().mean() * self.factor

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Manual(Bare):
    def __init__(self):
        super().__init__(None)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        self.optimizers().step()
        return super().training_step(batch, batch_idx)


class Alternating(Bare):
    def training_step(self, batch, batch_idx, optimizer_idx):
        return super().training_step(batch, batch_idx)

    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), lr=0.01), torch.optim.SGD(self.parameters(), lr=0.01)]


class Rarely(Bare):
    """Has a loss, or one that is a number, for the batch at *place* alone."""

    def __init__(self, place, otherwise):
        super().__init__()
        self.place, self.otherwise = place, otherwise

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss if batch_idx == self.place else self.otherwise and loss * self.otherwise


@pytest.mark.parametrize("kind", [Bare, Alternating])
def test_that_no_batch_has_a_loss_is_said_once(kind):
    found, _ = said(kind(None), DataLoader(data(), 4))

    assert len(found) == 1
    assert f"{kind.__name__}.training_step returned None for every batch of an epoch" in found[0]


@pytest.mark.parametrize("kind", [Bare, Alternating])
def test_that_all_losses_are_nan_is_said_once(kind):
    found, _ = said(kind(float("nan")), DataLoader(data(), 4))

    assert len(found) == 1
    assert f"the loss of {kind.__name__}.training_step is nan" in found[0]


LEARNING = {
    "usual": Bare,
    "manual": Manual,
    "first batch alone": lambda: Rarely(0, None),
    "last batch alone": lambda: Rarely(2, None),
    "first batch a number": lambda: Rarely(0, float("nan")),
    "infinite": lambda: Bare(float("inf")),
}


@pytest.mark.parametrize("kind", LEARNING)
def test_nothing_is_said_where_something_may_be_learned(kind):
    assert said(LEARNING[kind](), DataLoader(data(), 4), max_epochs=1)[0] == []


class Nothing(IterableDataset):
    def __init__(self, announced=None):
        self.announced = announced

    def __iter__(self):
        return iter(())

    def __len__(self):
        if self.announced is None:
            raise TypeError("unknown")
        return self.announced


EMPTY = {
    "no samples": (lambda: DataLoader(data(0), 4), "a DataLoader over a TensorDataset to train with is empty"),
    "all dropped": (lambda: DataLoader(data(3), 4, drop_last=True), "a DataLoader over a TensorDataset to train with"),
    "a list": (list, "a list to train with is empty"),
    "a stream": (lambda: DataLoader(Nothing(), 4), "a DataLoader over a Nothing yielded no batches"),
    "a stream that announces some": (lambda: DataLoader(Nothing(8), 4), "a DataLoader over a Nothing yielded no"),
    "a stream that announces none": (lambda: DataLoader(Nothing(0), 4), "a DataLoader over a Nothing yielded no"),
    "a generator that has been used up": (lambda: iter(()), "yielded no batches"),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_that_there_is_nothing_to_train_with_is_said_once(kind):
    make, words = EMPTY[kind]

    found, trainer = said(Bare(), make())

    assert len(found) == 1
    assert words in found[0]
    assert trainer.global_step == 0


def test_a_fit_without_a_limit_of_epochs_ends_where_there_is_nothing_left_to_read():
    batches = iter([(torch.ones(1, 2),)] * 3)

    found, trainer = said(Bare(), batches, max_epochs=-1, max_steps=10)

    assert trainer.global_step == 3
    assert len(found) == 1
    assert "yielded no batches" in found[0]


def test_a_limit_of_no_batches_is_no_surprise():
    assert said(Bare(), DataLoader(data(), 4), limit_train_batches=0)[0] == []


class Logging(Bare):
    def __init__(self, **how):
        super().__init__()
        self.how = how

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("loss", loss, **self.how)
        return loss


def test_that_a_fit_has_fewer_steps_than_there_are_between_two_rows_is_said_once_after_its_first_epoch():
    found, _ = said(Logging(), DataLoader(data(), 4), logger=RecordingLogger())

    assert len(found) == 1
    assert "this fit has 9 training steps, fewer than Trainer(log_every_n_steps=50): no row of loss" in found[0]
    assert "Set log_every_n_steps to at most 3" in found[0]


@pytest.mark.parametrize(("how", "options"), [
    ({}, {"log_every_n_steps": 3}),
    ({}, {"log_every_n_steps": 5}),  # in the second epoch
    ({}, {"logger": False}),
    ({}, {"fast_dev_run": True}),
    ({"on_step": False, "on_epoch": True}, {}),
    ({"logger": False}, {}),
], ids=str)  # fmt: skip
def test_nothing_is_said_of_rows_that_nobody_misses(how, options):
    found, _ = said(Logging(**how), DataLoader(data(), 4), **{"logger": RecordingLogger(), **options})

    assert found == []


def test_the_windows_of_accumulated_gradients_are_what_rows_are_counted_by():
    found, _ = said(
        Logging(), DataLoader(data(), 4), logger=RecordingLogger(), log_every_n_steps=7, accumulate_grad_batches=2
    )

    assert ["this fit has 6 training steps" in each for each in found] == [True]


def test_the_module_of_the_tests_learns():
    assert said(TinyModule(), DataLoader(data(), 4))[0] == []
