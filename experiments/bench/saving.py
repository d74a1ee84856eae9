"""Who writes a checkpoint how fast: 200 MB of weights, no optimizer state.

python -m experiments.bench.saving 'leyden' INBOX OUTBOX
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

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


def main(way: str, inbox: str, outbox: str) -> None:
    """Save once a turn, until told to leave."""
    torch.set_num_threads(1)
    gate = Gate(1, int(inbox), int(outbox))
    if WAYS[way]:
        with_trainer(gate, WAYS[way])
    with_torch(gate, to_disk=way.endswith("fsync"))


if __name__ == "__main__":
    main(*sys.argv[1:])
