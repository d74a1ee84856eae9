"""Run one module under Lightning and under Leyden, and collect what can be compared.

A case is a function that takes the library and a base class made from it, and returns the
module's class: the same source, once for each side.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning.pytorch
import torch
from torch.utils.data import DataLoader, TensorDataset

import leyden
import leyden.loggers
import leyden.testing
from leyden.testing import Call, describe, recording

LIGHTNING, LEYDEN = lightning.pytorch, leyden
BATCHES, BATCH_SIZE = 6, 2


def loader(batches: int = BATCHES, seed: int = 1, shuffle: bool = False, size: int = BATCH_SIZE) -> DataLoader[Any]:
    """Batches of inputs ``(2, 4)`` and targets ``(2, 1)``; of several ranks, each has its own."""
    generator = torch.Generator().manual_seed(seed + 100 * int(os.environ.get("RANK", "0")))
    inputs = torch.randn(batches * size, 4, generator=generator)
    return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True).sin()), batch_size=size, shuffle=shuffle)


def regression(library: Any) -> type:
    """The base class of most cases: a small network with dropout that logs its losses."""

    class Regression(library.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(
                torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1)
            )

        def forward(self, x):
            return self.net(x)

        def loss(self, batch):
            return torch.nn.functional.mse_loss(self(batch[0]), batch[1])

        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            self.log("val_loss", self.loss(batch))

        def test_step(self, batch, batch_idx, dataloader_idx=0):
            self.log("test_loss", self.loss(batch))

        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return self(batch[0])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def train_dataloader(self):
            return loader()

        def val_dataloader(self):
            return loader(3, seed=2)

        def test_dataloader(self):
            return loader(3, seed=3)

        def predict_dataloader(self):
            return loader(3, seed=4)

    return Regression


def rows_of(library: Any) -> Any:
    """A logger of *library* that keeps its rows."""

    class Rows(library.loggers.Logger if library is LIGHTNING else leyden.loggers.Logger):
        def __init__(self):
            super().__init__()
            self.rows = []

        @property
        def name(self):
            return "rows"

        @property
        def version(self):
            return 0

        def log_metrics(self, metrics, step=None):
            self.rows.append((step, dict(metrics)))

        def log_hyperparams(self, params, *args, **kwargs):
            self.hyperparameters = dict(params)

    return Rows()


def watcher_of(library: Any) -> Any:
    """A callback of *library* that keeps what every training batch left behind."""

    class Watcher(library.Callback):
        def __init__(self):
            self.outputs, self.rates, self.places, self.seen = [], [], [], []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.outputs.append(describe(outputs))
            self.rates.append([group["lr"] for each in trainer.optimizers for group in each.param_groups])
            self.places.append((trainer.current_epoch, batch_idx, trainer.global_step, trainer.is_last_batch))
            self.seen.append(("batch", describe(dict(trainer.callback_metrics))))

        def on_validation_end(self, trainer, pl_module):
            if not trainer.sanity_checking:
                self.seen.append(("validation", trainer.global_step, describe(dict(trainer.callback_metrics))))

        def on_train_epoch_end(self, trainer, pl_module):
            self.seen.append(("epoch", trainer.global_step, describe(dict(trainer.callback_metrics))))

    return Watcher()


@contextmanager
def silence() -> Iterator[None]:
    """Keep Lightning's messages and both libraries' warnings out of the report."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@dataclass
class Outcome:
    """What a run left behind."""

    outputs: list[Any]
    weights: dict[str, list[Any]]
    rates: list[list[float]]
    places: list[tuple[Any, ...]]
    seen: list[tuple[Any, ...]]
    rows: list[tuple[int | None, dict[str, float]]]
    callback_metrics: dict[str, Any]
    logged_metrics: dict[str, Any]
    bar_metrics: dict[str, Any]
    counts: dict[str, Any]
    training: list[bool]
    random: list[float]
    extra: Any = None


def quiet(library: Any, tmp_path: Any, **options: Any) -> Any:
    """A trainer of *library* that prints nothing and writes nothing unless asked to."""
    return library.Trainer(
        **{
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            "logger": False,
            "default_root_dir": str(tmp_path),
            **options,
        }
    )


def fit(library: Any, tmp_path: Any, case: Callable[..., type], **options: Any) -> Outcome:
    """Train *case* under *library* from seed 0."""
    rows, watcher = rows_of(library), watcher_of(library)
    torch.manual_seed(0)
    options = {"max_epochs": 2, "log_every_n_steps": 1, "logger": rows, **options}
    options["callbacks"] = [watcher, *options.pop("more_callbacks", lambda library: [])(library)]
    with silence():
        module = case(library, regression(library))()
        datamodule = getattr(module, "make_datamodule", lambda: None)()
        trainer = quiet(library, tmp_path, **options)
        trainer.fit(module, datamodule=datamodule)
    random = torch.rand(2).tolist()
    return Outcome(
        outputs=watcher.outputs,
        weights={name: weight.tolist() for name, weight in module.state_dict().items()},
        rates=watcher.rates,
        places=watcher.places,
        seen=watcher.seen,
        rows=rows.rows,
        callback_metrics=describe(dict(trainer.callback_metrics)),
        logged_metrics=describe(dict(trainer.logged_metrics)),
        bar_metrics=describe(dict(trainer.progress_bar_metrics)),
        counts={
            "global_step": trainer.global_step,
            "current_epoch": trainer.current_epoch,
            "num_training_batches": trainer.num_training_batches,
            "estimated": trainer.estimated_stepping_batches,
            "should_stop": trainer.should_stop,
        },
        training=[child.training for child in module.modules()],
        random=random,
        extra=getattr(module, "extra", None),
    )


def recorder(library: Any, owner: str, base: type, heard: list[Call], leave_out: tuple[str, ...] = ()) -> type:
    """A subclass of *base* that notes in *heard* every hook it has, except those to *leave_out*.

    Hooks that matter by being overridden are noted where *base* overrides them itself.
    """
    contract = getattr(library, CONTRACTS[owner])
    hooks = [
        name
        for name in RECORDED[owner]
        if hasattr(getattr(LIGHTNING, CONTRACTS[owner]), name)
        and name not in leave_out
        and (name not in MATTER_BY_EXISTING or getattr(base, name) is not getattr(contract, name, None))
    ]

    class Recorder(base):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.heard, self.owner = heard, owner

    Recorder.__name__ = owner
    return recording(hooks)(Recorder)


RECORDED = {
    "LM": leyden.testing.RECORDED_BY_MODULE,
    "cb": leyden.testing.RECORDED_BY_CALLBACK,
    "DM": leyden.testing.RECORDED_BY_DATA_MODULE,
}
CONTRACTS = {"LM": "LightningModule", "cb": "Callback", "DM": "LightningDataModule"}
MATTER_BY_EXISTING = (
    "prepare_data",
    "configure_model",
    "validation_step",
    "test_step",
    "train_dataloader",
    "val_dataloader",
    "test_dataloader",
    "predict_dataloader",
)
