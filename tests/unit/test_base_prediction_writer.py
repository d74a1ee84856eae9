"""A prediction writer gets every prediction with the indices of its samples, in the order of the loader."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, TensorDataset

from leyden import Trainer
from leyden.callbacks import BasePredictionWriter
from leyden.errors import ConfigurationError
from leyden.testing import TinyModule


class Numbers(TinyModule):
    """Predicts the numbers it is given."""

    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        return batch[0]


class Writer(BasePredictionWriter):
    """Keeps what it is to write."""

    def __init__(self, write_interval):
        super().__init__(write_interval)
        self.batches, self.epochs = [], []

    def write_on_batch_end(self, trainer, pl_module, prediction, batch_indices, batch, batch_idx, dataloader_idx):
        self.batches.append((prediction.tolist(), batch_indices, batch[0].tolist(), batch_idx, dataloader_idx))

    def write_on_epoch_end(self, trainer, pl_module, predictions, batch_indices):
        self.epochs.append((predictions, batch_indices))


class Stream(IterableDataset):
    """A data set without indices."""

    def __iter__(self):
        return iter([(torch.tensor(0),), (torch.tensor(1),)])


class Batches:
    """Something to iterate over that is no loader."""

    def __iter__(self):
        return iter([[torch.arange(2)]])


def numbers(count):
    return TensorDataset(torch.arange(count))


def predict(writer, loaders, **options):
    trainer = Trainer(callbacks=[writer], logger=False, enable_progress_bar=False, enable_checkpointing=False)
    return trainer.predict(Numbers(), loaders, **options)


def shuffled(**options):
    return DataLoader(numbers(7), batch_size=3, shuffle=True, generator=torch.Generator().manual_seed(3), **options)


@pytest.mark.parametrize("workers", [0, 2])
def test_indices_are_those_of_the_samples_whatever_the_order(workers):
    writer = Writer("batch")

    predict(writer, shuffled(num_workers=workers))

    assert [indices for _, indices, *_ in writer.batches] == [prediction for prediction, *_ in writer.batches]
    assert sorted(index for _, indices, *_ in writer.batches for index in indices) == list(range(7))
    assert [(batch, loader) for *_, batch, loader in writer.batches] == [(0, 0), (1, 0), (2, 0)]


def test_asking_for_indices_does_not_change_the_order():
    writer = Writer("batch")
    plain = [batch[0].tolist() for batch in shuffled()]

    predict(writer, shuffled())

    assert [prediction for prediction, *_ in writer.batches] == plain


def test_the_loader_given_is_left_as_it_was():
    loader = shuffled()
    before = dict(vars(loader))

    predict(Writer("batch"), loader)

    assert dict(vars(loader)) == before


def test_all_predictions_come_at_the_end_even_if_the_caller_wants_none():
    writer = Writer("epoch")
    loader = DataLoader(numbers(5), batch_size=2)

    returned = predict(writer, loader, return_predictions=False)

    assert returned is None
    assert writer.batches == []
    (predictions, indices), *more = writer.epochs
    assert more == []
    assert [each.tolist() for each in predictions] == [[0, 1], [2, 3], [4]]
    assert indices == [[[0, 1], [2, 3], [4]]]


def test_both_intervals_at_once_over_several_loaders():
    writer = Writer("batch_and_epoch")
    sampler = BatchSampler(RandomSampler(range(4), generator=torch.Generator().manual_seed(1)), 2, drop_last=False)

    predict(writer, [DataLoader(numbers(2), batch_size=2), DataLoader(numbers(4), batch_sampler=sampler)])

    assert [(batch, loader) for *_, batch, loader in writer.batches] == [(0, 0), (0, 1), (1, 1)]
    predictions, indices = writer.epochs[0]
    assert [[each.tolist() for each in loader] for loader in predictions] == indices
    assert indices[0] == [[0, 1]]


def test_limits_apply_to_indices_too():
    writer = Writer("epoch")
    trainer = Trainer(callbacks=[writer], logger=False, enable_progress_bar=False, limit_predict_batches=1)

    trainer.predict(Numbers(), DataLoader(numbers(6), batch_size=2, num_workers=1))

    assert writer.epochs[0][1] == [[[0, 1]]]


@pytest.mark.parametrize(
    "loader",
    [DataLoader(Stream(), batch_size=2), DataLoader(numbers(2), batch_size=None), Batches()],
    ids=["stream", "no batches", "no loader"],
)
def test_where_nobody_can_tell_indices_are_empty(loader):
    writer = Writer("batch_and_epoch")

    with pytest.warns(UserWarning, match="indices of the samples in the batches of a .* cannot be told"):
        predict(writer, loader)

    assert all(indices == [] for _, indices, *_ in writer.batches)
    assert writer.batches
    assert writer.epochs[0][1] == [[]]


def test_a_missing_method_is_named():
    with pytest.raises(NotImplementedError, match=r"BasePredictionWriter.write_on_batch_end is missing"):
        predict(BasePredictionWriter(), DataLoader(numbers(2)))


def test_an_unknown_interval_is_refused():
    with pytest.raises(ConfigurationError, match=r"write_interval='step'.*Expected 'batch', 'epoch' or"):
        Writer("step")


@pytest.mark.parametrize(
    ("interval", "on_batch", "on_epoch"),
    [("batch", True, False), ("epoch", False, True), ("batch_and_epoch", True, True)],
)
def test_the_interval_tells_when_it_writes(interval, on_batch, on_epoch):
    writer = BasePredictionWriter(interval)

    assert writer.interval == interval
    assert (writer.interval.on_batch, writer.interval.on_epoch) == (on_batch, on_epoch)
