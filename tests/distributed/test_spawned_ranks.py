"""`Trainer(devices=2)` in a plain script starts ranks, and what they did comes back to the caller."""

import signal
import subprocess
import sys

import torch

from tests.distributed.project import ENVIRONMENT, assert_equal, finished, torchrun, wait_for

MODULE = """
import sys
import time

import torch
from torch.utils.data import DataLoader, TensorDataset

import {package} as L


class Probe(L.Callback):
    def __init__(self):
        self.losses, self.trainer = [], None

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())
        self.trainer = trainer


class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.Dropout(0.3), torch.nn.Linear(12, 1))
        self.loss = lambda batch: torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch_idx)
        loss = self.loss(batch)
        self.log("train_loss", loss, sync_dist=True)
        return loss

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self.loss(batch), sync_dist=True)

    def predict_step(self, batch, batch_idx):
        return self.net(batch[0])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def loader(count, shuffle=False):
    generator = torch.Generator().manual_seed(count)
    inputs = torch.randn(count, 6, generator=generator)
    return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), 4, shuffle=shuffle)


def trainer(*callbacks, **options):
    return L.Trainer(
        accelerator="cpu", devices=2, enable_progress_bar=False, enable_model_summary=False,
        callbacks=list(callbacks), **{{"max_epochs": 2, "logger": False, **options}},
    )
"""

WHOLE = """
L.seed_everything(3)
probe, net = Probe(), Net()
made = trainer(probe, default_root_dir=sys.argv[1] + ".files")
made.fit(net, loader(48, shuffle=True))
made.save_checkpoint(sys.argv[1] + ".ckpt", weights_only=True)
results = made.test(net, loader(13), verbose=False)
predictions = made.predict(net, loader(9))
if made.is_global_zero:
    torch.save(
        {
            "weights": net.state_dict(), "losses": probe.losses, "same": probe.trainer is made, "seen": net.seen,
            "results": results, "predictions": predictions, "step": made.global_step, "epoch": made.current_epoch,
            "metrics": dict(made.callback_metrics),
            "best": made.checkpoint_callback.best_model_path.rpartition(".files")[2],
            "drawn": torch.rand(3), "attached": net.trainer is made,
        },
        sys.argv[1],
    )
"""


def write(folder, *parts, package="leyden"):
    (folder / "script.py").write_text("\n".join([MODULE.format(package=package), *parts]))
    return folder / "script.py"


def run(folder, *words, **options):
    return finished([sys.executable, "script.py", *words], folder, **options)


def test_a_script_without_a_guard_gives_what_torchrun_gives_bit_for_bit(tmp_path):
    write(tmp_path, WHOLE)

    run(tmp_path, "started.pt")
    torchrun(tmp_path, 2, "script.py", "torchrun.pt")

    saved = torch.load(tmp_path / "started.pt.ckpt")
    started, theirs = (torch.load(tmp_path / f"{name}.pt") for name in ("started", "torchrun"))
    assert_equal(started["weights"], saved["state_dict"])
    assert_equal(started.pop("weights"), theirs.pop("weights"))
    for name in ("drawn", "predictions"):
        for one, other in zip(started.pop(name), theirs.pop(name), strict=True):
            assert torch.equal(one, other)
    assert started == theirs
    assert started["same"]
    assert started["attached"]
    assert len(started["losses"]) == len(started["seen"]) == 12


def test_a_script_written_for_lightning_starts_ranks_under_leyden_lightning(tmp_path):
    fit = "made = trainer(Probe())\nmade.fit(Net(), loader(48))\nprint(type(made), made.global_step)"
    write(tmp_path, fit, package="lightning.pytorch")

    said = finished([sys.executable, "-m", "leyden", "lightning", "script.py"], tmp_path)

    assert "<class 'leyden.trainer.Trainer'> 12" in said


def test_what_a_rank_raises_is_raised_with_its_number_and_what_cannot_be_sent_is_named(tmp_path):
    write(
        tmp_path,
        """
import os
import threading

class Ill(Net):
    def training_step(self, batch, batch_idx):
        if self.global_rank == 1 and batch_idx == 2:
            self.fall_ill()
        return super().training_step(batch, batch_idx)

    def fall_ill(self):
        raise KeyError("of rank 1")

class Killed(Ill):
    def fall_ill(self):
        os.kill(os.getpid(), 9)

class Locked(Net):
    def __init__(self):
        super().__init__()
        self.tools = {"lock": [threading.Lock()]}

for net in (Ill(), Killed(), Locked()):
    try:
        trainer().fit(net, loader(48))
    except Exception as error:
        print(type(error).__name__, error, *getattr(error, "__notes__", []), "END", sep=" | ")
""",
    )

    ill, killed, locked = run(tmp_path).split("END")[:3]

    assert "KeyError | 'of rank 1' | raised on rank 1 of 2:" in ill
    assert "in fall_ill" in ill
    assert "RankError | rank 1 of 2 was ended by signal 9" in killed
    assert "ConfigurationError | model.tools['lock'][0] is a _thread.lock" in locked


def test_ctrl_c_stops_the_ranks_at_a_step_and_the_caller_goes_on(tmp_path):
    write(
        tmp_path,
        """
class Slow(Net):
    def training_step(self, batch, batch_idx):
        print("step", flush=True)
        time.sleep(0.05)
        return super().training_step(batch, batch_idx)

made, net = trainer(max_epochs=1000), Slow()
try:
    made.fit(net, loader(48))
except KeyboardInterrupt as stop:
    done = made.global_step
    print(type(stop).__name__, stop.checkpoint, made.interrupted, done > 0, len(net.seen) == done)
""",
    )
    out = tmp_path / "out.txt"
    with open(out, "w") as file:
        process = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, stdout=file, env=ENVIRONMENT)
    wait_for(lambda: "step" in out.read_text())

    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 0
    last = out.read_text().splitlines()[-1].split()
    assert last[0] == "Interrupted"
    assert last[1].endswith("checkpoints/interrupted.ckpt")
    assert last[2:] == ["True", "True", "True"]
