"""A classifier in the manner of the first tutorial: hyper-parameters, metrics, callbacks, the best checkpoint."""

import json
from argparse import ArgumentParser

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.callbacks.lr_monitor import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split
from torchmetrics.classification import MulticlassAccuracy


class Blobs(L.LightningDataModule):
    def __init__(self, samples: int = 300, batch_size: int = 32):
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage: str):
        generator = torch.Generator().manual_seed(7)
        labels = torch.randint(3, (self.hparams.samples,), generator=generator)
        centers = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 4.0]])
        points = centers[labels] + torch.randn(len(labels), 2, generator=generator)
        parts = random_split(TensorDataset(points, labels), [0.7, 0.2, 0.1], generator=generator)
        self.train, self.val, self.test = parts

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=self.hparams.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=self.hparams.batch_size)

    def test_dataloader(self):
        return DataLoader(self.test, batch_size=self.hparams.batch_size)


class Classifier(L.LightningModule):
    def __init__(self, width: int = 16, lr: float = 0.05):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 3))
        self.accuracy = MulticlassAccuracy(num_classes=3)

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        self.accuracy(logits, y)
        self.log("val_loss", F.cross_entropy(logits, y), prog_bar=True)
        self.log("val_acc", self.accuracy)

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log("test_acc", (self(x).argmax(1) == y).float().mean())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.max_epochs)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "epoch"}}


def main():
    parser = ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    L.seed_everything(42, workers=True)
    model, data = Classifier(), Blobs()
    checkpoint = ModelCheckpoint(monitor="val_loss", filename="{epoch}-{val_loss:.2f}")
    trainer = L.Trainer(
        max_epochs=arguments.epochs,
        accelerator="cpu",
        logger=CSVLogger("logs"),
        callbacks=[checkpoint, EarlyStopping("val_loss", patience=3), LearningRateMonitor("epoch")],
        log_every_n_steps=1,
        enable_progress_bar=False,
    )
    trainer.fit(model, datamodule=data)
    val_loss = trainer.callback_metrics["val_loss"].item()
    (tested,) = trainer.test(model, datamodule=data, ckpt_path="best", verbose=False)
    best = Classifier.load_from_checkpoint(checkpoint.best_model_path)
    with open("result.json", "w") as file:
        json.dump(
            {
                "test_acc": tested["test_acc"],
                "val_loss": val_loss,
                "best": checkpoint.best_model_path.split("/")[-1],
                "weights": [each.tolist() for each in best.net.parameters()],
                "width": best.hparams.width,
                "steps": trainer.global_step,
            },
            file,
        )


if __name__ == "__main__":
    main()
