"""Loader workers that import Lightning by themselves; how they are started is the first argument."""

import json
import sys

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Dataset


class Where(Dataset):
    """Each sample tells whether its worker sees the same Lightning as the program does."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        import pytorch_lightning

        there = pytorch_lightning.LightningModule.__module__ == "leyden.module"
        return torch.tensor([float(there and pytorch_lightning.Trainer is pl.Trainer)])


class Model(pl.demos.boring_classes.BoringModel):
    def training_step(self, batch, batch_idx):
        self.log("seen", batch.mean(), on_epoch=True, on_step=False)
        return self.layer(torch.randn(1, 32)).mean()


if __name__ == "__main__":
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.fit(Model(), DataLoader(Where(), num_workers=2, multiprocessing_context=sys.argv[1]))
    with open("result.json", "w") as file:
        json.dump({"seen": trainer.callback_metrics["seen"].item()}, file)
