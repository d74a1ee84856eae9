"""Differences that take two ranks to be seen: see ``tests/distributed/observed_on_ranks.py``, which is run once."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from observing import observed

SCRIPT = Path(__file__).parents[1] / "distributed" / "observed_on_ranks.py"


@functools.cache
def seen():
    """Return what was seen on two ranks, by library and name."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "seen.json"
        words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(SCRIPT), str(file)]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(file.read_text("utf-8"))


@observed(
    "order_of_shared_samples",
    theirs=[[4.0, 7.0, 2.0, 1.0], [0.0, 3.0, 5.0, 6.0]],
    ours=[[0.0, 2.0, 4.0, 6.0], [1.0, 3.0, 5.0, 7.0]],
)
def _(library, tmp_path):
    return seen()[library.__name__]["order_of_shared_samples"]


@observed("samples_of_a_shared_evaluation", theirs=[0.0, 0.0, 1.0, 2.0, 3.0, 4.0], ours=[0.0, 1.0, 2.0, 3.0, 4.0])
def _(library, tmp_path):
    return seen()[library.__name__]["samples_of_a_shared_evaluation"]


@observed(
    "iterable_data_on_ranks",
    theirs=[[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]] * 2,
    ours=[[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]],
)
def _(library, tmp_path):
    return seen()[library.__name__]["iterable_data_on_ranks"]


@observed("hooks_of_gradients_on_cpus", theirs=False, ours=True)
def _(library, tmp_path):
    return seen()[library.__name__]["hooks_of_gradients_on_cpus"]


SCRIPT_OF_RANKS = """
import torch, LIBRARY as L
from torch.utils.data import DataLoader

with open("lines.txt", "a") as file:
    file.write("began\\n")

class Module(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def train_dataloader(self):
        return DataLoader(torch.ones(4, 2))

quiet = dict(logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False)
L.Trainer(accelerator="cpu", devices=2, max_steps=1, **quiet).fit(Module())
"""


@observed("script_of_several_ranks", theirs=2, ours=1)
def _(library, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT_OF_RANKS.replace("LIBRARY", library.__name__), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return len((tmp_path / "lines.txt").read_text("utf-8").splitlines())
