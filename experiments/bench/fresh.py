"""What a fresh process costs: imports, and the way to the first training step.

Each kind has its turn in each round, in an order drawn anew; ratios are taken within a round.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from experiments.bench.drive import environment

_COUNT = "; import sys; print('modules', len(sys.modules))"
IMPORTS = {
    "torch": "import torch",
    "leyden": "import torch, leyden",
    "leyden, Trainer and all": "from leyden import Callback, LightningDataModule, LightningModule, Trainer",
    "lightning": "import lightning.pytorch",
}
_START = ["-m", "experiments.bench.first_step"]
_LEYDEN = ["-m", "leyden", "train", "trainer.max_steps=3", "test=false"]
STARTS = {
    "raw script": [*_START, "raw"],
    "leyden train": [*_LEYDEN, "+callbacks.first_step._target_=experiments.bench.first_step.leyden_callback"],
    "leyden script": [*_START, "leyden"],
    "lightning script": [*_START, "lightning.pytorch"],
}


class Fresh(NamedTuple):
    """One process from its start to its end."""

    seconds: float
    cpu: float  # seconds of all its threads, from its start to its end
    first_step: float  # seconds from the start to the first step; nan if it tells of none
    modules: int
    peak_mib: float


def once(words: Sequence[str]) -> Fresh:
    """Run one process in an empty folder of its own.

    Raises:
        RuntimeError: If it fails; carries what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        said = Path(folder, "said.txt")
        with said.open("w") as out:
            began = time.monotonic()
            process = subprocess.Popen([sys.executable, *words], cwd=folder, env=environment(), stdout=out, stderr=out)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        text = said.read_text()
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with exit code {process.returncode}:\n{text[-3000:]}")
    modules, step = re.search(r"modules (\d+)", text), re.search(r"first step at ([\d.]+)", text)
    first_step = float(step[1]) - began if step else float("nan")
    return Fresh(
        seconds, usage.ru_utime + usage.ru_stime, first_step, int(modules[1]) if modules else 0, usage.ru_maxrss / 1024
    )


def imports(rounds: int) -> dict[str, Any]:
    """Measure ``import leyden`` and others over ``import torch``."""
    return _over("torch", {name: ["-c", code + _COUNT] for name, code in IMPORTS.items()}, "seconds", rounds)


def starts(rounds: int) -> dict[str, Any]:
    """Measure the time from the start of the process to its first training step."""
    return _over("raw script", STARTS, "first_step", rounds)


def _over(first: str, commands: dict[str, list[str]], figure: str, rounds: int) -> dict[str, Any]:
    for words in commands.values():
        once(words)  # files come into the cache, and byte code is written
    runs = {name: [] for name in commands}  # type: dict[str, list[Fresh]]
    order, draw = list(commands), random.Random(0)
    for _ in range(rounds):
        draw.shuffle(order)
        for name in order:
            runs[name].append(once(commands[name]))
    beside = [getattr(run, figure) for run in runs[first]]
    return {
        name: {
            "seconds": median(getattr(run, figure) for run in found),
            "whole_process": median(run.seconds for run in found),
            "ratio": median(getattr(run, figure) / base for run, base in zip(found, beside, strict=True)),
            "ratios": [getattr(run, figure) / base for run, base in zip(found, beside, strict=True)],
            "cpu": median(run.cpu / base.cpu for run, base in zip(found, runs[first], strict=True)),
            "modules_added": found[0].modules - runs[first][0].modules,
            "peak_mib": median(run.peak_mib for run in found),
        }
        for name, found in runs.items()
    }
