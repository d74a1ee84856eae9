"""Small fits of a divided module; rank 0 writes what each of them came to into ``FOLDER/NAME.pt``.

    torchrun --nproc-per-node 2 tests/distributed/sharded_fits.py FOLDER NAME ...

All fits named run one after the other in the same processes: starting them takes longer than any of the fits.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.utils.data import DataLoader, TensorDataset

import leyden as L
from leyden.callbacks import ModelCheckpoint
from leyden.divided import is_divided, whole
from leyden.errors import CheckpointError
from leyden.runs.digest import of_weights
from leyden.strategies import DDPStrategy
from leyden.strategies.fsdp import FSDPStrategy
from leyden.strategies.model_parallel import ModelParallelStrategy

SAMPLES = 48


class Net(L.LightningModule):
    """A few layers, a parameter of the module's own, and statistics that are no parameters."""

    def __init__(self, width: int = 10, statistics: bool = True):
        super().__init__()
        torch.manual_seed(5)
        self.save_hyperparameters()
        norm = nn.BatchNorm1d(width) if statistics else nn.Identity()
        self.layers = nn.Sequential(nn.Linear(6, width), nn.Tanh(), norm, nn.Linear(width, 1))
        self.scale = nn.Parameter(torch.full((1,), 0.7))
        self.losses: list[float] = []

    def forward(self, inputs):
        return self.layers(inputs) * self.scale

    def training_step(self, batch, batch_idx):
        loss = (self(batch[0]) - batch[1]).pow(2).mean() + self.scale.pow(2).sum() / 10
        self.losses.append(loss.item())
        self.log("train_loss", loss, sync_dist=True, on_epoch=True)
        return loss

    def validation_step(self, batch):
        self.log("val_loss", (self.layers(batch[0]) * self.scale - batch[1]).pow(2).mean(), sync_dist=True)

    test_step = validation_step

    def on_validation_epoch_end(self):
        self.log("outside", self(torch.ones(2, 6)).mean())  # nobody has fetched the parameters for this

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.05)
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.5), "interval": "step"}]


class TakingTurns(Net):
    """Two parts, each with an optimizer of its own, trained by hand."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.other = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 6))

    def training_step(self, batch, batch_idx):
        for at, optimizer in enumerate(self.optimizers()):
            found = self.other(self.layers(batch[0]))
            loss = (found - batch[0]).pow(2).mean() + found.pow(2).mean() * at
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.losses.append(loss.item())

    def on_validation_epoch_end(self):
        """Nothing: the scale is not used."""

    def configure_optimizers(self):
        self.scale.requires_grad_(False)
        return [torch.optim.Adam(part.parameters(), lr=0.02) for part in (self.layers, self.other)]


class MadeLate(Net):
    """Its layers are made on the meta device, when it is known who holds what."""

    def __init__(self):
        super().__init__()
        self.layers = None

    def configure_model(self):
        if self.layers is None:
            with torch.device("meta"):
                self.layers = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 1))


class Perceptron(L.LightningModule):
    """Two layers that are divided by hand: one by its columns, the other by its rows."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.up, self.down, self.head = nn.Linear(6, 8), nn.Linear(8, 4), nn.Linear(4, 1)
        self.losses: list[float] = []

    def configure_model(self):
        mesh = self.device_mesh
        if mesh is None or is_divided(self.up.weight):
            return
        if mesh["tensor_parallel"].size() > 1:
            plan = {"up": ColwiseParallel(), "down": RowwiseParallel()}
            parallelize_module(self, mesh["tensor_parallel"], plan)
        if mesh["data_parallel"].size() > 1:
            for layer in (self.up, self.down, self.head):
                fully_shard(layer, mesh=mesh["data_parallel"])

    def loss(self, batch):
        return (self.head(torch.tanh(self.down(torch.tanh(self.up(batch[0])))).clone()) - batch[1]).pow(2).mean()

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch):
        self.log("val_loss", self.loss(batch), sync_dist=True)
        self.log("samples", float(len(batch[0])), sync_dist=True, reduce_fx="sum")

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.05)


class SaveAt(L.Callback):
    """Save once, after so many batches: in the middle of a window of accumulation, say."""

    def __init__(self, batches: int, path: Path):
        self.batches, self.path, self.seen = batches, path, 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen += 1
        if self.seen == self.batches:
            trainer.save_checkpoint(self.path)


def loader(count: int, batch_size: int) -> DataLoader[Any]:
    """Data of *count* samples."""
    inputs = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size)


def trainer(**options: Any) -> L.Trainer:
    """A quiet trainer."""
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return L.Trainer(**{"accelerator": "cpu", "max_epochs": 2, "num_sanity_val_steps": 1, **quiet, **options})


def outcome(module: Any, made: L.Trainer) -> dict[str, Any]:
    """What a fit came to; every rank takes part."""
    return {
        "weights": {name: whole(value).detach().clone() for name, value in module.state_dict().items()},
        "sha256": of_weights(module),
        "losses": module.losses,
        "metrics": {name: float(value) for name, value in made.callback_metrics.items()},
        "steps": made.global_step,
    }


def fitted(
    strategy: Any, module: Any = None, ckpt_path: Any = None, batch_size: int = 4, **options: Any
) -> dict[str, Any]:
    """Fit, and return what came of it."""
    module = Net() if module is None else module
    made = trainer(strategy=strategy, **options)
    made.fit(module, loader(SAMPLES, batch_size), loader(20, batch_size), ckpt_path=ckpt_path)
    return outcome(module, made)


def fsdp(**options: Any) -> FSDPStrategy:
    """Divide each linear layer on its own."""
    return FSDPStrategy(**{"auto_wrap_policy": {nn.Linear}, **options})


class Cases:
    """Every method is a case; its name is the name of the file."""

    def __init__(self, folder: Path):
        self.folder = folder

    def ddp(self):
        return fitted(DDPStrategy())

    def fsdp(self):
        return fitted("fsdp")

    def units(self):
        return fitted(fsdp())

    def keeping(self):
        return fitted(fsdp(sharding_strategy="SHARD_GRAD_OP"))

    def copies(self):
        return fitted(fsdp(sharding_strategy="HYBRID_SHARD", device_mesh=(2, 1)))

    def offloaded(self):
        return fitted("fsdp_cpu_offload")

    def recomputed(self):
        return fitted(fsdp(activation_checkpointing_policy={nn.Linear}))

    def ddp_clipped(self):
        return fitted(DDPStrategy(), gradient_clip_val=0.05)

    def fsdp_clipped(self):
        return fitted(fsdp(), gradient_clip_val=0.05)

    def ddp_clipped_by_value(self):
        return fitted(DDPStrategy(), gradient_clip_val=0.05, gradient_clip_algorithm="value")

    def fsdp_clipped_by_value(self):
        return fitted(fsdp(), gradient_clip_val=0.05, gradient_clip_algorithm="value")

    def ddp_accumulated(self):
        return fitted(DDPStrategy(), accumulate_grad_batches=4)

    def fsdp_accumulated(self):
        return fitted(fsdp(), accumulate_grad_batches=4)

    def ddp_bf16(self):
        return fitted(DDPStrategy(), precision="bf16-mixed")

    def fsdp_bf16(self):
        return fitted(fsdp(), precision="bf16-mixed")

    def ddp_by_hand(self):
        return fitted(DDPStrategy(), TakingTurns())

    def fsdp_by_hand(self):
        return fitted(fsdp(), TakingTurns())

    def made_late(self):
        module = MadeLate()
        found = fitted(fsdp(), module)
        return {**found, "divided": all(is_divided(each) for each in module.parameters())}

    def twice(self):
        """A module that one trainer has divided is validated and trained by another."""
        module = Net()
        first = fitted(fsdp(), module, max_epochs=1)["metrics"]
        validated = trainer(strategy=fsdp()).validate(module, loader(20, 4), verbose=False)
        return {**fitted(fsdp(), module, max_epochs=1), "validated": (first["val_loss"], validated[0]["val_loss"])}

    def _saved(self, kind: str, precision: str, batches: int):
        path = self.folder / f"{kind}_{precision}.ckpt"
        options = {"accumulate_grad_batches": 4, "precision": precision}
        return fitted(fsdp(state_dict_type=kind), callbacks=[SaveAt(batches, path)], **options)

    def saved_without_statistics(self):
        """What one process can go on from to the same weights: no layer looks at how a batch is divided."""
        saving = [SaveAt(8, self.folder / "without.ckpt"), SaveAt(6, self.folder / "epoch.ckpt")]
        strategy = fsdp(state_dict_type="sharded")
        return fitted(strategy, Net(statistics=False), callbacks=saving, accumulate_grad_batches=4)

    def resumed_without_statistics(self):
        """As one rank."""
        path, strategy = self.folder / "without.ckpt", fsdp(state_dict_type="sharded")
        return fitted(strategy, Net(statistics=False), path, accumulate_grad_batches=4)

    def _resumed(self, kind: str, precision: str, strategy: Any = None):
        path = self.folder / f"{kind}_{precision}.ckpt"
        strategy = fsdp(state_dict_type=kind) if strategy is None else strategy
        return fitted(strategy, ckpt_path=path, accumulate_grad_batches=4, precision=precision)

    def saved_full(self):
        return self._saved("full", "32", 8)

    def saved_sharded(self):
        return self._saved("sharded", "32", 8)

    def saved_sharded_bf16(self):
        return self._saved("sharded", "bf16-mixed", 9)

    def saved_full_bf16(self):
        return self._saved("full", "bf16-mixed", 9)

    def resumed_full(self):
        return self._resumed("full", "32")

    def resumed_sharded(self):
        return self._resumed("sharded", "32")

    def resumed_sharded_bf16(self):
        return self._resumed("sharded", "bf16-mixed")

    def resumed_full_bf16(self):
        return self._resumed("full", "bf16-mixed")

    def sharded_by_ddp(self):
        return self._resumed("sharded", "32", DDPStrategy())

    def kept(self):
        """The best of many folders, and the last one, stay; the others are deleted."""
        folder = self.folder / "kept"
        keeping = ModelCheckpoint(folder, monitor="val_loss", save_last=True, save_top_k=1)
        found = fitted(fsdp(state_dict_type="sharded"), callbacks=[keeping], enable_checkpointing=True, max_epochs=4)
        names = sorted(path.name for path in folder.iterdir())
        return {**found, "best": keeping.best_model_path, "names": names}

    def unwritable(self):
        """Where rank 0 cannot write, every rank says so."""
        (self.folder / "file").touch()
        made = trainer(strategy=fsdp(state_dict_type="sharded"), max_epochs=1)
        made.fit(Net(), loader(SAMPLES, 4))
        try:
            made.save_checkpoint(self.folder / "file" / "saved.ckpt")
        except CheckpointError as error:
            told = str(error)
        return {"told": made.strategy.gather_objects(told)}

    def tensor_parallel(self):
        return fitted(ModelParallelStrategy(1, 2), Perceptron(), batch_size=8)

    def tensor_parallel_clipped(self):
        return fitted(ModelParallelStrategy(1, 2), Perceptron(), batch_size=8, gradient_clip_val=0.1)

    def data_parallel(self):
        return fitted(ModelParallelStrategy(2, 1), Perceptron())

    def data_parallel_clipped(self):
        return fitted(ModelParallelStrategy(2, 1), Perceptron(), gradient_clip_val=0.1)

    def _by_hand(self, sizes: tuple[int, int], name: str, **options: Any):
        strategy = ModelParallelStrategy(*sizes, save_distributed_checkpoint=name != "one_file")
        return fitted(strategy, Perceptron(), **options)

    def saved_by_hand(self):
        saving = [SaveAt(14, self.folder / "window.ckpt"), SaveAt(15, self.folder / "in_between.ckpt")]
        return self._by_hand((1, 2), "", callbacks=saving, accumulate_grad_batches=2)

    def saved_in_one_file(self):
        saving = [SaveAt(15, self.folder / "one_file.ckpt")]
        return self._by_hand((1, 2), "one_file", callbacks=saving, accumulate_grad_batches=2)

    def resumed_by_hand(self):
        return self._by_hand((1, 2), "", ckpt_path=self.folder / "in_between.ckpt", accumulate_grad_batches=2)

    def resumed_from_one_file(self):
        return self._by_hand((1, 2), "one_file", ckpt_path=self.folder / "one_file.ckpt", accumulate_grad_batches=2)

    def turned(self):
        """What two ranks saved, each with its columns, two go on from that each have their rows of the data."""
        return self._by_hand((2, 1), "", ckpt_path=self.folder / "window.ckpt", accumulate_grad_batches=2)

    def saved_on_a_square(self):
        saving = [SaveAt(4, self.folder / "square.ckpt"), SaveAt(4, self.folder / "square_file.ckpt")]
        return self._by_hand((2, 2), "", callbacks=saving)

    def resumed_on_a_square(self):
        return self._by_hand((2, 2), "", ckpt_path=self.folder / "square.ckpt")

    def one_file_on_a_square(self):
        return self._by_hand((2, 2), "", ckpt_path=self.folder / "one_file.ckpt", accumulate_grad_batches=2)


def main(folder: Path, names: list[str]) -> None:
    """Run the cases called *names*."""
    cases = Cases(folder)
    for name in names:
        found = getattr(cases, name)()
        if torch.distributed.get_rank() == 0:
            torch.save(found, folder / f"{name}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
