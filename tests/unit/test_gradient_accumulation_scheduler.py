"""GradientAccumulationScheduler changes the number of micro-batches per update from epoch to epoch."""

from __future__ import annotations

import math

import pytest
import torch

from leyden import Callback, Trainer
from leyden.callbacks import GradientAccumulationScheduler, ModelCheckpoint
from leyden.errors import ConfigurationError
from leyden.testing import TinyData, TinyModule


class Updates(Callback):
    """Keeps the epochs in which updates were made."""

    def __init__(self):
        self.epochs = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.epochs.append(trainer.current_epoch)


class Manual(TinyModule):
    """Steps its optimizer itself."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


def trainer_with(*callbacks, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(callbacks=list(callbacks), **{"max_epochs": 4, "enable_checkpointing": False, **quiet, **options})


def test_windows_have_the_size_of_their_epoch():
    updates = Updates()
    trainer = trainer_with(GradientAccumulationScheduler({1: 2, 3: 4}), updates)

    trainer.fit(TinyModule(), TinyData(train=4))

    assert [updates.epochs.count(epoch) for epoch in range(4)] == [4, 2, 2, 1]
    assert trainer.global_step == 9


def test_the_number_of_updates_is_known_beforehand():
    known = []

    class Asking(TinyModule):
        def configure_optimizers(self):
            known.append(self.trainer.estimated_stepping_batches)
            return super().configure_optimizers()

    trainer = trainer_with(GradientAccumulationScheduler({1: 2, 3: 4, 9: 8}))

    trainer.fit(Asking(), TinyData(train=5))

    assert known == [5 + 3 + 3 + 2] == [trainer.global_step]


def test_an_endless_fit_has_no_known_number_of_updates():
    found = []

    class Asking(TinyModule):
        def on_train_start(self):
            found.append(self.trainer.estimated_stepping_batches)
            self.trainer.should_stop = True

    trainer_with(GradientAccumulationScheduler({1: 2}), max_epochs=-1).fit(Asking(), TinyData())

    assert found == [math.inf]


def test_a_fit_resumed_within_an_epoch_keeps_its_windows(tmp_path):
    path = tmp_path / "middle.ckpt"

    class Saving(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.current_epoch == 1 and batch_idx == 0 and not path.exists():
                trainer.save_checkpoint(path)

    torch.manual_seed(0)
    whole, resumed = TinyModule(), TinyModule()
    trainer_with(GradientAccumulationScheduler({1: 2}), Saving(), max_epochs=2).fit(whole, TinyData(train=4))

    trainer_with(GradientAccumulationScheduler({1: 2}), max_epochs=2).fit(resumed, TinyData(train=4), ckpt_path=path)

    assert torch.equal(whole.layer.weight, resumed.layer.weight)


def test_the_trainer_can_fit_again():
    trainer = trainer_with(GradientAccumulationScheduler({0: 2}), max_epochs=1)

    trainer.fit(TinyModule(), TinyData())
    trainer.fit(TinyModule(), TinyData())

    assert trainer.accumulate_grad_batches == 1


@pytest.mark.parametrize("scheduling", [{}, {-1: 2}, {0: 0}, {0.5: 2}, {1: "2"}, {True: 2}])
def test_a_schedule_that_cannot_be_meant_is_refused(scheduling):
    with pytest.raises(ConfigurationError, match=r"cannot be meant. Expected numbers of micro-batches"):
        GradientAccumulationScheduler(scheduling)


def test_two_places_that_decide_about_accumulation_are_refused():
    trainer = trainer_with(GradientAccumulationScheduler({1: 2}), accumulate_grad_batches=2)

    with pytest.raises(ConfigurationError, match=r"accumulate_grad_batches=2\) and a Gradient.*Remove one"):
        trainer.fit(TinyModule(), TinyData())


def test_manual_optimisation_is_refused():
    with pytest.raises(ConfigurationError, match="Manual steps its optimizers itself"):
        trainer_with(GradientAccumulationScheduler({1: 2})).fit(Manual(), TinyData())


def test_the_schedule_given_is_not_changed():
    given = {1: 2}

    callback = GradientAccumulationScheduler(given)

    assert given == {1: 2}
    assert callback.scheduling == {0: 1, 1: 2}
    assert callback.going_to_accumulate_grad_batches()


def test_the_keys_of_a_config_are_read():
    assert GradientAccumulationScheduler({"0": 8, "4": 4}).scheduling == {0: 8, 4: 4}


def test_checkpoints_are_made_beside_it(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path)

    trainer_with(GradientAccumulationScheduler({1: 2}), checkpoint, max_epochs=2, enable_checkpointing=True).fit(
        TinyModule(), TinyData(train=4)
    )

    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["epoch=1-step=6.ckpt"]
