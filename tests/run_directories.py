"""Run directories made by the code that makes them, without training anything."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from leyden.runs.directory import RunDirectory

CONFIG: dict[str, Any] = {
    "_target_": "leyden.experiment.Experiment",
    "name": "digits",
    "seed": 0,
    "tags": [],
    "model": {"_target_": "leyden.models.MLP", "hidden": [128], "dropout": 0.0},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.003, "eps": 1e-08},
    "scheduler": {},
    "trainer": {"max_epochs": 3, "enable_progress_bar": True, "gradient_clip_val": None},
    "callbacks": {
        "model_checkpoint": {"_target_": "leyden.callbacks.ModelCheckpoint", "dirpath": "<run_dir>/checkpoints"},
        "progress_bar": {"_target_": "leyden.callbacks.default_progress_bar"},
    },
    "logger": {"csv": {"_target_": "leyden.loggers.CSVLogger", "save_dir": "<run_dir>"}},
    "paths": {"work_dir": "/somewhere", "output_dir": "runs", "run_dir": "<run_dir>"},
}


def changed(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a config with some dotted keys set."""
    found = copy.deepcopy(config)
    for key, value in changes.items():
        *parents, last = key.split(".")
        part = found
        for parent in parents:
            part = part[parent]
        part[last] = value
    return found


def placed(value: Any, run_dir: str) -> Any:
    """Put a run directory where its stand-in is."""
    if isinstance(value, dict):
        return {key: placed(item, run_dir) for key, item in value.items()}
    return value.replace("<run_dir>", run_dir) if isinstance(value, str) else value


def make(
    path: Path,
    changes: dict[str, Any] | None = None,
    metrics: dict[str, float] | None = None,
    manifest: dict[str, Any] | None = None,
    typed: tuple[str, ...] = (),
    choices: dict[str, Any] | None = None,
    **status: Any,
) -> RunDirectory:
    """Make a run directory; with *metrics* a finished one.

    Args:
        path: Must not exist.
        changes: To the config, by dotted key.
        metrics: Final ones.
        manifest: Content of ``manifest.json``.
        typed: Overrides.
        choices: Of groups.
        status: Changes to ``status.json``.
    """
    config = placed(changed(CONFIG, changes or {}), str(path))
    run = RunDirectory.create(path, config, {"overrides": list(typed), "choices": choices or {}})
    if manifest is not None:
        (path / "manifest.json").write_text(json.dumps(manifest))
    if metrics is not None:
        run.write_result(metrics, None)
        run.update(status="finished", **status)
    elif status:
        run.update(**status)
    return run
