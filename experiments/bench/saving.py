"""Who writes a checkpoint how fast: 200 MB of weights, no optimizer state.

python -m experiments.bench.saving 'leyden' INBOX OUTBOX
python -m experiments.bench.saving stalls                   how long training waits, at once and beside training
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from experiments.bench.gate import Gate

WAYS = {"torch.save": "", "torch.save, fsync": "", "leyden": "leyden", "lightning": "lightning.pytorch"}
_TENSORS, _SIDE = 50, 1000  # of float32: 4 MB each


def _weights() -> nn.ParameterList:
    return nn.ParameterList(torch.randn(_SIDE, _SIDE) for _ in range(_TENSORS))


def with_torch(gate: Gate, to_disk: bool) -> None:
    """Save with `torch.save`, and wait for the disk or not."""
    model, path = _weights(), Path("weights.pt")
    while True:
        gate.turn()
        with path.open("wb") as file:
            torch.save({"state_dict": model.state_dict()}, file)
            if to_disk:
                file.flush()
                os.fsync(file.fileno())


def with_trainer(gate: Gate, library: str) -> None:
    """Save with the trainer's `save_checkpoint`, in the middle of a fit."""
    lib = import_module(library)

    class Net(lib.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.weights = _weights()

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            while True:
                gate.turn()
                self.trainer.save_checkpoint("weights.ckpt")

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    off = ("enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = lib.Trainer(accelerator="cpu", devices=1, max_steps=1, logger=False, **dict.fromkeys(off, False))
    trainer.fit(Net(), [torch.zeros(1)])


def stalls(rounds: int = 15) -> None:
    """Print how long training waits for a save in Leyden: written at once, and while training goes on."""
    import leyden

    for plugin in (None, "async_checkpoint_io"):
        waits: list[float] = []

        class Net(leyden.LightningModule):
            def __init__(self, waits: list[float]) -> None:
                super().__init__()
                self.weights, self.waits = _weights(), waits

            def training_step(self, batch: Any, batch_idx: int) -> Any:
                self.trainer.finish_saving()  # a step is as long as it takes to write
                began = time.perf_counter()
                self.trainer.save_checkpoint("weights.ckpt")
                self.waits.append(time.perf_counter() - began)

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), lr=0.1)

        trainer = leyden.Trainer(
            accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, plugins=plugin,
        )  # fmt: skip
        trainer.fit(Net(waits), DataLoader(torch.zeros(rounds)))
        low, middle, high = (1000 * each for each in statistics.quantiles(waits, n=4))
        print(f"{plugin or 'at once':<20} waits {middle:.0f} ms ({low:.0f}-{high:.0f}) of {rounds} saves")


def main(way: str, inbox: str, outbox: str) -> None:
    """Save once a turn, until told to leave."""
    torch.set_num_threads(1)
    gate = Gate(1, int(inbox), int(outbox))
    if WAYS[way]:
        with_trainer(gate, WAYS[way])
    with_torch(gate, to_disk=way.endswith("fsync"))


if __name__ == "__main__":
    stalls() if sys.argv[1:] == ["stalls"] else main(*sys.argv[1:])
