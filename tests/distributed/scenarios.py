"""What the ranks of a scenario do; started by `torchrun`, each writes what it saw to ``FOLDER/rank<N>.json``.

torchrun --nproc-per-node 2 tests/distributed/scenarios.py FOLDER SCENARIO [ARGUMENT ...]
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import leyden as L
from leyden import ranks
from leyden.callbacks import LearningRateFinder
from leyden.errors import Interrupted, LeydenError
from leyden.strategies import DDPStrategy

FOLDER = Path(sys.argv[1])
RANK = ranks.current() or ranks.Rank(0, 1, 0, 1, 0)


class Net(L.LightningModule):
    """A small classifier; with *dropout*, ranks need random numbers of their own place."""

    def __init__(self, batch_size: int, dropout: float = 0.0, workers: int = 0):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 3))
        self.batch_size, self.workers = batch_size, workers

    def loss(self, batch):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, sync_dist=True, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch), sync_dist=True)

    test_step = validation_step

    def predict_step(self, batch, batch_idx):
        return batch[1]

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), 0.01)
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.7), "interval": "step"}]

    def data(self, size, seed, shuffle=False):
        """A loader of *size* samples."""
        generator = torch.Generator().manual_seed(seed)
        tensors = torch.randn(size, 8, generator=generator), torch.randint(0, 3, (size,), generator=generator)
        return DataLoader(
            TensorDataset(*tensors),
            self.batch_size,
            shuffle=shuffle,
            num_workers=self.workers,
            persistent_workers=False,
        )

    def train_dataloader(self):
        return self.data(96, 0, shuffle=True)

    def val_dataloader(self):
        return self.data(37, 1)

    def test_dataloader(self):
        return self.data(29, 2)

    def predict_dataloader(self):
        return self.data(7, 3)


def trainer(**options: Any) -> L.Trainer:
    """A quiet trainer."""
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return L.Trainer(**{"accelerator": "cpu", "max_epochs": 4, "default_root_dir": str(FOLDER), **quiet, **options})


def plain(values: Any) -> dict[str, float]:
    """Turn metrics into numbers."""
    return {name: float(value) for name, value in values.items()}


def weights(module: nn.Module) -> dict[str, Any]:
    """Turn weights into lists."""
    return {name: value.tolist() for name, value in module.state_dict().items()}


def trained(batch_size: str, dropout: str = "0", workers: str = "0", accumulate: str = "1") -> dict[str, Any]:
    """Fit and test."""
    L.seed_everything(3, verbose=False)
    module = Net(int(batch_size), float(dropout), int(workers))
    made = trainer(accumulate_grad_batches=int(accumulate))
    made.fit(module)
    found = {"weights": weights(module), "metrics": plain(made.callback_metrics), "steps": made.global_step}
    found["test"] = made.test(module, verbose=False)[0]
    predicted = made.predict(module)
    found["predicted"] = sum(map(len, predicted))
    return found


class SaveAt(L.Callback):
    """Save once, after so many batches."""

    def __init__(self, batches: int, path: Path):
        self.batches, self.path, self.seen = batches, path, 0

    def on_train_batch_end(self, trainer, *args):
        self.seen += 1
        if self.seen == self.batches:
            trainer.save_checkpoint(self.path)


def saved(batches: str, accumulate: str = "1") -> dict[str, Any]:
    """Train without a break, and save in between; every rank draws random numbers of its own."""
    L.seed_everything(3 + RANK.rank, verbose=False)
    module = Net(4, dropout=0.3)
    made = trainer(accumulate_grad_batches=int(accumulate), callbacks=[SaveAt(int(batches), FOLDER / "at.ckpt")])
    made.fit(module)
    return {"weights": weights(module), "metrics": plain(made.callback_metrics)}


def resumed(batches: str, accumulate: str = "1") -> dict[str, Any]:
    """Go on from what `saved` has saved."""
    L.seed_everything(99, verbose=False)
    module = Net(4, dropout=0.3)
    made = trainer(accumulate_grad_batches=int(accumulate))
    made.fit(module, ckpt_path=FOLDER / "at.ckpt")
    return {"weights": weights(module), "metrics": plain(made.callback_metrics)}


class SignalTo(L.Callback):
    """Send a signal to one rank alone, in the middle of an epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        time.sleep(0.01)
        if trainer.global_step == 10 and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def interrupted() -> dict[str, Any]:
    """One rank alone is asked to stop."""
    L.seed_everything(3, verbose=False)
    made = trainer(max_epochs=200, callbacks=[SignalTo()], enable_checkpointing=True)
    try:
        made.fit(Net(4))
    except Interrupted as stop:
        return {"steps": made.global_step, "signum": stop.signum, "saved": Path(stop.checkpoint).is_file()}
    return {}


def rates() -> dict[str, Any]:
    """A search for a learning rate whose loss explodes on one rank first."""
    L.seed_everything(3, verbose=False)
    module = Net(4)
    module.lr = 0.01
    search = LearningRateFinder(num_training_steps=60, max_lr=100.0, attr_name="lr")
    trainer(max_epochs=1, callbacks=[search]).fit(module)
    return {"lr": module.lr, "steps": len(search.optimal_lr.results["loss"])}


class SignalInValidation(L.Callback):
    """Ask one rank to stop during the second validation, which takes a while."""

    def on_validation_batch_end(self, trainer, *args):
        if trainer.global_step != 24:
            return
        time.sleep(0.2)
        if trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def interrupted_in_validation() -> dict[str, Any]:
    """A validation that is cut short leaves no trace: no step is done without it."""
    L.seed_everything(3, verbose=False)
    made = trainer(max_epochs=4, callbacks=[SignalInValidation()], enable_checkpointing=True)
    try:
        made.fit(Net(4))
    except Interrupted:
        return {"steps": made.global_step, "validated": "val_loss" in made.callback_metrics}
    return {}


class Lines(IterableDataset):
    """An iterable data set without a length, of another number of samples on each rank."""

    sharded = True

    def __iter__(self):
        generator = torch.Generator().manual_seed(RANK.rank)
        for _ in range(33 - 6 * RANK.rank):
            yield torch.randn(8, generator=generator), torch.tensor(1)


class Announced(Lines):
    """The same, which announces more samples than any rank has."""

    def __len__(self):
        return 40


def ragged(announced: str = "", accumulate: str = "1") -> dict[str, Any]:
    """Ranks have loaders without a length, or with a wrong one, which end at different batches."""
    L.seed_everything(3, verbose=False)

    class Ragged(Net):
        validations = 0

        def train_dataloader(self):
            return DataLoader(Announced() if announced else Lines(), self.batch_size)

        def on_validation_epoch_end(self):
            self.validations += 1

    module, made = Ragged(4), trainer(max_epochs=2, accumulate_grad_batches=int(accumulate), num_sanity_val_steps=0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made.fit(module)
    told = [str(each.message) for each in said if "announced" in str(each.message)]
    return {"steps": made.global_step, "weights": weights(module), "validations": module.validations, "said": told}


def crowded(processors: str, workers: str) -> dict[str, Any]:
    """Ranks and their loaders' workers share so many processors."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(processors)])
    os.environ.pop("SLURM_CPUS_ON_NODE", None)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        trainer(max_epochs=1).fit(Net(4, workers=int(workers)))
    return {"said": [str(each.message) for each in said if "processors" in str(each.message)]}


def uneven() -> dict[str, Any]:
    """Ranks have loaders of different lengths."""

    class Uneven(Net):
        def train_dataloader(self):
            return self.data(16 + 8 * RANK.rank, 0)

    try:
        trainer(use_distributed_sampler=False).fit(Uneven(4))
    except L.ConfigurationError as error:
        return {"error": str(error)}
    return {}


def compressed() -> dict[str, Any]:
    """Gradients travel in 16 bits."""
    L.seed_everything(3, verbose=False)
    module = Net(8)
    trainer(strategy=DDPStrategy(ddp_comm_hook=default_hooks.fp16_compress_hook)).fit(module)
    try:
        trainer(strategy=DDPStrategy(ddp_comm_hook=default_hooks.bf16_compress_hook)).fit(Net(8))
    except L.ConfigurationError as error:
        return {"weights": weights(module), "error": str(error)}
    return {}


def talk() -> dict[str, Any]:
    """Every way in which ranks exchange something."""
    strategy = DDPStrategy(timeout=timedelta(seconds=60))
    strategy.place("cpu", [0, 0], 1)
    strategy.open()
    own = torch.tensor([1.0, 2.0]) * (RANK.rank + 1)
    return {
        "reduced": {op: strategy.reduce(own, op).tolist() for op in ("mean", "sum", "min", "max")},
        "whole": strategy.reduce(torch.tensor(RANK.rank), "mean").item(),
        "own": own.tolist(),
        "gathered": strategy.all_gather({"a": own, "n": RANK.rank, "text": "kept"})["a"].tolist(),
        "told": strategy.broadcast({"rank": RANK.rank}),
        "collected": strategy.gather_objects(RANK.rank),
    }


def beside_training() -> dict[str, Any]:
    """Checkpoints are written while training goes on, and then one that cannot be written."""
    for name, plugin in (("once", None), ("beside", "async_checkpoint_io")):
        L.seed_everything(3 + RANK.rank, verbose=False)
        module = Net(4, dropout=0.3)
        trainer(callbacks=[SaveAt(5, FOLDER / f"{name}.ckpt")], plugins=plugin).fit(module)
    found = {"weights": weights(module), "there": (FOLDER / "beside.ckpt").is_file()}
    (FOLDER / "file").touch()
    failing = trainer(callbacks=[SaveAt(5, FOLDER / "file" / "it.ckpt")], plugins="async_checkpoint_io")
    try:
        failing.fit(Net(4))
    except LeydenError as error:
        found |= {"kind": type(error).__name__, "error": str(error), "steps": failing.global_step}
    return found


def clock() -> dict[str, Any]:
    """The clock of rank 0 decides: that of the other one is far ahead."""

    class Late(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_rank == 1 and trainer.global_step == 3:
                trainer._clock -= 3600.0

    made = trainer(max_epochs=2, max_time={"minutes": 30}, callbacks=[Late()])
    made.fit(Net(4))
    return {"steps": made.global_step}


def synchronised() -> dict[str, Any]:
    """Batch statistics of all ranks, which torch has for accelerators only."""
    try:
        trainer(sync_batchnorm=True).fit(Net(4))
    except L.ConfigurationError as error:
        return {"error": str(error)}
    return {}


def left_at_once():
    """A process that ends right after an operation, and holds the group until then."""
    opened = trainer().strategy
    opened.open()
    left_at_once.held = torch.distributed.group.WORLD  # as a module holds the device mesh that it was divided on
    for _ in range(20):
        opened.all_gather(torch.ones(1000))
    return {}


SCENARIOS = {
    each.__name__: each
    for each in (
        trained,
        saved,
        resumed,
        interrupted,
        interrupted_in_validation,
        rates,
        ragged,
        crowded,
        uneven,
        compressed,
        talk,
        beside_training,
        clock,
        synchronised,
        left_at_once,
    )
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    found = SCENARIOS[sys.argv[2]](*sys.argv[3:])
    (FOLDER / f"rank{RANK.rank}.json").write_text(json.dumps(found), encoding="utf-8")
