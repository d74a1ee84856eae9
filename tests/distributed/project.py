"""A project with a model that can be told to fail on one of its ranks."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

MODULE = '''"""A small model; one of its ranks may fail at a step."""

import os
import signal
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

import leyden as L


class Net(L.LightningModule):
    def __init__(self, rank=-1, step=-1, how="", pause=0.0, batch_size=4):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.Tanh(), torch.nn.Linear(12, 1))
        self.ill, self.pause, self.batch_size = (rank, step, how), pause, batch_size

    def loader(self, count, shuffle):
        generator = torch.Generator().manual_seed(count)
        inputs = torch.randn(count, 6, generator=generator)
        return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), self.batch_size, shuffle=shuffle)

    def train_dataloader(self):
        return self.loader(96, True)

    def val_dataloader(self):
        return self.loader(20, False)

    def loss(self, batch):
        return torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])

    def training_step(self, batch, batch_idx):
        rank, step, how = self.ill
        if (self.global_rank, self.global_step) == (rank, step):
            self.fall_ill(how)
        time.sleep(self.pause)
        loss = self.loss(batch)
        self.log("train_loss", loss, sync_dist=True)
        return loss

    def fall_ill(self, how):
        mark = Path("was_ill")
        if how == "raise":
            raise ZeroDivisionError("the third step")
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if how == "once" and not mark.exists():
            mark.touch()
            raise ZeroDivisionError("just this once")

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)
'''
OWN = [
    *("model=mine", "data=in_module", "optimizer=none", "test=false", "logger=csv", "callbacks=quiet"),
    *("trainer.accelerator=cpu", "trainer.max_epochs=2", "trainer.num_sanity_val_steps=0"),
    "trainer.log_every_n_steps=1",
]
QUIET = """model_checkpoint:
  _target_: leyden.callbacks.ModelCheckpoint
  dirpath: ${paths.run_dir}/checkpoints
  save_last: true
  every_n_train_steps: 4
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def make(folder: Path) -> Path:
    """Make the project in *folder*."""
    for group, name, text in (
        ("model", "mine", "_target_: mine.Net\nrank: -1\nstep: -1\nhow: ''\npause: 0.0\nbatch_size: 4\n"),
        ("callbacks", "quiet", QUIET),
    ):
        (folder / "conf" / group).mkdir(parents=True)
        (folder / "conf" / group / f"{name}.yaml").write_text(text)
    (folder / "mine.py").write_text(MODULE)
    return folder


def torchrun(folder: Path, number: int, *words: str, code: int = 0, **variables: str) -> str:
    """Run *words* by torchrun on so many ranks, expect its exit code, and return what was printed."""
    return finished([*TORCHRUN, str(number), *words], folder, code, **variables)


def finished(command: list[str], folder: Path, code: int = 0, **variables: str) -> str:
    """Run *command* to its end, expect the exit code, and return what was printed."""
    done = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, env=ENVIRONMENT | variables, timeout=120
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done.stdout + done.stderr


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text())


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Return the weights that a run ended with."""
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], within: float = 0.0) -> None:
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=0, atol=within)


def wait_for(holds, seconds: float = 60.0):
    """Poll until *holds* returns something true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.01)
    raise AssertionError(f"nothing happened within {seconds} s")
