"""What a change costs: this checkout beside another one, process by process, in turns.

    python -m experiments.bench.against OTHER_CHECKOUT [--rounds 15] [--parts start checkpoint listing]

| part | what one process does | figure |
|---|---|---|
| start | ``leyden train``, three steps on the digits | seconds from the start of the process to the first step |
| checkpoint | a fit that saves the default MLP and its optimizer many times | median milliseconds of a save |
| listing | ``leyden runs`` over a folder of 300 runs, without and with an index | seconds of processor time |

Each round runs both checkouts, the first one drawn anew; a ratio (this checkout over the other) is taken within a
round, and the table gives the median and the quartiles of the ratios. A machine that gets slower or faster within the
minutes of a measurement changes both sides of a ratio.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles

from experiments.bench.drive import ROOT, environment

_TRAIN = ["-m", "leyden", "train", "trainer.max_steps=3", "test=false"]
_FIRST_STEP = "+callbacks.first_step._target_=experiments.bench.first_step.leyden_callback"
_RUNS = 300  # directories that are listed
_SAVES = 60  # of one process; the first ten are not counted
_SAVING = """
import statistics, time, torch, leyden
from torch import nn
from torch.utils.data import DataLoader

class Net(leyden.LightningModule):
    def __init__(self):
        super().__init__()
        self.net, self.waits = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)), []

    def training_step(self, batch, batch_idx):
        return self.net(batch).sum()

    def on_train_batch_end(self, outputs, batch, batch_idx):
        began = time.perf_counter()
        self.trainer.save_checkpoint("weights.ckpt")
        self.waits.append(time.perf_counter() - began)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())

torch.set_num_threads(1)
net = Net()
off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
trainer = leyden.Trainer(accelerator="cpu", max_epochs=1, **dict.fromkeys(off, False))
trainer.fit(net, DataLoader(torch.randn(64 * SAVES, 64), 64))
print("figure", 1000 * statistics.median(net.waits[10:]))
""".replace("SAVES", str(_SAVES))


def run(checkout: Path, words: Sequence[str], folder: Path, **variables: str) -> str:
    """Run Python with *checkout*'s package in *folder*; returns what it printed.

    Raises:
        RuntimeError: If it fails; carries what it printed.
    """
    paths = os.pathsep.join((str(checkout / "src"), str(checkout)))
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env={**environment(), "PYTHONPATH": paths, **variables}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(words)[:200]} in {checkout} ended with {done.returncode}:\n{done.stdout[-2000:]}"
        )
    return done.stdout


def start(checkout: Path, shared: Path) -> float:
    """Return the seconds from the start of ``leyden train`` to its first step."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        began = time.monotonic()
        said = run(checkout, [*_TRAIN, _FIRST_STEP], Path(folder))
    found = re.search(r"first step at ([\d.]+)", said)
    assert found is not None, said
    return float(found[1]) - began


def checkpoint(checkout: Path, shared: Path) -> float:
    """Return the median milliseconds of a save."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return float(run(checkout, ["-c", _SAVING], Path(folder)).rpartition("figure ")[2])


def cold_listing(checkout: Path, shared: Path) -> float:
    """Return the processor seconds of ``leyden runs`` without an index."""
    with tempfile.TemporaryDirectory(prefix="bench-") as cache:
        return _listing(checkout, shared, Path(cache))


def warm_listing(checkout: Path, shared: Path) -> float:
    """Return the processor seconds of ``leyden runs`` with the index of an earlier one."""
    with tempfile.TemporaryDirectory(prefix="bench-") as cache:
        _listing(checkout, shared, Path(cache))
        return _listing(checkout, shared, Path(cache))


def _listing(checkout: Path, shared: Path, cache: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = run(checkout, ["-m", "leyden", "runs", "ls"], shared, XDG_CACHE_HOME=str(cache))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert len(said.splitlines()) >= _RUNS, said
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def make_runs(checkout: Path, folder: Path) -> None:
    """Train one run below *folder*, and copy it until there are `_RUNS`; the other checkout makes it, both read it."""
    run(checkout, _TRAIN, folder)
    (made,) = (path.parent for path in folder.glob("runs/**/config.yaml"))
    for number in range(1, _RUNS):
        subprocess.run(["cp", "-r", str(made), f"{made}-{number}"], check=True)


PARTS: dict[str, dict[str, Callable[[Path, Path], float]]] = {
    "start": {"start to the first step, s": start},
    "checkpoint": {"a checkpoint, ms": checkpoint},
    "listing": {f"{_RUNS} runs, no index, s": cold_listing, f"{_RUNS} runs, index, s": warm_listing},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args(argv)
    other, draw = options.other.resolve(), random.Random(0)
    print(f"{'':<28} {'other':>9} {'this':>9}   this / other (quartiles), {options.rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="bench-runs-") as folder:
        if "listing" in options.parts:
            make_runs(other, Path(folder))
        for name, measure in (pair for part in options.parts for pair in PARTS[part].items()):
            found: dict[Path, list[float]] = {ROOT: [], other: []}
            for checkout in found:
                measure(checkout, Path(folder))  # byte code is written, files come into the cache
            for _ in range(options.rounds):
                for checkout in draw.sample(list(found), 2):
                    found[checkout].append(measure(checkout, Path(folder)))
            low, middle, high = quantiles((a / b for a, b in zip(*found.values(), strict=True)), n=4)
            both = f"{median(found[other]):>9.3f} {median(found[ROOT]):>9.3f}"
            print(f"{name:<28} {both}   {middle:.3f} ({low:.3f}-{high:.3f})", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
