"""A fingerprint tells two results apart by a single bit, and a resumed run ends with that of an undisturbed one."""

import json
import struct

import numpy as np
import pytest
import torch
from torch import nn

import leyden as L
from leyden.callbacks import ModelCheckpoint
from leyden.runs import digest
from leyden.runs.fingerprint import Fingerprint
from leyden.runs.loss_trace import CAPACITY, LossTrace
from leyden.testing import RecordingLogger, TinyData, TinyModule


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, dtype=torch.bfloat16))


def changed(edit):
    module = net()
    with torch.no_grad():
        edit(module)
    return digest.of_weights(module)


def flip_last_bit(module):
    module[2].weight.data.view(torch.int16)[1, 3] ^= 1


CHANGES = {
    "one bit of a 16-bit weight": flip_last_bit,
    "a buffer": lambda module: module[1].num_batches_tracked.add_(1),
    "the sign of a zero": lambda module: module[1].bias.mul_(-1.0),
    "the type": lambda module: module[0].double(),
    "the shape": lambda module: setattr(module[0], "weight", nn.Parameter(module[0].weight.reshape(3, 4))),
    "a name": lambda module: module.append(module.pop(0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_hash_of_weights_changes_with(change):
    assert changed(CHANGES[change]) != digest.of_weights(net())


def test_the_hash_of_weights_depends_on_values_and_not_on_how_they_lie_in_memory():
    def transpose(module):
        module[0].weight.data = module[0].weight.data.T.contiguous().T

    assert changed(transpose) == digest.of_weights(net())


def test_weights_are_hashed_in_the_order_of_their_names():
    one, other = nn.ParameterDict(), nn.ParameterDict()
    one["a"], one["b"] = torch.ones(2), torch.zeros(())
    other["b"], other["a"] = torch.zeros(()), torch.ones(2)

    assert digest.of_weights(one) == digest.of_weights(other)


def test_weights_that_have_no_shape_yet_are_hashed_by_name():
    assert digest.of_weights(nn.LazyLinear(2)) == digest.of_weights(nn.LazyLinear(3)) != digest.of_weights(net())


def test_metrics_are_hashed_exactly_and_in_any_order():
    values = {"a": 0.1, "b": float("nan")}

    assert digest.of_metrics(values) == digest.of_metrics({"b": float("nan"), "a": 0.1})
    assert digest.of_metrics(values) != digest.of_metrics({**values, "a": 0.1 + 2**-56})


BUFFERS = {"numbers at once": None, "a buffer on the device": torch.device("cpu")}


@pytest.mark.parametrize("buffer", BUFFERS)
def test_each_step_is_one_float64(buffer, tmp_path):
    trace = LossTrace(tmp_path / "losses.f64")
    trace.begin(0, BUFFERS[buffer])
    quiet_nan = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000001))[0]

    for loss in (
        torch.tensor(0.1), torch.tensor(1.5, dtype=torch.bfloat16), None, torch.tensor([2.0]), torch.tensor([1.0, 2.0]),
        4, torch.tensor(quiet_nan, dtype=torch.float64),
    ):  # fmt: skip
        trace.note(loss)
    trace.close()

    found = np.fromfile(tmp_path / "losses.f64", "<f8")
    assert found.tolist()[:2] == [float(np.float32(0.1)), 1.5]
    assert found.tolist()[3:6] == [2.0, 3.0, 4.0]
    assert found.view(np.uint64)[[2, 6]].tolist() == [0x7FF8000000000000] * 2
    assert trace.steps == 7


@pytest.mark.parametrize("buffer", BUFFERS)
def test_any_number_of_steps_is_written_in_order(buffer, tmp_path):
    trace = LossTrace(tmp_path / "losses.f64")
    trace.begin(0, BUFFERS[buffer])

    for step in range(2 * CAPACITY + 3):
        trace.note(torch.tensor(float(step)))
    trace.close()

    assert np.fromfile(tmp_path / "losses.f64", "<f8").tolist() == list(range(2 * CAPACITY + 3))


def written(path, values, keep=0):
    trace = LossTrace(path)
    trace.begin(keep)
    for value in values:
        trace.note(torch.tensor(value))
    trace.close()
    return trace


def test_a_trace_is_cut_back_to_where_the_checkpoint_stands(tmp_path):
    whole = written(tmp_path / "whole", [1.0, 2.0, 3.0])
    written(tmp_path / "killed", [1.0, 2.0, 7.0, 8.0])
    with open(tmp_path / "killed", "ab") as file:
        file.write(b"torn")

    resumed = written(tmp_path / "killed", [3.0], keep=2)

    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert (resumed.steps, resumed.lost, resumed.sha256) == (3, 0, whole.sha256)


def test_losses_that_a_power_cut_took_are_told(tmp_path):
    written(tmp_path / "losses", [1.0, 2.0])

    trace = written(tmp_path / "losses", [5.0], keep=4)

    assert np.fromfile(tmp_path / "losses", "<f8").tolist()[::4] == [1.0, 5.0]
    assert (trace.steps, trace.lost) == (5, 2)


class Silent(TinyModule):
    """Steps its optimizer itself and returns nothing."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self._loss(batch))
        optimizer.step()


class InTurns(TinyModule):
    """Two optimizers that take turns."""

    def training_step(self, batch, batch_idx, optimizer_idx):
        return self(batch[0]).sum() * 0 + optimizer_idx + 1.0

    def configure_optimizers(self):
        return [torch.optim.SGD([parameter], lr=0.1) for parameter in self.layer.parameters()]


class Skipping(TinyModule):
    """Skips every second batch."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) if batch_idx % 2 else None


def train(folder, module, resumed=False, ckpt_path=None, **options):
    folder.mkdir(exist_ok=True)
    L.seed_everything(1, verbose=False)
    fingerprint = Fingerprint(folder, resumed)
    trainer = L.Trainer(
        max_epochs=3,
        default_root_dir=folder,
        logger=RecordingLogger(),
        callbacks=[fingerprint, ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        **options,
    )
    trainer.fit(module, TinyData(train=4), ckpt_path=ckpt_path)
    fingerprint.finish(trainer, {"val_loss": float(trainer.callback_metrics["val_loss"])})
    return json.loads((folder / "fingerprint.json").read_text()), np.fromfile(folder / "losses.f64", "<f8")


def test_a_run_ends_with_a_complete_fingerprint(tmp_path):
    found, losses = train(tmp_path / "run", TinyModule())

    assert found["version"] == 1
    assert found["complete"] is True
    assert found["losses"]["steps"] == len(losses) == 12
    assert found["logged"]["rows"] == 12 + 3
    assert (found["initial_weights"]["step"], found["final_weights"]["step"]) == (0, 12)
    assert found["initial_weights"]["sha256"] != found["final_weights"]["sha256"]
    assert list(found["final_metrics"]["values"]) == ["val_loss"]


def test_the_same_run_has_the_same_fingerprint_and_another_learning_rate_another_one(tmp_path):
    one, again = train(tmp_path / "one", TinyModule()), train(tmp_path / "again", TinyModule())
    other, losses = train(tmp_path / "other", TinyModule(lr=0.11))

    assert one[0] == again[0]
    assert other["initial_weights"] == one[0]["initial_weights"]
    assert other["final_weights"] != one[0]["final_weights"]
    assert losses[0] == one[1][0]


@pytest.mark.parametrize(
    ("module", "expected"),
    [(Silent, "nan nan nan nan"), (InTurns, "3.0 3.0 3.0 3.0"), (Skipping, "nan 1 nan 1")],
)
def test_every_kind_of_step_has_its_entry(module, expected, tmp_path):
    found, losses = train(tmp_path / "run", module())

    shown = " ".join("1" if module is Skipping and not np.isnan(loss) else str(loss) for loss in losses[:4])
    assert shown == expected
    assert found["losses"]["steps"] == 12


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")  # resumed elsewhere on purpose
@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 3}])
def test_a_resumed_run_ends_with_the_fingerprint_of_the_whole_one(options, tmp_path):
    whole, losses = train(tmp_path / "whole", TinyModule(), **options)

    saved = sorted((tmp_path / "whole").glob("step=*.ckpt"))[::3]
    assert saved
    for checkpoint in saved:
        folder = tmp_path / checkpoint.stem
        folder.mkdir()
        (folder / "losses.f64").write_bytes((tmp_path / "whole" / "losses.f64").read_bytes())
        found, resumed = train(folder, TinyModule(), resumed=True, ckpt_path=checkpoint, **options)

        assert found == whole, checkpoint
        assert resumed.tolist() == losses.tolist()


def train_and_test(folder, best, resumed=False, ckpt_path=None):
    """Train, and test the checkpoint *best* before the fingerprint is complete, as a run does."""
    folder.mkdir(exist_ok=True)
    L.seed_everything(1, verbose=False)
    fingerprint = Fingerprint(folder, resumed)
    saving = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1}
    trainer = L.Trainer(
        max_epochs=3, default_root_dir=folder, logger=RecordingLogger(), callbacks=[fingerprint, saving], **quiet
    )
    module = TinyModule()
    trainer.fit(module, TinyData(train=4), ckpt_path=ckpt_path)
    trainer.test(module, TinyData(train=4), ckpt_path=best, verbose=False)
    fingerprint.finish(trainer, {"val_loss": float(trainer.callback_metrics.get("val_loss", 0.0))})
    return json.loads((folder / "fingerprint.json").read_text())


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")  # resumed elsewhere on purpose
def test_testing_the_best_checkpoint_leaves_the_fingerprint_of_a_resumed_run_as_it_is(tmp_path):
    best, last = tmp_path / "whole" / "step=3.ckpt", tmp_path / "whole" / "step=9.ckpt"
    whole = train_and_test(tmp_path / "whole", best)
    folder = tmp_path / "resumed"
    folder.mkdir()
    (folder / "losses.f64").write_bytes((tmp_path / "whole" / "losses.f64").read_bytes())

    found = train_and_test(folder, best, resumed=True, ckpt_path=last)

    assert found == whole
    assert found["logged"]["rows"] > 12


def test_only_final_metrics_are_called_evaluated(tmp_path):
    found = train_and_test(tmp_path / "run", None)

    assert set(found["final_metrics"]["evaluated"]) <= set(found["final_metrics"]["values"])
    assert found["final_metrics"]["evaluated"] == ["val_loss"]


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_a_run_that_starts_from_anothers_checkpoint_has_a_fingerprint_of_its_own(tmp_path):
    first, _ = train(tmp_path / "first", TinyModule())

    found, losses = train(tmp_path / "second", TinyModule(), ckpt_path=tmp_path / "first" / "step=8.ckpt")

    assert len(losses) == found["losses"]["steps"] == 4
    assert found["initial_weights"]["step"] == 8
    assert found["initial_weights"]["sha256"] != first["initial_weights"]["sha256"]
    assert found["final_weights"] == first["final_weights"]


class Breaks(TinyModule):
    def training_step(self, batch, batch_idx):
        if self.global_step == 6:
            raise OSError("the disk is full")
        return super().training_step(batch, batch_idx)


def test_a_run_that_breaks_off_keeps_what_there_was_and_is_not_complete(tmp_path):
    with pytest.raises(OSError, match="the disk is full"):
        train(tmp_path / "run", Breaks())

    found = json.loads((tmp_path / "run" / "fingerprint.json").read_text())
    assert found["complete"] is False
    assert found["losses"]["steps"] == len(np.fromfile(tmp_path / "run" / "losses.f64")) == 6
    assert found["initial_weights"] is not None
    assert found["final_weights"] is None
