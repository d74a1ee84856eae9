"""Small fits with DeepSpeed and with data parallelism; rank 0 writes what each of them came to into ``FOLDER/NAME.pt``.

    torchrun --nproc-per-node 2 tests/third_party/programs/deepspeed_fits.py FOLDER NAME ...

All of them run one after the other in the same processes: starting those takes longer than any of the fits.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import leyden as L
from leyden.runs.digest import of_weights
from leyden.strategies.deepspeed import DeepSpeedStrategy

SMALL = {"allgather_bucket_size": 1000, "reduce_bucket_size": 1000}
WINDOWS = {"accumulate_grad_batches": 4, "gradient_clip_val": 0.5}  # the last window of an epoch has two micro-batches


class Net(L.LightningModule):
    """Layers of odd sizes, which no number of ranks divides, two groups of parameters, and a layer that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.save_hyperparameters()
        self.layers = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 1))
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.register_buffer("seen", torch.zeros(()))
        self.losses: list[float] = []

    def forward(self, inputs):
        return self.layers(self.frozen(inputs))

    def training_step(self, batch, batch_idx):
        loss = (self(batch[0]) - batch[1]).pow(2).mean()
        self.seen += 1
        self.losses.append(loss.item())
        self.log("train_loss", loss, sync_dist=True, on_epoch=True)
        return loss

    def validation_step(self, batch):
        self.log("val_loss", (self(batch[0]) - batch[1]).pow(2).mean(), sync_dist=True)

    test_step = validation_step

    def configure_optimizers(self):
        groups = [{"params": self.layers[:2].parameters()}, {"params": self.layers[2:].parameters(), "lr": 0.02}]
        optimizer = torch.optim.AdamW(groups, lr=0.05)
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.5), "interval": "step"}]


class MadeLate(Net):
    """Its layers are made when they can be divided at once."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = self.frozen = None

    def configure_model(self):
        if self.layers is None:
            torch.manual_seed(7)
            self.layers = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 1))
            self.frozen = nn.Linear(6, 6).requires_grad_(False)
            self.held = sum(each.numel() for each in self.layers.parameters())


class SaveAt(L.Callback):
    """Save once, after so many batches."""

    def __init__(self, batches: int, path: Path):
        self.batches, self.path, self.seen = batches, path, 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen += 1
        if self.seen == self.batches:
            trainer.save_checkpoint(self.path)


def loader(count: int) -> DataLoader[Any]:
    """Data of *count* samples."""
    inputs = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), 4)


def trainer(**options: Any) -> L.Trainer:
    """A quiet trainer."""
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    return L.Trainer(**{"accelerator": "cpu", "max_epochs": 2, "num_sanity_val_steps": 1, **quiet, **options})


def fitted(strategy: Any, module: Any = None, ckpt_path: Any = None, **options: Any) -> dict[str, Any]:
    """Fit, and return what came of it."""
    module = Net() if module is None else module
    made = trainer(strategy=strategy, **options)
    made.fit(module, loader(48), loader(20), ckpt_path=ckpt_path)
    rates = [group["lr"] for group in made.optimizers[0].param_groups]
    path = Path(sys.argv[1], "after.ckpt")
    made.save_checkpoint(path)
    return {
        "loaded": of_weights(type(module).load_from_checkpoint(path)),
        "weights": {name: value.detach().clone() for name, value in module.state_dict().items()},
        "sha256": of_weights(module),
        "losses": module.losses,
        "rates": rates,
        "metrics": {name: float(value) for name, value in made.callback_metrics.items()},
        "tested": made.test(module, loader(20), verbose=False),
    }


def zero(stage: int, **options: Any) -> DeepSpeedStrategy:
    """DeepSpeed in pieces that are smaller than the module."""
    return DeepSpeedStrategy(stage=stage, **{**SMALL, **options})


class Cases:
    """Every method is a case; its name is the name of the file."""

    def __init__(self, folder: Path):
        self.folder = folder

    def ddp(self):
        return fitted("ddp", **WINDOWS)

    def ddp_late(self):
        return fitted("ddp", MadeLate())

    def late(self):
        module = MadeLate()
        return {**fitted(zero(3), module), "held": module.held}

    def offloaded(self):
        return fitted(zero(3, offload_optimizer=True, offload_parameters=True), **WINDOWS)

    def offloaded_2(self):
        return fitted(zero(2, offload_optimizer=True, cpu_checkpointing=True), **WINDOWS)

    def twice(self):
        """The module of one fit is that of the next one."""
        module = Net()
        fitted(zero(3), module, max_epochs=1, **WINDOWS)
        module.losses = []
        return fitted("ddp", module, max_epochs=1, **WINDOWS)

    def ddp_twice(self):
        module = Net()
        fitted("ddp", module, max_epochs=1, **WINDOWS)
        module.losses = []
        return fitted("ddp", module, max_epochs=1, **WINDOWS)

    def by_ddp(self):
        """Data parallelism goes on from what DeepSpeed has saved."""
        return fitted("ddp", None, self.folder / "saved_3_32-true.ckpt", **WINDOWS)

    def tested(self):
        """A checkpoint is evaluated by itself."""
        found = trainer(strategy=zero(3)).test(Net(), loader(20), self.folder / "end_3_32-true.ckpt", verbose=False)
        return {"tested": found}


def _pair(stage: int, precision: str) -> tuple[Any, Any]:
    path, end = f"saved_{stage}_{precision}.ckpt", f"end_{stage}_{precision}.ckpt"
    options = {"precision": precision, **WINDOWS}

    def saved(self: Cases) -> dict[str, Any]:
        saving = [SaveAt(10, self.folder / path), SaveAt(12, self.folder / end)]
        return fitted(zero(stage), callbacks=saving, **options)

    def resumed(self: Cases) -> dict[str, Any]:
        return fitted(zero(stage), None, self.folder / path, **options)

    return saved, resumed


for _stage in (1, 2, 3):
    for _precision in ("32-true", "bf16-mixed"):
        _names = (f"saved_{_stage}_{_precision}", f"resumed_{_stage}_{_precision}")
        for _name, _case in zip(_names, _pair(_stage, _precision), strict=True):
            setattr(Cases, _name, _case)


def main(folder: Path, names: list[str]) -> None:
    """Run the cases called *names*."""
    cases = Cases(folder)
    for name in names:
        found = getattr(cases, name)()
        if torch.distributed.get_rank() == 0:
            torch.save(found, folder / f"{name}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
