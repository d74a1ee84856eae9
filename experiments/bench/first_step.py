"""Scripts that tell when they made their first step, on the digits, as ``leyden train`` does.

python -m experiments.bench.first_step raw | leyden | lightning.pytorch
"""

from __future__ import annotations

import argparse
import time
from importlib import import_module
from typing import Any


def say(*_: Any) -> None:
    """Print the time, on a clock that is the same for all processes."""
    print(f"first step at {time.monotonic():.6f}", flush=True)


def leyden_callback() -> Any:
    """Return the callback by which ``leyden train`` tells."""
    from leyden.callback import Callback

    class FirstStep(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 0:
                say()

    return FirstStep()


def _digits() -> Any:
    import torch
    from sklearn.datasets import load_digits
    from torch.utils.data import DataLoader, TensorDataset

    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.as_tensor(images, dtype=torch.float32) / 16, torch.as_tensor(labels))
    return DataLoader(data, batch_size=64, shuffle=True)


def raw() -> None:
    """Train three steps with a loop written by hand."""
    import torch
    from torch.nn import functional as F

    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for index, (x, y) in enumerate(_digits()):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if index == 0:
            say()
        if index == 2:
            return


def with_trainer(library: str) -> None:
    """Train three steps with the `Trainer` of *library*."""
    lib = import_module(library)
    import torch
    from torch.nn import functional as F

    class Net(lib.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = F.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 0:
                say()

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=3e-3)

    lib.Trainer(max_steps=3, accelerator="cpu", devices=1).fit(Net(), _digits())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("way")
    way = parser.parse_args().way
    raw() if way == "raw" else with_trainer(way)
