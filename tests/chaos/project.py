"""The project in which the runs of a campaign are made: a module, a data module and a callback of its own."""

from __future__ import annotations

from pathlib import Path

CODE = '''
"""What the runs of a campaign are made of."""

import sys

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from leyden import Callback, LightningDataModule, LightningModule


def _mark(name):
    def hook(self, *args, **kwargs):
        sys.audit("chaos.mark", name)

    return hook


HOOKS = [name for name in vars(Callback) if name.startswith("on_") or name in ("setup", "teardown")]
Marks = type("Marks", (Callback,), {"__module__": __name__, **{name: _mark(name) for name in HOOKS}})


class TwoOptimizers(LightningModule):
    """Two halves, trained by hand: the first at each batch, the second at every other one."""

    automatic_optimization = False

    def __init__(self, features=8, width=8):
        super().__init__()
        self.first = torch.nn.Sequential(torch.nn.Linear(features, width), torch.nn.Dropout(0.2))
        self.second = torch.nn.Linear(width, 4)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.second(torch.relu(self.first(x))), y)

    def training_step(self, batch, batch_idx):
        one, two = self.optimizers()
        rate, _ = self.lr_schedulers()
        loss = self.loss(batch)
        one.zero_grad()
        self.manual_backward(loss)
        one.step()
        rate.step()
        if batch_idx % 2:
            two.step()
            two.zero_grad()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self.loss(batch))

    def on_train_epoch_end(self):
        self.lr_schedulers()[1].step()

    def configure_optimizers(self):
        one = torch.optim.Adam(self.first.parameters(), lr=0.01)
        two = torch.optim.SGD(self.second.parameters(), lr=0.05, momentum=0.9)
        rates = torch.optim.lr_scheduler.StepLR(one, 5, 0.9), torch.optim.lr_scheduler.ExponentialLR(two, 0.8)
        return [one, two], list(rates)


class Drawn(Dataset):
    """Points of four classes; with *noise* each is drawn anew whenever it is asked for."""

    def __init__(self, count, seed, noise):
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(count, 8, generator=generator)
        self.y = torch.randint(4, (count,), generator=generator)
        self.noise = noise

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        x = self.x[index]
        return (x + self.noise * torch.randn(8) if self.noise else x), self.y[index]


class Loaders(LightningDataModule):
    """Loaders with every setting that matters to a resume."""

    def __init__(self, workers=0, persistent=False, noise=0.0, prefetch=None):
        super().__init__()
        self.options = {"num_workers": workers, "persistent_workers": persistent, "prefetch_factor": prefetch}
        self.noise = noise

    def train_dataloader(self):
        return DataLoader(Drawn(60, 1, self.noise), 6, shuffle=True, **self.options)

    def val_dataloader(self):
        return DataLoader(Drawn(18, 2, 0.0), 6, **self.options)

    def test_dataloader(self):
        return DataLoader(Drawn(18, 3, 0.0), 6, **self.options)
'''
CONFIGS = {
    "model/two_optimizers": "_target_: mine.TwoOptimizers\n",
    "data/loaders": "_target_: mine.Loaders\nworkers: 0\npersistent: false\nnoise: 0.0\nprefetch: null\n",
    "callbacks/marks": "marks:\n  _target_: mine.Marks\n",
}


def write(folder: Path) -> Path:
    """Write the project to *folder*, which is made, and return it."""
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text(CODE)
    for name, text in CONFIGS.items():
        file = folder / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder
