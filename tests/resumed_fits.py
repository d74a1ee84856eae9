"""Tiny trainings in this process, stopped and resumed at every place where a checkpoint can be written."""

from __future__ import annotations

import csv
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, get_worker_info

import leyden as L
from leyden import rng
from leyden.combined_loader import CombinedLoader
from leyden.engine.data import members
from leyden.loggers import CSVLogger

SAMPLES, BATCH = 9, 3
EPOCHS = 2


class Noisy(Dataset):
    """Samples with numbers from every generator there is: the global ones, and those that the data set keeps."""

    def __init__(self, size=SAMPLES):
        self.size = size
        self.of_torch = torch.Generator().manual_seed(1)
        self.of_numpy = np.random.default_rng(2)
        self.of_python = random.Random(3)
        self.of_old_numpy = np.random.RandomState(4)

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return torch.tensor([index, *self.noise()])

    def noise(self):
        yield from (torch.rand(()).item(), np.random.rand(), random.random())
        yield torch.rand((), generator=self.of_torch).item()
        yield from (self.of_numpy.random(), self.of_python.random(), self.of_old_numpy.rand())
        yield 0 if get_worker_info() is None else get_worker_info().seed % 1000 / 1000


class Seen(nn.Module):
    """Remembers a sum of all batches it has seen, in a way in which their order matters."""

    def __init__(self):
        super().__init__()
        self.register_buffer("trace", torch.zeros(9, dtype=torch.float64))

    def forward(self, batch):
        self.trace = self.trace * 0.9 + batch.double().sum(0)


def joined(batch):
    """Return the batches of loaders that are read side by side as one; of loaders at their end there is none."""
    if not isinstance(batch, (dict, list)):
        return batch
    found = batch.values() if isinstance(batch, dict) else batch
    return torch.cat([each for each in found if each is not None])


class Learner(L.LightningModule):
    """Draws random numbers in its steps, and remembers what it has seen."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(9, 1)
        self.trained, self.validated = Seen(), Seen()

    def training_step(self, batch, batch_idx):
        batch = joined(batch)
        self.trained(batch)
        loss = self.layer(nn.functional.dropout(batch.float(), 0.3)).square().mean() * (1 + np.random.rand())
        self.log("loss", loss, on_step=True, on_epoch=True, batch_size=len(batch))
        return loss

    def on_validation_epoch_start(self):
        self.validated.trace.zero_()

    def on_validation_epoch_end(self):
        self.log("validated", self.validated.trace.sum())

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        batch = joined(batch)
        self.validated(batch)
        self.log("val_loss", self.layer(batch.float()).square().mean(), batch_size=len(batch))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Saver(L.Callback):
    """Writes a checkpoint wherever one may be written, and remembers from where."""

    runs_last = True

    def __init__(self, folder):
        self.folder = folder
        self.places = []

    def save(self, trainer, place):
        name = f"{len(self.places):03}-{place}"
        self.places.append(name)
        trainer.save_checkpoint(self.folder / f"{name}.ckpt")

    def on_train_start(self, trainer, module):
        self.save(trainer, "train_start")

    def on_train_epoch_start(self, trainer, module):
        self.save(trainer, "epoch_start")

    def on_train_batch_end(self, trainer, *_):
        self.save(trainer, "batch")

    def on_validation_start(self, trainer, module):
        self.save(trainer, "sanity" if trainer.sanity_checking else "validation_start")

    def on_validation_batch_end(self, trainer, *_):
        self.save(trainer, "sanity" if trainer.sanity_checking else "within_validation")

    def on_validation_end(self, trainer, module):
        self.save(trainer, "sanity" if trainer.sanity_checking else "validated")

    def on_train_epoch_end(self, trainer, module):
        self.save(trainer, "epoch_end")


def run(folder, make, options=None, resume_from=None, learner=Learner):
    """Train on what *make* returns; returns everything that has to be equal, and the places of the checkpoints."""
    folder.mkdir()
    L.seed_everything(3, verbose=False)
    module, saver = learner(), Saver(folder)
    trainer = L.Trainer(**{
        "max_epochs": EPOCHS,
        "default_root_dir": folder,
        "logger": CSVLogger(folder, name="", version=""),
        "callbacks": [] if resume_from else [saver],
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
        "val_check_interval": 0.5,
        **(options or {}),
    })  # fmt: skip
    if trainer.deterministic:
        trainer.sample_seed = 3  # as an Experiment does
    train, val = make()
    try:
        trainer.fit(module, train, val, ckpt_path=resume_from)
    finally:
        end_workers(trainer)
    with open(folder / "metrics.csv", encoding="utf-8") as file:
        rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
    return {**module.state_dict(), **flat(rng.capture())}, rows, saver.places


def end_workers(trainer):
    """End the processes of loaders that keep them."""
    for kind in ("train", "val"):
        for source in trainer._loaders.known(kind):
            CombinedLoader(members(source.loader)).reset()


def flat(state):
    """All numbers in the state of the generators, as tensors."""
    return {
        "python": torch.tensor(list(state["python"][1])),
        "numpy": torch.tensor(list(state["numpy"][1])),
        "position": torch.tensor(state["numpy"][2]),
        "torch": torch.tensor(list(state["torch"])),
    }


def resume_from_all(tmp_path, make, options=None, every=1, start=0, learner=Learner):
    """Resume one undisturbed run from every *every*-th of its places, and compare; returns all places."""
    expected, rows, places = run(tmp_path / "whole", make, options, learner=learner)
    chosen = places[start::every]
    assert chosen
    wrong = {}
    for number, place in enumerate(chosen):
        path = tmp_path / "whole" / f"{place}.ckpt"
        found, its_rows, _ = run(tmp_path / f"again{number}", make, options, resume_from=path, learner=learner)
        differs = [name for name, value in expected.items() if not torch.equal(value, found[name])]
        differs += ["rows"] * (its_rows != rows[len(rows) - len(its_rows) :])
        if differs:
            wrong[place] = differs
    assert not wrong
    return places


def loader(dataset=None, **options):
    return DataLoader(Noisy() if dataset is None else dataset, BATCH, **options)
