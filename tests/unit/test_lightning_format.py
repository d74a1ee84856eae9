"""Every place of a run is written in Lightning's counters and read back: as the same, or the nearest they can name."""

from __future__ import annotations

import pytest
import torch

import leyden as L
from leyden.engine.lightning_format import loops, position, progress
from leyden.progress import Progress
from leyden.testing import TinyData, TinyModule


def written(place, accumulate=1, automatic=True, position=None):
    return loops(place, automatic=automatic, accumulate=accumulate, position=position or {})


@pytest.mark.parametrize(
    "place",
    [
        Progress(),
        Progress(epochs=2, batches=12, updates=12, windows=12),
        Progress(epochs=1, batch=2, batches=8, updates=8, windows=8, place="TRAINED"),
    ],
    ids=["start", "between epochs", "after a batch"],
)
@pytest.mark.parametrize("automatic", [True, False])
def test_a_place_that_both_can_name_comes_back_as_it_is(place, automatic):
    assert progress(written(place, automatic=automatic), 1) == place


@pytest.mark.parametrize(
    "place",
    [
        Progress(epochs=1, batch=6, batches=12, updates=12, windows=12, last=True, place="TRAINED"),
        Progress(epochs=1, batch=6, batches=12, updates=12, windows=12, last=True, place="VALIDATED"),
        Progress(epochs=1, batch=6, batches=12, updates=12, windows=12, last=True, place="EPOCH_ENDED"),
        Progress(epochs=1, batch=4, batches=12, updates=12, windows=12, place="EPOCH_ENDED"),
    ],
    ids=["last batch", "last validation", "epoch", "epoch cut short"],
)
def test_what_is_left_of_an_epoch_after_its_last_batch_is_left_out(place):
    assert progress(written(place), 1) == Progress(epochs=2, batches=12, updates=12, windows=12)


def test_before_the_last_batch_the_epoch_is_not_over():
    place = Progress(epochs=1, batch=5, batches=11, updates=11, windows=11, fetched=6, last=True)

    assert progress(written(place), 1).batch == 5


@pytest.mark.parametrize(("batch", "start"), [(5, 3), (4, 3), (2, 0)])
def test_an_open_window_is_begun_again(batch, start):
    place = Progress(batch=batch, batches=batch, updates=start // 3, windows=start // 3, pending=batch - start)

    found = progress(written(place, accumulate=3), 3)

    assert (found.batch, found.batches, found.pending, found.updates) == (start, start, 0, start // 3)


def test_the_states_of_loaders_that_keep_their_position_are_handed_on():
    place = Progress(batch=3, batches=3, updates=1, windows=1, pending=1, place="TRAINED")
    of_two = {"loaders": [{"own": {"next": 3}}, {"own": {"next": 1}}]}

    one, two = written(place, 2, position={"own": {"next": 3}}), written(place, 2, position=of_two)

    assert position(one)["own"] == {"next": 3}
    assert [each["own"] for each in position(two)["loaders"]] == [{"next": 3}, {"next": 1}]
    assert (progress(one, 2).batch, progress(one, 2).pending) == (3, 1)


def test_a_validation_that_was_running_is_run_again():
    found = written(Progress(epochs=1, batch=2, batches=8, updates=8, windows=8, place="TRAINED"))
    fit = found["fit_loop"]
    fit["epoch_loop.batch_progress"]["current"]["completed"] += 1
    fit["epoch_loop.val_loop.batch_progress"]["current"] |= {"ready": 2, "started": 2, "processed": 1, "completed": 1}

    assert progress(found, 1).place == "LOGGED"


def test_a_checkpoint_of_lightning_1_goes_on_with_the_epoch_it_names():
    module = TinyModule()
    trainer = L.Trainer(max_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(module, datamodule=TinyData())
    trainer.save_checkpoint("it.ckpt")
    old = {key: value for key, value in torch.load("it.ckpt").items() if key not in ("leyden", "loops")}
    torch.save({**old, "loops": {"fit_loop": {"state_dict": {}}}}, "old.ckpt")
    trainer = L.Trainer(max_epochs=3, logger=False, enable_progress_bar=False, enable_checkpointing=False)

    trainer.fit(TinyModule(), datamodule=TinyData(), ckpt_path="old.ckpt")

    assert (trainer.current_epoch, trainer.global_step) == (3, 6)
