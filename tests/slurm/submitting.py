"""Run directories for a cluster, and ``leyden`` as a person on its login node would call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leyden.config.compose import compose
from leyden.config.frozen import freeze
from leyden.runs import manifest
from leyden.runs.directory import RunDirectory

QUICK = ("trainer=cpu", "trainer.max_epochs=1", "test=false", "logger=csv")
HELD = "hydra.launcher.additional_parameters={hold:true}"  # submitted, and never begun


def prepared(place: Path, count: int, overrides: Sequence[str] = QUICK) -> list[Path]:
    """Make run directories below *place*, as ``leyden train`` would before it hands them over."""
    config = compose([*overrides, f"paths.work_dir={place}"]).config
    surroundings = manifest.Surroundings()
    found = []
    for number in range(count):
        path = place / "runs" / "prepared" / str(number)
        frozen = freeze(config, path)
        run = RunDirectory.create(path, frozen, {"overrides": list(overrides), "choices": {}})
        manifest.begin(run, ["leyden", "train"], config=frozen, surroundings=surroundings)
        found.append(path)
    return found


def leyden(folder: Path, *words: Any, code: int = 0, **variables: str) -> str:
    """Run ``leyden words`` in *folder* to its end, expect the exit code, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "leyden", *map(str, words)],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        timeout=280,
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def told(run: Path, name: str = "job.json") -> dict[str, Any]:
    """Return what a file of a run says."""
    found: dict[str, Any] = json.loads((run / name).read_text())
    return found


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file below *folder*, to see whether anything was touched."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def until_finished(run: Path, seconds: float = 120.0) -> None:
    """Wait until a run says that it is finished."""
    end = time.monotonic() + seconds
    while told(run, "status.json")["status"] != "finished":
        assert time.monotonic() < end, told(run, "status.json")
        time.sleep(0.2)
