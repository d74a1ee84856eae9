"""The same toy training leaves the same checkpoint files, and ranks them alike, under Leyden and under Lightning."""

from __future__ import annotations

import warnings
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping as TheirEarlyStopping
from lightning.pytorch.callbacks import ModelCheckpoint as TheirCheckpoint
from torch.utils.data import DataLoader, TensorDataset

import leyden
from leyden.callbacks import EarlyStopping, ModelCheckpoint

OURS = (leyden, ModelCheckpoint, EarlyStopping)
THEIRS = (lightning, TheirCheckpoint, TheirEarlyStopping)


def toy(library, values):
    """Return the toy module as a class of *library*: 4 batches an epoch, one scripted value per validation."""

    class Toy(library.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)
            self.validations = 0

        def training_step(self, batch, batch_idx):
            self.log("train_metric", float(batch_idx), on_step=True, on_epoch=False)
            return self.layer(batch[0]).pow(2).mean()

        def validation_step(self, batch, batch_idx):
            return None

        def on_validation_epoch_end(self):
            if not self.trainer.sanity_checking:
                self.log("val/loss", torch.tensor(float(values[self.validations % len(values)])))
                self.validations += 1

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def train_dataloader(self):
            return DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=1)

        def val_dataloader(self):
            return DataLoader(TensorDataset(torch.ones(1, 2)), batch_size=1)

    return Toy()


def run(side, folder, checkpoint, trainer, values, stop=None, ckpt_path=None):
    """Train once; returns what was left on disk and what the callback thinks of it."""
    library, checkpoint_type, stopping_type = side
    callback = checkpoint_type(dirpath=folder, **checkpoint)
    callbacks = [callback, stopping_type("val/loss", **stop)] if stop is not None else [callback]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = library.Trainer(
            accelerator="cpu",
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=str(folder),
            **{"max_epochs": 4, **trainer},
        )
        runner.fit(toy(library, values), ckpt_path=ckpt_path)
    return {
        "files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*.ckpt")),
        "steps": {path.name: _step(path) for path in sorted(folder.rglob("*.ckpt"))},
        "best": Path(callback.best_model_path).name,
        "score": None if callback.best_model_score is None else float(callback.best_model_score),
        "kept": {Path(path).name: float(score) for path, score in callback.best_k_models.items()},
        "worst": Path(callback.kth_best_model_path).name,
        "worst_score": float(callback.kth_value),
        "last": Path(callback.last_model_path).name,
        "epochs": runner.current_epoch,
    }


def _step(path):
    return torch.load(path, weights_only=True)["global_step"]


CASES = {
    "default": ({}, {}),
    "monitor": ({"monitor": "val/loss"}, {}),
    "monitor_max": ({"monitor": "val/loss", "mode": "max", "save_top_k": 2}, {}),
    "top_two": ({"monitor": "val/loss", "save_top_k": 2, "filename": "m-{epoch:02d}-{val/loss:.2f}"}, {}),
    "no_insert": (
        {"monitor": "val/loss", "filename": "e{epoch}-{val/loss:.1f}-{nothing}", "auto_insert_metric_name": False},
        {},
    ),
    "all": ({"save_top_k": -1}, {}),
    "all_monitored": ({"monitor": "val/loss", "save_top_k": -1}, {}),
    "none": ({"save_top_k": 0, "save_last": True}, {}),
    "last": ({"monitor": "val/loss", "save_last": True}, {}),
    "last_unmonitored": ({"save_last": True}, {}),
    "last_link": ({"monitor": "val/loss", "save_last": "link"}, {}),
    "versions": ({"monitor": "val/loss", "save_top_k": 3, "filename": "same"}, {}),
    "no_versions": ({"monitor": "val/loss", "save_top_k": 3, "filename": "same", "enable_version_counter": False}, {}),
    "every_two_epochs": ({"every_n_epochs": 2, "save_top_k": -1, "save_last": True}, {}),
    "every_three_steps": ({"every_n_train_steps": 3, "save_top_k": -1, "save_last": True}, {}),
    "steps_and_train_metric": (
        {"every_n_train_steps": 3, "monitor": "train_metric", "save_top_k": 2, "mode": "max"},
        {"limit_val_batches": 0},
    ),
    "accumulated": ({"every_n_train_steps": 2, "save_top_k": -1}, {"accumulate_grad_batches": 3}),
    "twice_an_epoch": ({"monitor": "val/loss", "save_top_k": 2}, {"val_check_interval": 0.5}),
    "every_second_validation": ({"monitor": "val/loss", "save_top_k": -1}, {"check_val_every_n_epoch": 2}),
    "at_train_epoch_end": (
        {"save_on_train_epoch_end": True, "save_top_k": -1, "filename": "{epoch}"},
        {"val_check_interval": 0.5},
    ),
    "after_validation": ({"save_on_train_epoch_end": False, "save_top_k": -1}, {}),
    "max_steps": ({"save_last": True}, {"max_steps": 6, "max_epochs": -1}),
    "fast_dev_run": ({"save_top_k": -1}, {"fast_dev_run": 2}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "values", [[3.0, 1.0, 2.0, 0.5], [float("nan"), 2.0, 2.0, 5.0]], ids=["falling", "nan_and_tie"]
)
def test_the_same_files_are_left_and_ranked_alike(tmp_path, name, values):
    checkpoint, trainer = CASES[name]

    ours = run(OURS, tmp_path / "ours", checkpoint, trainer, values)
    theirs = run(THEIRS, tmp_path / "theirs", checkpoint, trainer, values)

    assert ours == theirs


def test_a_resumed_run_leaves_the_same_files(tmp_path):
    checkpoint = {"monitor": "val/loss", "save_top_k": 2, "save_last": True, "filename": "{epoch}"}
    results = []
    for side, folder in ((OURS, tmp_path / "ours"), (THEIRS, tmp_path / "theirs")):
        run(side, folder, checkpoint, {"max_epochs": 2}, [3.0, 1.0])
        results.append(run(side, folder, checkpoint, {}, [2.0, 0.5], ckpt_path=str(folder / "last.ckpt")))

    ours, theirs = results

    assert ours == theirs


@pytest.mark.parametrize(
    ("stop", "values"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 1, 0]),
        ({"patience": 2, "min_delta": 0.6}, [3, 2, 1.5, 1.2, 0.1, 0]),
        ({"patience": 1, "mode": "max"}, [1, 2, 1, 0, 0, 0]),
        ({"stopping_threshold": 1.0}, [3, 2, 0.5, 4, 4, 4]),
        ({"divergence_threshold": 2.5}, [1, 2, 3, 0, 0, 0]),
        ({}, [1, float("inf"), 0, 0, 0, 0]),
    ],
)
def test_training_stops_in_the_same_epoch(tmp_path, stop, values):
    trainer = {"max_epochs": 6}

    ours = run(OURS, tmp_path / "ours", {}, trainer, values, stop)
    theirs = run(THEIRS, tmp_path / "theirs", {}, trainer, values, stop)

    assert ours == theirs


def test_the_state_in_a_file_has_every_entry_of_lightnings_under_the_same_key(tmp_path):
    states = []
    for side, folder in ((OURS, tmp_path / "ours"), (THEIRS, tmp_path / "theirs")):
        run(side, folder, {"monitor": "val/loss", "save_last": True}, {"max_epochs": 2}, [2.0, 1.0])
        states.append(torch.load(folder / "last.ckpt", weights_only=True)["callbacks"])
    ours, theirs = states

    assert ours.keys() == theirs.keys()
    for key, state in theirs.items():
        for name, value in state.items():
            assert type(ours[key][name]) is type(value), name
            assert _without_folder(ours[key][name]) == _without_folder(value), name


def _without_folder(value):
    """Drop the folder of paths, which differs between the two."""
    if isinstance(value, dict):
        return {Path(path).name: float(score) for path, score in value.items()}
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name if value.endswith(".ckpt") else "folder"
    return value
