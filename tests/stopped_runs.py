"""Run directories that have been stopped within an epoch, made by the command line, in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from leyden.cli.main import main
from leyden.config.compose import compose
from leyden.config.frozen import freeze
from leyden.runs.directory import RunDirectory

STEPS = 18
TYPED = (
    "data=synthetic", "data.samples=64", "data.batch_size=8", "model.hidden=[4]", "model.dropout=0.2", "logger=csv",
    "trainer.max_epochs=3", "trainer.accelerator=cpu", "trainer.log_every_n_steps=1", "callbacks=[model_checkpoint]",
    "callbacks.model_checkpoint.every_n_train_steps=4",
)  # fmt: skip


def make(path: Path, *words: str, callbacks: dict[str, Any] | None = None) -> Path:
    """Make a run directory that nothing has executed yet: three epochs of six steps, a checkpoint every four.

    Args:
        path: Must not exist.
        words: Overrides.
        callbacks: Nodes of further callbacks, in which ``<run_dir>`` stands for the directory.
    """
    (path.parent / "conf").mkdir(parents=True, exist_ok=True)
    config = freeze(compose([*TYPED, *words]).config, path)
    config["callbacks"] |= json.loads(json.dumps(callbacks or {}).replace("<run_dir>", str(path)))
    return RunDirectory.create(path, config, {"overrides": list(words), "choices": {}}).path


def finished(path: Path, *words: str, callbacks: dict[str, Any] | None = None) -> Path:
    """Make a run directory that was executed to its end, undisturbed."""
    made = make(path, *words, callbacks=callbacks)
    assert main(["run", str(made)]) == 0
    return made


def stopped(path: Path, *words: str, until: int = 14) -> Path:
    """Make a run directory whose first attempt has ended after *until* steps."""
    made = make(path, *words)
    assert main(["run", str(made), "--until", str(until)]) == 0
    return made


def copied(run: Path, path: Path) -> Path:
    """Return a copy of a run directory, as ``cp -r`` makes it."""
    return Path(shutil.copytree(run, path, symlinks=True))


def checkpoints(run: Path) -> list[Path]:
    """Return the checkpoints of a run, by name."""
    return sorted((run / "checkpoints").glob("*.ckpt"))


def status(run: Path) -> dict[str, Any]:
    """Return what ``status.json`` says."""
    found: dict[str, Any] = json.loads((run / "status.json").read_text())
    return found


def outcome(run: Path) -> dict[str, Any]:
    """Return what a run came to, and the names of all that it left."""
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {
        "weights": {name: value.tolist() for name, value in last["state_dict"].items()},
        "step": last["global_step"],
        "rows": (run / "metrics.csv").read_text(),
        "result": json.loads((run / "result.json").read_text()),
        "fingerprint": json.loads((run / "fingerprint.json").read_text()),
        "files": sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()),
    }


def undated(found: dict[str, Any]) -> dict[str, Any]:
    """Return an outcome without what a first attempt has not: a second line of attempts."""
    return {**found, "files": [name for name in found["files"] if name != "attempts.jsonl"]}
