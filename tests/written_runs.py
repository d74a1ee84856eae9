"""Run directories written by hand, for tests that read them: whole, broken, hostile."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml

CONFIG = {
    "_target_": "leyden.experiment.Experiment",
    "name": "digits",
    "seed": 1,
    "model": {"_target_": "leyden.models.MLP", "hidden": [64, 32]},
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.003},
}
STATUS = {
    "status": "finished",
    "created": "2026-03-01T10:00:00+00:00",
    "started": "2026-03-01T10:00:01+00:00",
    "ended": "2026-03-01T10:21:43+00:00",
    "attempts": 1,
    "epoch": 20,
    "step": 24000,
    "host": "node7",
}
MANIFEST = {
    "version": 1,
    "argv": ["leyden", "train"],
    "code": {"root": "/home/ada/digits", "commit": "3f2a9c1d77", "branch": "main", "dirty": False, "hash": "ab12" * 16},
    "environment": {"python": "3.11.9", "packages": {"numpy": "2.1.0", "torch": "2.13.0"}, "cpu": {"cores": 8}},
    "determinism": {"use_deterministic_algorithms": True},
    "seeds": {"seed": 1},
    "data": {"train": {"kind": "files", "sha256": "cd34" * 16}},
}


def write(path: Path, config: Any = None, typed: tuple[str, ...] = (), **files: Any) -> Path:
    """Write a run directory; of *files*, a mapping is written as JSON, a text as it is, None not at all.

    Args:
        path: Of the directory.
        config: Changes to `CONFIG`.
        typed: The overrides.
        files: By name with ``_`` for ``.``; beside the usual ones.
    """
    (path / "logs").mkdir(parents=True)
    found = {**CONFIG, **(config or {}), "paths": {"run_dir": str(path)}}
    (path / "config.yaml").write_text(yaml.safe_dump(found, sort_keys=False))
    (path / "overrides.yaml").write_text(yaml.safe_dump({"overrides": list(typed), "choices": {}}))
    usual = {"status_json": STATUS, "manifest_json": MANIFEST}
    for name, content in {**usual, **files}.items():
        if content is not None:
            file = path / name.replace("_", ".")
            file.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def metrics(steps: int = 24000, every: int = 50, epochs: int = 20, shift: float = 0.0, noise: float = 1.0) -> str:
    """Return a metrics.csv as a run of so many steps would leave it."""
    random = np.random.default_rng(int(shift * 1000) + 1)
    validated = {round((epoch + 1) * steps / epochs) - 1 for epoch in range(epochs)}
    lines = ["step,epoch,train_loss,lr-AdamW,val_loss,val_acc"]
    for step in range(every - 1, steps, every):
        done = step / steps
        loss = 2.3 * math.exp(-7 * done * (1 + shift)) + 0.08 + noise * abs(random.normal(0, 0.05))
        lines.append(f"{step},{int(done * epochs)},{loss!r},{0.0015 * (1 + math.cos(math.pi * done))!r},,")
        if step in validated:
            lines.append(f"{step},{int(done * epochs)},,,{loss + 0.07!r},{0.97 - 0.7 * math.exp(-9 * done)!r}")
    return "\n".join(lines) + "\n"


def log(steps: int = 24000, epochs: int = 20) -> str:
    """Return the log of such a run."""
    lines = ["2026-03-01 10:00:01,000 INFO leyden.run: training starts at epoch 0, step 0"]
    lines += [
        f"2026-03-01 10:{epoch + 1:02d}:{(epoch * 7) % 5:02d},500 INFO leyden.run: epoch {epoch}, "
        f"step {(epoch + 1) * steps // epochs}: train_loss 0.2"
        for epoch in range(epochs)
    ]
    return "\n".join(lines) + "\n"
