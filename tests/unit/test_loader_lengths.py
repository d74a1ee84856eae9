"""A loader's end is the end of the epoch, whatever its length says, and it is said once that the two differ."""

from __future__ import annotations

import random
import re
import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    SequentialSampler,
    TensorDataset,
)

import leyden as L
from leyden.callbacks import ModelCheckpoint, RichProgressBar, TQDMProgressBar
from leyden.combined_loader import CombinedLoader
from leyden.engine.lengths import is_certain
from tests.resumed_fits import Noisy, resume_from_all

ANNOUNCED = 10


class Stream(IterableDataset):
    """Yields *real* batches and announces another number."""

    def __init__(self, real, announced=ANNOUNCED):
        self.real, self.announced = real, announced

    def __len__(self):
        return self.announced

    def __iter__(self):
        return iter(torch.arange(4.0 * self.real).view(self.real, 1, 4) / 40)


class Estimating(Sampler):
    """Yields *real* indices and estimates another number."""

    def __init__(self, real, announced=ANNOUNCED):
        self.real, self.announced = real, announced

    def __len__(self):
        return self.announced

    def __iter__(self):
        return iter(range(self.real))


class InBatches(BatchSampler):
    """A batch sampler whose length is an estimate."""

    def __init__(self, real, announced=ANNOUNCED):
        super().__init__(SequentialSampler(range(real)), 1, drop_last=False)
        self.announced = announced

    def __len__(self):
        return self.announced


class OwnLoader:
    """No torch loader at all."""

    def __init__(self, real, announced=ANNOUNCED):
        self.real, self.announced = real, announced

    def __len__(self):
        return self.announced

    def __iter__(self):
        return iter(Stream(self.real))


class OwnDataLoader(DataLoader):
    """A torch loader that leaves some batches out, or adds some."""

    real = 0

    def __iter__(self):
        return iter(Stream(self.real))


def tensors(count):
    return TensorDataset(torch.arange(4.0 * count).view(count, 4) / 40)


def own_data_loader(real):
    made = OwnDataLoader(tensors(ANNOUNCED))
    made.real = real
    return made


KINDS = {
    "iterable": lambda real: DataLoader(Stream(real), batch_size=None),
    "sampler": lambda real: DataLoader(tensors(20), sampler=Estimating(real), collate_fn=lambda each: each[0][0][None]),
    "batch sampler": lambda real: DataLoader(tensors(20), batch_sampler=InBatches(real)),
    "own loader": OwnLoader,
    "own DataLoader": own_data_loader,
    "without batches": lambda real: DataLoader(tensors(20), batch_size=None, sampler=Estimating(real)),
    "side by side": lambda real: CombinedLoader(
        [DataLoader(Stream(real), batch_size=None), OwnLoader(3, 3)], "max_size"
    ),
    "in turns": lambda real: [OwnLoader(real), DataLoader(tensors(4))],
    "the shortest": lambda real: CombinedLoader([OwnLoader(real), DataLoader(tensors(15))], "min_size"),
}


class Module(L.LightningModule):
    """Counts what it sees."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.seen, self.last, self.validated, self.rates = [], [], [], []

    def training_step(self, batch, batch_idx):
        while isinstance(batch, (list, tuple)):
            batch = batch[0]
        self.seen.append(batch_idx)
        self.last.append(self.trainer.is_last_batch)
        return self.layer(batch.view(-1, 4)).square().mean()

    def validation_step(self, batch, batch_idx):
        if batch_idx == 0 and not self.trainer.sanity_checking:
            self.validated.append((self.trainer.current_epoch, self.trainer.fit_loop.epoch_loop.batch_idx + 1))
        self.log("val_loss", self.layer(batch[0]).square().mean())

    def on_train_epoch_end(self):
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)]


def trainer(**options):
    return L.Trainer(**{
        "accelerator": "cpu",
        "max_epochs": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        **options,
    })  # fmt: skip


def validation():
    return DataLoader(tensors(2))


def fit(loader, **options):
    """Train on *loader*; returns module, trainer and what was said."""
    module, one = Module(), trainer(**options)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        one.fit(module, loader, validation())
    ours = [str(each.message) for each in said if not str(each.message).startswith("Length of IterableDataset")]
    return module, one, ours


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("real", [8, 10, 12])
def test_the_end_of_the_loader_is_the_end_of_the_epoch(kind, real):
    module, one, said = fit(KINDS[kind](real), accumulate_grad_batches=3)

    assert module.seen == [*range(real)] * 2
    assert module.last == ([False] * (real - 1) + [True]) * 2
    assert one.global_step == 2 * -(-real // 3)
    assert module.validated == [(0, real), (1, real)]
    assert module.rates == [0.5, 0.25]
    assert len(said) == (real != ANNOUNCED)
    if said:
        assert re.search(f"announced {ANNOUNCED} batches with len\\(\\), and yielded {real}", said[0])


@pytest.mark.parametrize("real", [7, 8, 10, 11, 12])
@pytest.mark.parametrize(
    ("interval", "due"),
    [
        (1.0, lambda real: [real]),
        (0.5, lambda real: sorted({*range(5, real + 1, 5), real})),
        (5, lambda real: sorted({*range(5, real + 1, 5), real})),
        (4, lambda real: [4, *([8] if real >= 8 else [7]), *([12] if real == 12 else [])]),
        (3, lambda real: [*range(3, real + 1, 3), *([real] if real < 9 else [])]),
        (10, lambda real: [min(real, 10), *([real] if real > 10 else [])]),
        (1, lambda real: [*range(1, real + 1)]),
    ],
)
def test_validations_that_were_to_come_are_run_at_the_end(real, interval, due):
    module, _, _ = fit(OwnLoader(real), val_check_interval=interval)

    assert module.validated == [(epoch, batch) for epoch in range(2) for batch in due(real)]


def test_an_interval_across_epochs_counts_the_batches_that_there_were():
    module, _, _ = fit(OwnLoader(8), val_check_interval=6, check_val_every_n_epoch=None)

    assert module.validated == [(0, 6), (1, 4)]


@pytest.mark.parametrize("bar", [TQDMProgressBar, RichProgressBar])
@pytest.mark.parametrize("real", [8, 12])
def test_bars_count_on(bar, real, capsys):
    one = trainer(callbacks=[bar()], enable_progress_bar=True)
    with pytest.warns(UserWarning, match=f"announced 10 batches with len\\(\\), and yielded {real}"):
        one.fit(Module(), OwnLoader(real), OwnLoader(real))

    shown = "".join(capsys.readouterr())
    assert f"{real}/" in shown


def test_a_limit_is_obeyed_and_what_is_missing_below_it_is_seen():
    """A loader without a length that ends before the limit has an end all the same."""

    class Unsized(OwnLoader):
        __len__ = None

    for loader, limit, real in [
        (OwnLoader(8), 9, 8),
        (OwnLoader(12), 9, 9),
        (OwnLoader(12), 11, 11),
        (OwnLoader(12), 0.5, 5),
        (OwnLoader(4), 0.5, 4),
        (Unsized(8), 9, 8),
        (Unsized(8), 5, 5),
    ]:
        module, one, _ = fit(loader, limit_train_batches=limit, accumulate_grad_batches=3)

        assert module.seen == [*range(real)] * 2
        assert module.last == ([False] * (real - 1) + [True]) * 2
        assert one.global_step == 2 * -(-real // 3)
        assert module.validated == [(0, real), (1, real)]


def test_nothing_is_fetched_beyond_a_limit():
    fetched = []

    class Noting(OwnLoader):
        def __iter__(self):
            for index, batch in enumerate(super().__iter__()):
                fetched.append(index)
                yield batch

    fit(Noting(12), limit_train_batches=4, max_epochs=1)

    assert fetched == [0, 1, 2, 3]


def test_a_last_window_weighs_as_much_as_every_other_one():
    """The mean over the last, shorter window is that of a loader which announces it rightly."""

    def gradients(loader):
        found = []

        class Noting(Module):
            def on_before_optimizer_step(self, optimizer):
                found.append(self.layer.weight.grad.clone())

            def training_step(self, batch, batch_idx):
                return (self.layer.weight * batch[0]).sum()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer(accumulate_grad_batches=4, max_epochs=1).fit(Noting(), loader)
        return torch.stack(found)

    due = torch.stack([torch.stack(list(Stream(10)))[at].mean(0) for at in ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9])])

    assert torch.allclose(gradients(OwnLoader(10, announced=14)), due)
    assert torch.allclose(gradients(OwnLoader(10, announced=9)), due)
    assert torch.allclose(gradients(OwnLoader(10)), due)


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
@pytest.mark.parametrize("real", [8, 12])
def test_evaluations_and_predictions_end_with_the_loader(real, stage):
    class Evaluated(Module):
        def __init__(self):
            super().__init__()
            self.batches = []

        def step(self, batch, batch_idx, dataloader_idx=0):
            self.batches.append((dataloader_idx, batch_idx))
            return batch_idx

        validation_step = test_step = predict_step = step

    module = Evaluated()
    with pytest.warns(UserWarning, match=f"announced 10 batches with len\\(\\), and yielded {real}"):
        getattr(trainer(), stage)(module, [OwnLoader(real), DataLoader(tensors(3))])

    assert module.batches == [*((0, index) for index in range(real)), *((1, index) for index in range(3))]


def test_a_sanity_check_and_a_limited_validation_are_as_long_as_they_were_asked_to_be():
    for length in (4, 20):
        module = Module()
        one = trainer(num_sanity_val_steps=2, limit_val_batches=3, max_epochs=1)
        counted = []

        class Counting(L.Callback):
            def on_validation_batch_end(self, trainer, *_, counted=counted):
                counted.append(trainer.sanity_checking)

        one.callbacks.append(Counting())
        one.fit(module, validation(), OwnLoader(length, length - 1))

        assert counted == [True] * 2 + [False] * 3


def test_checkpoints_come_at_the_end_of_every_epoch(tmp_path):
    every_epoch = ModelCheckpoint(tmp_path / "epochs", save_top_k=-1, filename="{epoch}-{step}")
    monitored = ModelCheckpoint(tmp_path / "best", monitor="val_loss", save_top_k=-1, filename="{epoch}-{step}")
    fit(OwnLoader(8), callbacks=[every_epoch, monitored], enable_checkpointing=True, accumulate_grad_batches=3)

    for folder in ("epochs", "best"):
        assert sorted(each.name for each in (tmp_path / folder).iterdir()) == [
            "epoch=0-step=3.ckpt",
            "epoch=1-step=6.ckpt",
        ]


class Planned(Module):
    """Its schedule is planned for the number of updates that was announced."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=self.trainer.estimated_stepping_batches)
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]


@pytest.mark.parametrize("real", [8, 12])
def test_a_schedule_of_as_many_updates_as_were_announced_ends_before_or_after_them(real):
    module, one = Planned(), trainer()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        one.fit(module, OwnLoader(real))

    assert one.global_step == 2 * real
    assert ["OneCycleLR has come to its end" in str(each.message) for each in said].count(True) == (real == 12)
    if real == 12:
        assert module.rates[1] < 0.02  # what torch gives for the step behind its last one


def test_a_schedule_that_is_too_short_by_itself_is_refused_as_torch_does():
    class Short(Module):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=15)
            return [optimizer], [{"scheduler": cycle, "interval": "step"}]

    with pytest.raises(ValueError, match="Tried to step 16 times"):
        trainer().fit(Short(), OwnLoader(10))


class NoisyStream(IterableDataset):
    """Draws from generators of all kinds, and announces another number of batches than it has."""

    def __init__(self, real, announced):
        self.real, self.announced = real, announced
        self.of_torch, self.of_numpy = torch.Generator().manual_seed(1), np.random.default_rng(2)

    def __len__(self):
        return self.announced

    def __iter__(self):
        for _ in range(self.real):
            own = torch.rand(3, 3, generator=self.of_torch) + self.of_numpy.random()
            yield torch.cat([torch.rand(3, 5) + random.random(), own, torch.full((3, 1), np.random.rand())], 1)


class Drawing(Sampler):
    """Draws each index when it is asked for it, and estimates how many there are."""

    def __init__(self, real, announced):
        self.real, self.announced = real, announced

    def __len__(self):
        return self.announced

    def __iter__(self):
        for _ in range(self.real):
            yield int(torch.randint(9, ()))


def noisy_stream(real, announced):
    return DataLoader(NoisyStream(real, announced), batch_size=None)


RESUMED = {
    "stream": lambda: (noisy_stream(3, 4), noisy_stream(3, 2)),
    "longer stream": lambda: (noisy_stream(4, 2), noisy_stream(2, 3)),
    "sampler": lambda: (DataLoader(Noisy(), 3, sampler=Drawing(9, 14)), DataLoader(Noisy(), 3, sampler=Drawing(9, 4))),
    "collection": lambda: ([noisy_stream(3, 4), noisy_stream(2, 2)], noisy_stream(2, 2)),
    "workers": lambda: (DataLoader(NoisyStream(3, 4), batch_size=None, num_workers=1), noisy_stream(2, 2)),
}


@pytest.mark.filterwarnings("ignore:a .* announced", "ignore:Length of IterableDataset")
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("kind", RESUMED)
def test_a_fit_resumed_from_any_place_of_such_an_epoch_equals_the_undisturbed_one(kind, accumulate, tmp_path):
    resume_from_all(tmp_path, RESUMED[kind], {"accumulate_grad_batches": accumulate}, every=2)


class Growing(Dataset):
    """A data set that the module makes larger and smaller between epochs."""

    size = 4

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return torch.full((4,), float(index))


def test_a_data_set_that_has_grown_or_shrunk_since_the_epoch_before_is_read_whole():
    data, sizes = Growing(), [4, 7, 2]

    class Resizing(Module):
        def on_train_epoch_start(self):
            data.size = sizes[self.current_epoch]

    module, one = Resizing(), trainer(max_epochs=3, accumulate_grad_batches=3)
    one.fit(module, DataLoader(data), validation())

    assert module.seen == [*range(4), *range(7), *range(2)]
    assert [index for index, last in enumerate(module.last) if last] == [3, 10, 12]
    assert one.global_step == 2 + 3 + 1
    assert module.validated == [(0, 4), (1, 7), (2, 2)]


CERTAIN = {
    "tensors": lambda: DataLoader(tensors(4), 2),
    "shuffled": lambda: DataLoader(tensors(4), 2, shuffle=True, drop_last=True),
    "subset": lambda: DataLoader(tensors(4), sampler=torch.utils.data.SubsetRandomSampler([1, 2])),
    "indices": lambda: DataLoader(tensors(4), sampler=[0, 1]),
    "a list": lambda: [torch.ones(2)],
}


@pytest.mark.parametrize("kind", CERTAIN)
def test_what_torch_counts_is_not_read_ahead(kind):
    assert is_certain(CERTAIN[kind]())


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in ("side by side", "in turns", "the shortest")])
def test_what_nobody_guarantees_is_not_believed(kind):
    assert not is_certain(KINDS[kind](3))
