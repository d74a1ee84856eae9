"""A project whose runs halt at a chosen moment until a signal asks them to stop: they are struck exactly there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOMENTS = ("start", "sanity", "validate", "test")
RUN = (
    "callbacks=holding", "trainer=cpu", "trainer.max_epochs=3", "trainer.log_every_n_steps=1", "logger=csv",
    "~callbacks.progress_bar",
    "model.hidden=[8]", "model.dropout=0.2", "data=synthetic", "data.samples=60", "data.batch_size=8",
    "trainer.num_sanity_val_steps=1", "deterministic=true",
)  # fmt: skip
FILES = {
    "pyproject.toml": "[project]\nname = 'mine'\nversion = '1'\n",
    "conf/callbacks/holding.yaml": """\
defaults:
  - default
hold:
  _target_: experiments.holding.hold.Hold
  moment: none
  number: 0
""",
    "experiments/holding/hold.py": """\
import time
from pathlib import Path

import torch

import leyden


class Hold(leyden.Callback):
    def __init__(self, moment, number):
        self.moment, self.number = moment, number

    def hold(self, trainer, moment):
        folder = Path(trainer.default_root_dir)
        if moment != self.moment or (folder / "held").exists():
            return
        (folder / "held").touch()
        while trainer._stop.signum is None:
            time.sleep(0.02)

    def on_fit_start(self, trainer, pl_module):
        self.hold(trainer, "start")

    def on_validation_batch_start(self, trainer, *args):
        self.hold(trainer, "sanity" if trainer.sanity_checking else "validate")

    def on_validation_batch_end(self, trainer, pl_module, *args):
        pl_module.log("val_drawn", torch.rand(()), batch_size=1)

    def on_test_batch_start(self, trainer, *args):
        self.hold(trainer, "test")

    def on_test_batch_end(self, trainer, pl_module, *args):
        pl_module.log("test_drawn", torch.rand(()), batch_size=1)
""",
}


def make_project(folder: Path) -> None:
    """Write the project into *folder*."""
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def is_held(run: Path) -> bool:
    """Whether the run has halted at its moment; a later attempt does not."""
    return (run / "held").exists()


def result(run: Path) -> dict[str, Any]:
    """Return what a finished run came to: the hashes of its fingerprint, its rows and its metrics."""
    status = json.loads((run / "status.json").read_text())
    assert status["status"] == "finished", status
    found = json.loads((run / "fingerprint.json").read_text())
    names = ("initial_weights", "losses", "final_weights", "final_metrics")
    hashes = {name: found[name]["sha256"] for name in names}
    metrics = json.loads((run / "result.json").read_text())["metrics"]
    checkpoints = sorted(path.name for path in (run / "checkpoints").iterdir())
    return {**hashes, "rows": (run / "metrics.csv").read_text(), "metrics": metrics, "checkpoints": checkpoints}
