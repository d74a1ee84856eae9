"""ModelCheckpoint saves when asked, names as Lightning does, keeps the best, and loses nothing on the way."""

from __future__ import annotations

import os
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from leyden import LightningModule, Trainer
from leyden.callbacks import ModelCheckpoint
from leyden.errors import ConfigurationError
from leyden.logger import Logger


class Scripted(LightningModule):
    """A tiny model whose validation logs the values it was given, one per validation."""

    def __init__(self, values=(), key="val_loss", batches=2):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.values, self.key, self.batches = list(values), key, batches
        self.validations = 0

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch[0]).pow(2).mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        return None

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking and self.values:
            self.log(self.key, torch.tensor(float(self.values[self.validations])))
            self.validations += 1

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(self.batches, 2)), batch_size=1)

    def val_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(1, 2)), batch_size=1)


class Recording(Logger):
    """A real logger that remembers what it was told about checkpoints."""

    def __init__(self):
        self.saved = []

    @property
    def name(self):
        return "runs"

    @property
    def version(self):
        return 0

    def log_metrics(self, metrics, step=None):
        return None

    def log_hyperparams(self, params, *args, **kwargs):
        return None

    def after_save_checkpoint(self, checkpoint_callback):
        self.saved.append(Path(checkpoint_callback.best_model_path).name)


def fit(callback, module=None, *, root, ckpt_path=None, logger=False, **options):
    """Train and return the names of the files that are left, sorted."""
    options = {"max_epochs": 3, **options}
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[callback],
        logger=logger,
        default_root_dir=str(root),
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        **options,
    )
    trainer.fit(module or Scripted(), ckpt_path=ckpt_path)
    return files(callback.dirpath)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.ckpt"))


def state_of(path):
    """Return the callback's state in a file, read without executing anything."""
    (state,) = torch.load(path, weights_only=True)["callbacks"].values()
    return state


def test_by_default_the_newest_checkpoint_is_kept(tmp_path):
    callback = ModelCheckpoint()

    assert fit(callback, root=tmp_path) == ["epoch=2-step=6.ckpt"]
    assert callback.best_model_path == str(tmp_path / "checkpoints" / "epoch=2-step=6.ckpt")


@pytest.mark.parametrize(
    ("options", "values", "kept"),
    [
        ({"save_top_k": 1}, [3, 1, 2], [1]),
        ({"save_top_k": 2}, [3, 1, 2], [1, 2]),
        ({"save_top_k": 2, "mode": "max"}, [3, 1, 2], [0, 2]),
        ({"save_top_k": -1}, [3, 1, 2], [0, 1, 2]),
        ({"save_top_k": 0}, [3, 1, 2], []),
        ({"save_top_k": 2}, ["nan", 1, 2], [1, 2]),
        ({"save_top_k": 1, "mode": "max"}, [1, "nan", 0], [0]),
        ({"save_top_k": 1}, [1, 1, 1], [0]),
    ],
)
def test_the_best_are_kept(tmp_path, options, values, kept):
    callback = ModelCheckpoint(dirpath=tmp_path, monitor="val_loss", filename="{epoch}", **options)

    assert fit(callback, Scripted(values), root=tmp_path) == [f"epoch={epoch}.ckpt" for epoch in kept]
    assert sorted(Path(path).name for path in callback.best_k_models) == [f"epoch={epoch}.ckpt" for epoch in kept]


def test_a_taken_name_gets_a_version_unless_it_is_the_file_being_replaced(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, monitor="val_loss", filename="model", save_top_k=2)

    assert fit(callback, Scripted([3, 2, 1]), root=tmp_path) == ["model-v1.ckpt", "model.ckpt"]
    assert Path(callback.best_model_path).name == "model.ckpt"


def test_without_the_version_counter_a_taken_name_is_overwritten(tmp_path):
    callback = ModelCheckpoint(
        dirpath=tmp_path, monitor="val_loss", filename="model", save_top_k=2, enable_version_counter=False
    )

    assert fit(callback, Scripted([3, 2, 1]), root=tmp_path) == ["model.ckpt"]


def test_save_last_keeps_a_full_second_file(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, save_last=True)

    assert fit(callback, root=tmp_path) == ["epoch=2-step=6.ckpt", "last.ckpt"]
    assert not (tmp_path / "last.ckpt").is_symlink()
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 6


def test_save_last_is_written_only_when_a_checkpoint_is(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, monitor="val_loss", save_last=True)

    fit(callback, Scripted([1, 2, 3]), root=tmp_path)

    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 0


def test_save_last_link_points_at_the_newest_file_beside_it(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, save_last="link")

    fit(callback, root=tmp_path)

    assert os.readlink(tmp_path / "last.ckpt") == "epoch=2-step=6.ckpt"


def test_a_last_file_of_another_run_is_not_overwritten(tmp_path):
    (tmp_path / "last.ckpt").write_text("precious")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = fit(ModelCheckpoint(dirpath=tmp_path, save_last=True), root=tmp_path)

    assert kept == ["epoch=2-step=6.ckpt", "last-v1.ckpt", "last.ckpt"]
    assert (tmp_path / "last.ckpt").read_text() == "precious"


def test_save_last_leaves_a_file_even_if_nothing_else_was_ever_saved(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, save_last=True, every_n_epochs=10)

    assert fit(callback, root=tmp_path) == ["last.ckpt"]


def test_every_n_train_steps_counts_optimizer_steps(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=2, save_top_k=-1)

    kept = fit(callback, Scripted(batches=4), root=tmp_path, max_epochs=2, accumulate_grad_batches=2)

    assert kept == ["epoch=0-step=2.ckpt", "epoch=1-step=4.ckpt"]


def test_every_n_epochs_skips_the_others(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, every_n_epochs=2, save_top_k=-1, filename="{epoch}")

    assert fit(callback, root=tmp_path, max_epochs=4) == ["epoch=1.ckpt", "epoch=3.ckpt"]


def test_a_time_interval_of_zero_saves_after_every_batch(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, train_time_interval=timedelta(0), save_top_k=-1, filename="{step}")

    assert fit(callback, root=tmp_path, max_epochs=1) == ["step=1.ckpt", "step=2.ckpt"]


def test_a_step_trigger_waits_for_the_validation_that_logs_its_key(tmp_path):
    callback = ModelCheckpoint(
        dirpath=tmp_path, monitor="val_loss", every_n_train_steps=2, save_top_k=-1, filename="{step}-{val_loss:.0f}"
    )

    kept = fit(callback, Scripted([5, 4], batches=2), root=tmp_path, max_epochs=2)

    assert kept == ["step=2-val_loss=5.ckpt", "step=4-val_loss=4.ckpt"]


@pytest.mark.parametrize(
    ("interval", "kept"),
    [
        (timedelta(0), ["step=4-val_loss=4.ckpt", "step=8-val_loss=8.ckpt"]),  # a new value is about to come
        (3, ["step=4-val_loss=1.ckpt", "step=8-val_loss=2.ckpt"]),  # none comes before that of the next epoch
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:ModelCheckpoint.* saves at steps at which no validation runs")
def test_at_the_end_of_an_epoch_a_save_waits_for_a_validation_that_comes_and_for_no_other(tmp_path, interval, kept):
    callback = ModelCheckpoint(
        tmp_path, monitor="val_loss", every_n_train_steps=4, save_top_k=-1, filename="{step}-{val_loss:.0f}"
    )
    module = Scripted(range(1, 9), batches=4)

    found = fit(callback, module, root=tmp_path, max_epochs=2, val_check_interval=interval)

    assert found == kept


def test_a_save_does_not_wait_for_a_clock_that_will_not_strike(tmp_path):
    callback = ModelCheckpoint(tmp_path, monitor="train_loss", every_n_train_steps=2, save_top_k=-1, filename="{step}")

    kept = fit(callback, root=tmp_path, max_epochs=2, val_check_interval=timedelta(days=1))

    assert kept == ["step=2.ckpt", "step=4.ckpt"]


def test_validating_within_an_epoch_moves_the_save_behind_each_validation(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, monitor="val_loss", save_top_k=-1, filename="{step}-{val_loss:.0f}")

    kept = fit(callback, Scripted([7, 6], batches=4), root=tmp_path, max_epochs=1, val_check_interval=0.5)

    assert kept == ["step=2-val_loss=7.ckpt", "step=4-val_loss=6.ckpt"]


def test_a_key_that_no_validation_logged_is_an_error_that_names_what_was(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, monitor="acc")

    with pytest.raises(ConfigurationError, match=r"monitor='acc'") as caught:
        fit(callback, Scripted([1, 2, 3]), root=tmp_path)

    assert "'val_loss'" in str(caught.value)


def test_a_key_missing_without_any_validation_is_a_warning(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, monitor="never_logged")

    with pytest.warns(UserWarning, match="monitor='never_logged'"):
        kept = fit(callback, root=tmp_path, limit_val_batches=0)

    assert kept == []


def test_a_fast_dev_run_saves_nothing(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, save_last=True, every_n_train_steps=1)

    assert fit(callback, root=tmp_path, fast_dev_run=True) == []


def test_an_exception_leaves_a_checkpoint_if_asked_for(tmp_path):
    class Failing(Scripted):
        def on_train_batch_start(self, batch, batch_idx):
            if self.global_step == 3:
                raise RuntimeError("out of luck")

    callback = ModelCheckpoint(dirpath=tmp_path, save_on_exception=True, every_n_epochs=10)

    with pytest.raises(RuntimeError, match="out of luck"):
        fit(callback, Failing(), root=tmp_path)

    assert files(tmp_path) == ["epoch=1-step=3.ckpt"]


def test_an_old_file_goes_only_after_the_new_one_is_written(tmp_path):
    class FullDisk(Scripted):
        def on_save_checkpoint(self, checkpoint):
            if self.current_epoch == 1:
                raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        fit(ModelCheckpoint(dirpath=tmp_path), FullDisk(), root=tmp_path)

    assert files(tmp_path) == ["epoch=0-step=2.ckpt"]


def test_loggers_hear_of_every_file_when_the_state_is_already_new(tmp_path):
    logger = Recording()

    fit(ModelCheckpoint(dirpath=tmp_path), root=tmp_path, logger=logger)

    assert logger.saved == ["epoch=0-step=2.ckpt", "epoch=1-step=4.ckpt", "epoch=2-step=6.ckpt"]


def test_a_file_knows_of_itself_and_loads_without_executing_anything(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path, monitor="val_loss", save_last=True, save_top_k=2)

    fit(callback, Scripted([3, 1, 2]), root=tmp_path)

    saved = state_of(tmp_path / "epoch=1-step=4.ckpt")
    assert saved["best_model_path"] == str(tmp_path / "epoch=1-step=4.ckpt")
    assert saved["last_model_path"] == str(tmp_path / "last.ckpt")
    assert {Path(path).name: float(score) for path, score in saved["best_k_models"].items()} == {
        "epoch=0-step=2.ckpt": 3.0,
        "epoch=1-step=4.ckpt": 1.0,
    }


@pytest.mark.parametrize("resumed_from", ["epoch=1.ckpt", "last.ckpt"])
def test_a_resumed_run_decides_as_the_uninterrupted_one_did(tmp_path, resumed_from):
    values = [3, 1, 2, 0.5]

    def run(folder, epochs, start=0, ckpt_path=None):
        callback = ModelCheckpoint(dirpath=folder, monitor="val_loss", save_last=True, save_top_k=2, filename="{epoch}")
        module = Scripted(values[start:])
        return fit(callback, module, root=tmp_path, max_epochs=epochs, ckpt_path=ckpt_path), callback

    whole, reference = run(tmp_path / "whole", 4)
    run(tmp_path / "parts", 2)
    parts, resumed = run(tmp_path / "parts", 4, start=2, ckpt_path=str(tmp_path / "parts" / resumed_from))

    # the file resumed from is never deleted, so it may be left over
    assert set(parts) - {resumed_from} == set(whole) - {resumed_from}
    assert [Path(path).name for path in resumed.best_k_models] == [Path(path).name for path in reference.best_k_models]
    assert resumed.best_model_score == reference.best_model_score


def test_a_resumed_run_that_is_to_keep_fewer_deletes_the_worst(tmp_path):
    def callback(kept):
        return ModelCheckpoint(dirpath=tmp_path / "best", monitor="val_loss", save_top_k=kept, filename="{epoch}")

    fit(callback(3), Scripted([3, 1]), root=tmp_path, max_epochs=2)
    with pytest.warns(UserWarning, match=r"ModelCheckpoint\(save_top_k=1\): 1 of 2 files lose their place"):
        left = fit(callback(1), Scripted([2]), root=tmp_path, ckpt_path=str(tmp_path / "best" / "epoch=1.ckpt"))

    assert left == ["epoch=1.ckpt"]


def test_in_another_folder_only_the_best_path_is_restored(tmp_path):
    first = ModelCheckpoint(dirpath=tmp_path / "a", monitor="val_loss")
    fit(first, Scripted([3, 1, 2]), root=tmp_path)
    second = ModelCheckpoint(dirpath=tmp_path / "b", monitor="val_loss")

    with pytest.warns(UserWarning, match="only best_model_path is restored"):
        second.load_state_dict(first.state_dict())

    assert second.best_model_path == first.best_model_path
    assert second.best_k_models == {}


def test_a_non_empty_folder_is_mentioned_before_a_new_run(tmp_path):
    (tmp_path / "old.ckpt").touch()

    with pytest.warns(UserWarning, match="exists and is not empty"):
        fit(ModelCheckpoint(dirpath=tmp_path), root=tmp_path, max_epochs=1)


def test_the_last_checkpoints_are_found_oldest_first(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path)
    for age, name in enumerate(["last-v1.ckpt", "last.ckpt", "best.ckpt"]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))

    found = callback.find_last_checkpoints(Trainer(logger=False, default_root_dir=str(tmp_path)))

    assert [Path(path).name for path in found] == ["last-v1.ckpt", "last.ckpt"]
