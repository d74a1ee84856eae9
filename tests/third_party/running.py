"""Run a program under Lightning and under Leyden, each in a folder of its own, with a witness of what it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
LEYDEN = (sys.executable, "-m", "leyden", "lightning")


class Folders(NamedTuple):
    """Where a program was run.

    Attributes:
        lightning: Under Lightning.
        leyden: Under Leyden.
    """

    lightning: Path
    leyden: Path


def run(folder: Path, *words: str) -> str:
    """Run the command *words* in *folder*, and return what it printed."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        words,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(HERE / "witness"),
            "PYTHONWARNINGS": "ignore",
            "WITNESS": str(folder),
        },
        timeout=600,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done.stdout + done.stderr


def run_under_both(root: Path, program: str) -> Folders:
    """Run the file *program* of `PROGRAMS` under either library, below *root*."""
    folders = Folders(root / "lightning", root / "leyden")
    run(folders.lightning, sys.executable, str(PROGRAMS / program))
    run(folders.leyden, *LEYDEN, str(PROGRAMS / program))
    return folders


def result(folder: Path) -> dict:
    """Return what a program wrote down."""
    return json.loads((folder / "result.json").read_text("utf-8"))


def sources(folder: Path) -> set[str]:
    """Return the files that modules of Lightning's names came from, in every process that was run in *folder*."""
    witnesses = list(folder.glob("modules-*.json"))
    assert witnesses, "nobody was watching"
    return {place for each in witnesses for place in json.loads(each.read_text("utf-8")).values()}
