"""Two configs have the same signature exactly when nothing in them can make a difference to the outcome."""

import pytest

from leyden.config.frozen import dump
from leyden.runs.reuse import signature_of
from tests.run_directories import CONFIG, changed, placed


def of(changes=None, run_dir="/runs/a"):
    return signature_of(dump(placed(changed(CONFIG, changes or {}), run_dir)))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another"},
        {"tags": ["try"]},
        {"optimized_metric": "val_loss"},
        {"snapshot": True},
        {"paths.work_dir": "/elsewhere"},
        {"paths.output_dir": "other"},
        {"logger": {}},
        {"logger.csv.save_dir": "/tmp"},
        {"trainer.enable_progress_bar": False},
        {"trainer.profiler": "simple"},
        {"callbacks.progress_bar": None},
        {"callbacks.progress_bar._target_": "leyden.callbacks.TQDMProgressBar"},
        {"callbacks.summary": {"_target_": "leyden.callbacks.ModelSummary", "max_depth": 2}},
        {"callbacks.early_stopping": None},
        {"ckpt_path": None},
    ],
)
def test_what_cannot_change_the_outcome_is_not_part_of_it(changes):
    assert of(changes) == of()


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"model.hidden": [64]},
        {"model.dropout": 0},
        {"model.extra": None},
        {"optimizer.lr": 0.0030000000000000001e1},
        {"trainer.max_epochs": 4},
        {"trainer.gradient_clip_val": 1.0},
        {"callbacks.early_stopping": {"_target_": "leyden.callbacks.EarlyStopping", "monitor": "val_loss"}},
        {"callbacks.progress_bar._target_": "my.callbacks.ProgressBar"},
        {"callbacks.model_checkpoint.monitor": "val_loss"},
        {"scheduler": {"_target_": "torch.optim.lr_scheduler.StepLR"}},
        {"ckpt_path": "start.ckpt"},
        {"test": False},
    ],
)
def test_what_may_change_the_outcome_is_part_of_it(changes):
    assert of(changes) != of()


@pytest.mark.parametrize("run_dir", ["/runs/b", "/with a space/run", "/r", "/quoted: run/x", "/überall/é"])
def test_where_the_run_lies_is_not_part_of_it(run_dir):
    assert of(run_dir=run_dir) == of()


def test_a_folder_whose_name_begins_like_that_of_the_run_is_another_one():
    beside = {"data": {"root": "/runs/abc"}}

    assert of(beside, "/runs/a") != of({"data": {"root": "<run_dir>bc"}}, "/runs/x")
    assert of(beside, "/runs/a") == of(beside, "/runs/x")


def test_the_order_of_keys_is_not_part_of_it():
    backwards = {key: CONFIG[key] for key in reversed(CONFIG)}

    assert signature_of(dump(placed(backwards, "/runs/a"))) == of()
