"""A checkpoint written while training goes on is the one that would have been written at once, or an error."""

from __future__ import annotations

import io
import os
import pickle
import resource
import signal
import threading
import time
from collections import Counter, OrderedDict
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from leyden import Trainer
from leyden.callback import Callback
from leyden.callbacks import EMAWeightAveraging, ModelCheckpoint, OnExceptionCheckpoint
from leyden.errors import CheckpointError, ConfigurationError, Interrupted
from leyden.launch.surviving import Deadline
from leyden.loggers import CSVLogger
from leyden.plain import Sealed, unseal
from leyden.plugins import AsyncCheckpointIO
from leyden.plugins.copying import Copy
from leyden.strategies import FSDPStrategy, SingleDevice
from leyden.testing import TinyData, TinyModule

QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
CLOCKS = ("seconds", "validated")


class Slow(SingleDevice):
    """A disk that begins to write when it is told to."""

    def __init__(self):
        super().__init__("cpu")
        self.go, self.asked = threading.Event(), []

    def save(self, checkpoint, path):
        self.asked.append(Path(path).name)
        assert self.go.wait(60)
        super().save(checkpoint, path)


class At(Callback):
    """Does something after training batches, by how many there have been."""

    def __init__(self, **actions):
        self.actions = {int(name[1:]): action for name, action in actions.items()}
        self.batches = 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.batches += 1
        if self.batches in self.actions:
            self.actions[self.batches](trainer)


class Stateful(Callback):
    """Its state is the very list that it goes on changing."""

    def __init__(self):
        self.seen = []

    def state_dict(self):
        return {"seen": self.seen, "nested": OrderedDict(count=Counter(self.seen))}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(batch_idx)


class Tied(TinyModule):
    """Two names for one weight, and a buffer that training changes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("steps", torch.zeros(4))

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.steps += 1

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.1)


def trained(tmp_path, plugin, *callbacks, module=None, **options):
    """Train with *plugin*, or with None; return the trainer."""
    torch.manual_seed(0)
    options = {"max_epochs": 3, "default_root_dir": tmp_path, "plugins": plugin, **QUIET, **options}
    trainer = Trainer(callbacks=list(callbacks), **options)
    trainer.fit(module or Tied(), datamodule=TinyData())
    return trainer


def same(one, other):
    """Whether two checkpoints hold the same, to the last bit; but for what a clock says."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.stride() == other.stride() and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one if key not in CLOCKS)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@contextmanager
def files_of_at_most(size):
    """Let this process write no file of more than *size* bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


# --- what is written --------------------------------------------------------------------------------------


def test_every_file_is_the_one_that_would_have_been_written_at_once(tmp_path):
    found = []
    for plugin in (None, AsyncCheckpointIO()):
        every = ModelCheckpoint(tmp_path / "saved", every_n_train_steps=1, save_top_k=-1, save_last="link")
        trainer = trained(tmp_path, plugin, Stateful(), EMAWeightAveraging(), every)
        files = sorted((tmp_path / "saved").iterdir())
        found.append({file.name: torch.load(file, weights_only=False) for file in files})
        weights = trainer.lightning_module.state_dict()
        found[-1]["in memory"] = {name: each.clone() for name, each in weights.items()}
        found[-1]["random numbers"] = torch.rand(3)
        for file in files:
            file.unlink()

    assert len(found[0]) > 8
    assert same(found[0], found[1])


def test_training_does_not_change_what_is_being_written(tmp_path):
    disk, kept = Slow(), {}

    def save(trainer):
        kept.update({name: each.clone() for name, each in trainer.lightning_module.state_dict().items()})
        trainer.save_checkpoint("early.ckpt")

    stateful = Stateful()
    trained(
        tmp_path, AsyncCheckpointIO(), stateful, At(_3=save, _6=lambda trainer: disk.go.set()), strategy=disk,
        enable_checkpointing=False,
    )  # fmt: skip
    found = torch.load("early.ckpt", weights_only=False)

    assert same(found["state_dict"], kept)
    assert not torch.equal(found["state_dict"]["steps"], torch.full((4,), 6.0))
    assert len(found["callbacks"]["Stateful"]["seen"]) == 3 < len(stateful.seen)
    assert found["optimizer_states"][0]["state"][0]["step"] == 3


def test_tied_weights_and_views_share_memory_in_the_copy_and_in_its_file():
    base = torch.arange(12.0)
    given = {"whole": base, "view": base[2:8].view(2, 3).T, "again": base, "other": base.clone(), "none": base[:0]}

    found = Copy(given).checkpoint()
    base.zero_()
    file = io.BytesIO()
    torch.save(found, file)
    loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=True)

    for each in (found, loaded):
        assert each["whole"].tolist() == list(range(12))
        assert each["again"].data_ptr() == each["whole"].data_ptr() == each["view"].data_ptr() - 2 * 4
        assert each["view"].stride() == (1, 3)
        assert each["other"].data_ptr() != each["whole"].data_ptr()
    assert found["again"] is found["whole"]
    assert len(file.getvalue()) < 4000


def test_the_copy_holds_whatever_can_be_saved_and_refuses_at_once_what_cannot():
    layer = nn.Linear(2, 2)
    given = {
        "parameter": layer.weight, "module": layer, "sparse": torch.eye(3).to_sparse(),
        "half": torch.ones(2).bfloat16(), "set": {1, 2}, "counter": Counter("aab"), "type": torch.float16,
        "storage": torch.ones(2).untyped_storage(), "sealed": Sealed(nn.Linear(2, 2)), "path": Path("a/b"),
        "not a leaf": layer(torch.ones(1, 2)),
    }  # fmt: skip

    found = Copy(given).checkpoint()

    assert isinstance(found["parameter"], nn.Parameter)
    assert found["parameter"] is found["module"].weight
    assert found["parameter"].data_ptr() != layer.weight.data_ptr()
    assert torch.equal(found["sparse"].to_dense(), torch.eye(3))
    assert (found["half"].dtype, found["type"]) == (torch.bfloat16, torch.float16)
    assert (found["set"], found["counter"], found["path"]) == ({1, 2}, Counter("aab"), Path("a/b"))
    assert isinstance(found["sealed"], Sealed)  # not opened: that would execute what is in it
    assert isinstance(unseal(found["sealed"].content), nn.Linear)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        Copy({"it": lambda: None})


def test_what_cannot_be_pickled_is_refused_by_the_call_itself(tmp_path):
    class Odd(TinyModule):
        def on_save_checkpoint(self, checkpoint):
            checkpoint["odd"] = lambda: None

    with pytest.raises(CheckpointError, match="Something a hook put into it"):
        trained(tmp_path, AsyncCheckpointIO(), At(_1=lambda trainer: trainer.save_checkpoint("it.ckpt")), module=Odd())


# --- when -------------------------------------------------------------------------------------------------


def test_training_goes_on_while_a_file_is_written_and_the_next_save_waits_for_it(tmp_path):
    disk, seen = Slow(), []

    def look(trainer):
        seen.append((os.path.exists("one.ckpt"), trainer.slowest_save))
        disk.go.set()

    def save(name):
        return lambda trainer: trainer.save_checkpoint(name)

    def again(trainer):
        trainer.save_checkpoint("two.ckpt")
        seen.append(os.path.exists("one.ckpt"))

    at = At(_1=save("one.ckpt"), _3=look, _4=again)
    trainer = trained(tmp_path, AsyncCheckpointIO(), at, strategy=disk, enable_checkpointing=False)

    assert seen == [(False, 0.0), True]
    assert disk.asked == ["one.ckpt", "two.ckpt"]
    assert os.path.exists("two.ckpt")
    assert trainer.slowest_save > 0.0


def test_after_the_last_batch_and_outside_of_a_fit_a_file_is_there_at_once(tmp_path):
    seen = []

    class Looks(Callback):
        def on_train_start(self, trainer, pl_module):
            self.save(trainer)

        def on_validation_end(self, trainer, pl_module):
            if trainer.state.fn == "validate":
                self.save(trainer)

        def on_train_end(self, trainer, pl_module):
            seen.append(os.path.exists(trainer.checkpoint_callback.best_model_path))
            self.save(trainer)

        on_fit_end = on_train_end

        def save(self, trainer):
            trainer.save_checkpoint(f"{len(seen)}.ckpt")
            seen.append(os.path.exists(f"{len(seen)}.ckpt"))

    trainer = trained(tmp_path, AsyncCheckpointIO(), Looks(), ModelCheckpoint(every_n_train_steps=1))
    trainer.validate(ckpt_path="best", datamodule=TinyData())
    trainer.save_checkpoint("late.ckpt")

    assert seen == [True] * 6
    assert os.path.exists("late.ckpt")
    assert not any(thread.name == "leyden-checkpoint" for thread in threading.enumerate())


def test_what_depends_on_a_file_waits_for_it(tmp_path):
    disk, heard = Slow(), []

    class Hears(CSVLogger):
        def after_save_checkpoint(self, checkpoint_callback):
            heard.append(Path(checkpoint_callback.best_model_path).is_file())

    def files():
        return sorted(each.name for each in (tmp_path / "saved").glob("*.ckpt"))

    def until_it_is_written(trainer):
        while trainer.checkpoint_io.elapsed:
            time.sleep(0.001)

    def slow_again(trainer):
        assert not trainer.checkpoint_io.pending  # the next save was not needed for it
        disk.go.clear()

    seen = []
    saves = ModelCheckpoint(tmp_path / "saved", filename="{step}", every_n_train_steps=3, save_last="link")
    at = At(
        _3=lambda trainer: disk.go.set(), _4=until_it_is_written, _5=slow_again,
        _8=lambda trainer: seen.append((files(), os.readlink(tmp_path / "saved" / "last.ckpt"), list(heard))),
        _9=lambda trainer: disk.go.set(),
    )  # fmt: skip
    trained(
        tmp_path, AsyncCheckpointIO(), at, saves, strategy=disk, logger=Hears(tmp_path, "rows"), max_epochs=10,
        max_steps=10,
    )  # fmt: skip

    assert seen == [(["last.ckpt", "step=3.ckpt"], "step=3.ckpt", [True])]  # step=6 is in flight, and nothing is lost
    assert heard == [True] * 3
    assert files() == ["last.ckpt", "step=9.ckpt"]
    assert os.readlink(tmp_path / "saved" / "last.ckpt") == "step=9.ckpt"


def test_a_name_that_a_file_in_flight_will_have_is_taken(tmp_path):
    disk = Slow()
    at = At(_1=lambda trainer: threading.Timer(0.3, disk.go.set).start())
    saves = ModelCheckpoint(
        tmp_path / "saved", filename="it", monitor="train_loss", every_n_train_steps=1, save_top_k=-1
    )

    trained(tmp_path, AsyncCheckpointIO(), at, saves, strategy=disk, max_steps=3)

    assert sorted(each.name for each in (tmp_path / "saved").iterdir()) == ["it-v1.ckpt", "it-v2.ckpt", "it.ckpt"]


def test_a_run_that_is_asked_to_stop_has_both_files_before_it_stops(tmp_path):
    disk = Slow()

    def stop(trainer):
        threading.Timer(0.3, disk.go.set).start()
        trainer.request_stop(signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        trained(tmp_path, AsyncCheckpointIO(), At(_2=stop), ModelCheckpoint(every_n_train_steps=2), strategy=disk)

    assert disk.asked[1] == "interrupted.ckpt"
    assert torch.load(caught.value.checkpoint, weights_only=True)["global_step"] == 2
    assert os.path.exists(tmp_path / "checkpoints" / disk.asked[0])


def test_after_an_exception_the_file_in_flight_is_there_too(tmp_path):
    disk = Slow()

    def fail(trainer):
        threading.Timer(0.3, disk.go.set).start()
        raise ArithmeticError("on purpose")

    at = At(_2=lambda trainer: trainer.save_checkpoint("it.ckpt"), _3=fail)
    with pytest.raises(ArithmeticError):
        trained(tmp_path, AsyncCheckpointIO(), at, OnExceptionCheckpoint(tmp_path), strategy=disk)

    assert torch.load("it.ckpt", weights_only=True)["global_step"] == 2
    assert torch.load("on_exception.ckpt", weights_only=True)["global_step"] == 3


# --- what goes wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", [None, AsyncCheckpointIO()])
def test_a_full_disk_is_one_error_however_a_file_is_written(tmp_path, plugin):
    saves = ModelCheckpoint(tmp_path / "saved", every_n_train_steps=1, save_top_k=1)

    def fill(trainer):
        trainer.finish_saving()
        full.enter_context(files_of_at_most(2000))

    with ExitStack() as full, pytest.raises(CheckpointError) as caught:
        trained(tmp_path, plugin, At(_3=fill), saves)

    kept = [each.name for each in (tmp_path / "saved").iterdir()]
    assert "cannot be written: [Errno 27] File too large" in str(caught.value)
    assert "the earlier checkpoints are untouched" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert len(kept) == 1
    assert torch.load(tmp_path / "saved" / kept[0], weights_only=True)["global_step"] == 2


def test_a_folder_that_cannot_be_made_is_told_at_the_end_at_the_latest(tmp_path):
    (tmp_path / "file").write_text("")
    last = At(_6=lambda trainer: trainer.save_checkpoint(tmp_path / "file" / "it.ckpt"))

    with pytest.raises(CheckpointError, match=r"cannot be written: .* Make room, or save elsewhere"):
        trained(tmp_path, AsyncCheckpointIO(), last, enable_checkpointing=False, max_steps=6)

    assert last.batches == 6


def test_beside_another_error_the_file_that_failed_is_told_too(tmp_path):
    (tmp_path / "file").write_text("")

    def fail(trainer):
        raise ArithmeticError("on purpose")

    at = At(_2=lambda trainer: trainer.save_checkpoint(tmp_path / "file" / "it.ckpt"), _3=fail)
    with pytest.raises(ArithmeticError) as caught:
        trained(tmp_path, AsyncCheckpointIO(), at, enable_checkpointing=False)

    assert "Beside that, the checkpoint" in caught.value.__notes__[0]


def test_a_stop_whose_checkpoint_fails_is_no_stop_but_a_failure(tmp_path):
    def stop(trainer):
        (tmp_path / "checkpoints").write_text("a file in the place of the folder")
        trainer.request_stop(signal.SIGTERM)

    with pytest.raises(CheckpointError, match=r"interrupted\.ckpt cannot be written"):
        trained(tmp_path, AsyncCheckpointIO(), At(_2=stop), ModelCheckpoint(every_n_epochs=100))


# --- options, and what is told to others ------------------------------------------------------------------


def test_the_margin_before_a_time_limit_counts_a_save_until_its_file_is_there(tmp_path):
    disk, margins = Slow(), []
    deadline = Deadline(time.time() + 3600.0, spare=0.0)

    def begin(trainer):
        trainer.save_checkpoint("it.ckpt")
        time.sleep(0.2)
        margins.append(deadline.margin(trainer))
        disk.go.set()

    trainer = trained(tmp_path, AsyncCheckpointIO(), At(_2=begin), deadline, strategy=disk, enable_checkpointing=False)

    assert margins[0] >= 2 * 0.2  # still in flight
    assert trainer.slowest_save >= 0.2
    assert deadline.margin(trainer) >= 2 * trainer.slowest_save


def test_it_can_be_asked_for_by_name_beside_a_precision_and_goes_to_other_processes():
    trainer = Trainer(**QUIET, plugins=["async_checkpoint_io"])

    assert isinstance(trainer.checkpoint_io, AsyncCheckpointIO)
    assert not pickle.loads(pickle.dumps(trainer.checkpoint_io)).pending
    with pytest.raises(ConfigurationError, match="AsyncCheckpointIO twice"):
        Trainer(**QUIET, plugins=[AsyncCheckpointIO(), "async_checkpoint_io"])
    with pytest.raises(ConfigurationError, match="Leave the argument out, and upload files"):
        AsyncCheckpointIO(checkpoint_io=object())


def test_folders_of_all_ranks_are_written_at_once_and_that_is_said(tmp_path):
    class Together(SingleDevice):
        saves_together = True

    seen = []

    def save(trainer):
        trainer.save_checkpoint("it.ckpt")
        seen.append(os.path.exists("it.ckpt"))

    with pytest.warns(UserWarning, match="are written while training waits, as all ranks write them together"):
        trained(tmp_path, AsyncCheckpointIO(), At(_2=save), strategy=Together(), enable_checkpointing=False)

    assert seen == [True]
    assert FSDPStrategy(state_dict_type="sharded").saves_together
    assert not FSDPStrategy(state_dict_type="full").saves_together
