"""Whichever process of a run on two ranks is killed, at any moment, the others save, end within seconds, and let go."""

import fcntl
import os
import signal
import subprocess
import sys

import psutil
import pytest
import torch

from tests.distributed.project import ENVIRONMENT, assert_equal, status, wait_for, weights
from tests.journeys.command import leyden, start

MODULE = '''"""A small model that stays at one place until it is told to go on."""

import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

import leyden as L


class Net(L.LightningModule):
    def __init__(self, stay=""):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.Dropout(0.3), torch.nn.Linear(12, 1))
        self.stay = stay

    def reach(self, place):
        if self.stay == place and self.global_step >= 6:
            Path(f"reached{self.global_rank}").touch()
            if not Path("go").exists():
                time.sleep(0.2)

    def loader(self, count):
        generator = torch.Generator().manual_seed(count)
        inputs = torch.randn(count, 6, generator=generator)
        return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), 4, shuffle=count == 80)

    def train_dataloader(self):
        return self.loader(80)

    def val_dataloader(self):
        return self.loader(96)

    test_dataloader = val_dataloader

    def loss(self, batch):
        return torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])

    def training_step(self, batch, batch_idx):
        self.reach("training")
        return self.loss(batch)

    def validation_step(self, batch, batch_idx):
        self.reach("validating")
        self.log("val_loss", self.loss(batch), sync_dist=True)

    def test_step(self, batch, batch_idx):
        self.reach("testing")
        self.log("test_loss", self.loss(batch), sync_dist=True)

    def on_save_checkpoint(self, checkpoint):
        self.reach("saving")

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)
'''
QUIET = """model_checkpoint:
  _target_: leyden.callbacks.ModelCheckpoint
  dirpath: ${paths.run_dir}/checkpoints
  save_last: true
  every_n_train_steps: 2
"""
RUN = ["train", "model=mine", "data=in_module", "optimizer=none", "logger=csv", "callbacks=quiet",
       "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=2", "paths.run_dir=run"]  # fmt: skip


def project(folder):
    for group, name, text in (
        ("model", "mine", "_target_: mine.Net\nstay: ''\n"), ("callbacks", "quiet", QUIET),
    ):  # fmt: skip
        (folder / "conf" / group).mkdir(parents=True)
        (folder / "conf" / group / f"{name}.yaml").write_text(text)
    (folder / "mine.py").write_text(MODULE)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The weights of a run that nothing disturbed."""
    folder = project(tmp_path_factory.mktemp("whole"))
    leyden(folder, *RUN)
    return weights(folder / "run")


def ranks_of(starter):
    """Return the two ranks that a process has started, once there are two."""
    found = psutil.Process(starter.pid).children()
    return found if len(found) == 2 else None


def locked(run):
    with open(run / ".lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def gone(processes):
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


@pytest.mark.parametrize("place", ["starting", "training", "validating", "testing", "saving"])
def test_ranks_whose_starter_is_killed_save_end_and_go_on_with_the_same_bits(place, whole, tmp_path):
    folder = project(tmp_path)
    starter = start(folder, *RUN, f"model.stay={place}")
    ranks = wait_for(lambda: ranks_of(starter), 120)
    if place != "starting":
        wait_for(lambda: (folder / "reached0").exists() and (folder / "reached1").exists(), 120)

    starter.kill()
    starter.wait()

    wait_for(lambda: gone(ranks), 40)
    assert not locked(folder / "run")
    if place != "starting":
        assert status(folder / "run")["status"] == "interrupted"
        assert "SIGTERM" in status(folder / "run")["error"]
    if place == "training":
        saved = torch.load(folder / "run" / "checkpoints" / "interrupted.ckpt", weights_only=True)
        assert saved["global_step"] == status(folder / "run")["step"] >= 6
    (folder / "go").touch()
    leyden(folder, "run", "run")
    assert_equal(whole, weights(folder / "run"))


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed_ends_all(victim, whole, tmp_path):
    folder = project(tmp_path)
    starter = start(folder, *RUN, "model.stay=training")
    ranks = wait_for(lambda: ranks_of(starter), 120)
    wait_for(lambda: (folder / "reached0").exists() and (folder / "reached1").exists(), 120)

    next(each for each in ranks if each.environ()["RANK"] == str(victim)).kill()

    assert starter.wait(60) == 128 + signal.SIGKILL
    assert gone(ranks)
    assert status(folder / "run")["error"].startswith(f"rank {victim} of 2 was ended by SIGKILL")
    (folder / "go").touch()
    leyden(folder, "run", "run")
    assert_equal(whole, weights(folder / "run"))


def test_ranks_of_a_script_that_is_killed_save_and_end(tmp_path):
    folder = project(tmp_path)
    (folder / "script.py").write_text(
        "import leyden as L\n"
        "from mine import Net\n"
        "trainer = L.Trainer(accelerator='cpu', devices=2, max_epochs=50, logger=False, enable_progress_bar=False)\n"
        "trainer.fit(Net('training'))\n"
    )
    starter = subprocess.Popen([sys.executable, "script.py"], cwd=folder, env={**ENVIRONMENT, "PYTHONPATH": "."})
    wait_for(lambda: (folder / "reached0").exists() and (folder / "reached1").exists(), 120)
    ranks = ranks_of(starter)

    starter.kill()
    starter.wait()

    wait_for(lambda: gone(ranks), 40)
    assert list(folder.glob("**/interrupted.ckpt"))


def test_ranks_of_torchrun_that_is_killed_save_and_end(tmp_path):
    folder = project(tmp_path)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "leyden"]
    starter = subprocess.Popen([*words, *RUN, "model.stay=training"], cwd=folder, env=ENVIRONMENT)
    wait_for(lambda: (folder / "reached0").exists() and (folder / "reached1").exists(), 120)
    ranks = ranks_of(starter)

    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()

    wait_for(lambda: gone(ranks), 40)
    assert not locked(folder / "run")
    assert status(folder / "run")["status"] == "interrupted"
