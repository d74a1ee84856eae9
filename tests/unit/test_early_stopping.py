"""EarlyStopping stops at the right check, for the stated reason, and survives a restart."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from leyden import LightningModule, Trainer
from leyden.callbacks import EarlyStopping, EarlyStoppingReason
from leyden.callbacks.agreement import all_ranks, any_rank
from leyden.errors import ConfigurationError
from leyden.strategy import Strategy


class Scripted(LightningModule):
    """A tiny model that logs the values it was given, one per validation."""

    def __init__(self, values, key="val_loss"):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.values, self.key, self.validations = list(values), key, 0

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).pow(2).mean()

    def validation_step(self, batch, batch_idx):
        return None

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.log(self.key, torch.tensor(float(self.values[self.validations])))
            self.validations += 1

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=1)

    def val_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(1, 2)), batch_size=1)


class Elsewhere(Strategy):
    """A real strategy of two ranks, of which the other one answers as told."""

    world_size = 2

    def __init__(self, other):
        self.other = torch.tensor(float(other))

    @property
    def root_device(self):
        return torch.device("cpu")

    def reduce(self, tensor, op="mean"):
        return torch.minimum(tensor, self.other) if op == "min" else torch.maximum(tensor, self.other)


def train(callback, values, root, **options):
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(root),
        **{"max_epochs": len(values), **options},
    )
    trainer.fit(Scripted(values))
    return trainer


@pytest.mark.parametrize(
    ("options", "values", "epochs", "reason"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 1], 4, EarlyStoppingReason.PATIENCE_EXHAUSTED),
        ({"patience": 2}, [3, 2, 3, 1, 2, 3, 0], 6, EarlyStoppingReason.PATIENCE_EXHAUSTED),
        ({"patience": 1, "mode": "max"}, [1, 2, 1, 3], 3, EarlyStoppingReason.PATIENCE_EXHAUSTED),
        ({"patience": 1, "min_delta": 0.5}, [3, 2, 1.5, 0], 3, EarlyStoppingReason.PATIENCE_EXHAUSTED),
        ({"patience": 1, "min_delta": 0.5, "mode": "max"}, [1, 2, 2.6, 2.9], 4, EarlyStoppingReason.PATIENCE_EXHAUSTED),
        ({}, [3, float("nan"), 1], 2, EarlyStoppingReason.NON_FINITE_METRIC),
        ({"stopping_threshold": 1.5}, [3, 1, 0.5], 2, EarlyStoppingReason.STOPPING_THRESHOLD),
        ({"divergence_threshold": 9.0}, [3, 10, 0.5], 2, EarlyStoppingReason.DIVERGENCE_THRESHOLD),
        ({"divergence_threshold": 1.0, "mode": "max"}, [3, 0.5, 4], 2, EarlyStoppingReason.DIVERGENCE_THRESHOLD),
        ({"check_finite": False, "patience": 2}, [3, float("nan"), 1], 3, EarlyStoppingReason.NOT_STOPPED),
        ({}, [3, 2, 1], 3, EarlyStoppingReason.NOT_STOPPED),
    ],
)
def test_training_stops_at_the_right_check(tmp_path, options, values, epochs, reason):
    callback = EarlyStopping("val_loss", **options)

    trainer = train(callback, values, tmp_path)

    assert trainer.current_epoch == epochs
    assert callback.stopping_reason is reason
    assert callback.stopped_epoch == (0 if reason is EarlyStoppingReason.NOT_STOPPED else epochs - 1)


def test_the_message_says_which_value_and_what_it_was_compared_to(tmp_path):
    callback = EarlyStopping("val_loss", patience=1)

    train(callback, [1, 2], tmp_path)

    assert callback.stopping_reason_message == "val_loss = 2.000 did not improve on 1.000 for 1 checks."


def test_a_check_happens_at_each_validation_if_there_are_several_in_an_epoch(tmp_path):
    callback = EarlyStopping("val_loss", patience=2)

    trainer = train(callback, [1, 2, 3, 4], tmp_path, val_check_interval=0.25, max_epochs=1)

    assert trainer.global_step == 3


def test_a_missing_key_is_an_error_that_names_what_was_logged(tmp_path):
    with pytest.raises(RuntimeError, match="monitor='val_los'") as caught:
        train(EarlyStopping("val_los"), [1, 2], tmp_path)

    assert "'val_loss'" in str(caught.value)


def test_a_missing_key_is_passed_over_if_not_strict(tmp_path):
    assert train(EarlyStopping("other", strict=False), [1, 2], tmp_path).current_epoch == 2


def test_a_fast_dev_run_checks_nothing(tmp_path):
    callback = EarlyStopping("missing")

    train(callback, [1], tmp_path, fast_dev_run=True)

    assert callback.wait_count == 0


def test_the_state_holds_plain_values_and_comes_back_whole(tmp_path):
    callback = EarlyStopping("val_loss", patience=2)
    train(callback, [1, 2, 3], tmp_path)
    torch.save(callback.state_dict(), tmp_path / "state.pt")
    restored = EarlyStopping("val_loss", patience=2)

    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))

    assert restored.state_dict() == callback.state_dict()
    assert restored.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED
    assert restored.patience == 2


def test_a_patience_that_is_given_anew_counts_and_one_that_was_changed_on_the_way_goes_on():
    changed = EarlyStopping("val_loss", patience=2)
    changed.patience = 5
    resumed, given_anew = EarlyStopping("val_loss", patience=2), EarlyStopping("val_loss", patience=7)

    resumed.load_state_dict(changed.state_dict())
    given_anew.load_state_dict(changed.state_dict())

    assert (resumed.patience, given_anew.patience) == (5, 7)


def test_the_state_key_tells_monitors_apart():
    assert EarlyStopping("val/loss").state_key == "EarlyStopping{'monitor': 'val/loss', 'mode': 'min'}"


def test_an_unknown_mode_is_refused():
    with pytest.raises(ConfigurationError, match="mode='low'"):
        EarlyStopping("val_loss", mode="low")


@pytest.mark.parametrize(("here", "there"), [(True, True), (True, False), (False, True), (False, False)])
def test_one_rank_is_enough_to_stop_and_all_are_needed_to_agree(here, there):
    assert any_rank(Elsewhere(there), here) is (here or there)
    assert all_ranks(Elsewhere(there), here) is (here and there)
