"""One experiment comes to one result wherever it is run: in one process, on ranks here, on a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from tests.slurm.submitting import leyden, told

RUN = (
    "trainer=cpu", "trainer.max_epochs=3", "trainer.limit_train_batches=8", "logger=csv", "model.hidden=[16]",
    "callbacks.model_checkpoint.save_last=true", "deterministic=true", "test=false",
)  # fmt: skip
HALF = ("data.batch_size=32", "trainer.strategy=ddp")


def only_run(folder: Path) -> Path:
    """Return the run in *folder*."""
    (run,) = (folder / "runs" / "digits_mlp").iterdir()
    assert told(run, "status.json")["status"] == "finished", told(run, "status.json")
    return run


def by_torchrun(folder: Path) -> None:
    """Start two ranks from outside; they agree on one run directory."""
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "leyden", "train"]
    done = subprocess.run(
        [sys.executable, *words, *RUN, *HALF, "trainer.devices=2"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_ranks_agree_bit_for_bit_wherever_they_run_and_with_one_process_at_the_same_global_batch(cluster, tmp_path):
    forms = {
        "one process": lambda folder: leyden(folder, "train", *RUN, "data.batch_size=64"),
        "devices": lambda folder: leyden(folder, "train", *RUN, *HALF, "trainer.devices=2"),
        "torchrun": by_torchrun,
        "one node": lambda folder: leyden(
            folder, "submit", "--wait", *RUN, *HALF, "trainer.devices=2", "hydra.launcher.tasks_per_node=2",
            "hydra.launcher.time=10",
        ),
        "two nodes": lambda folder: leyden(
            folder, "submit", "--wait", *RUN, *HALF, "trainer.num_nodes=2", "hydra.launcher.nodes=2",
            "hydra.launcher.time=10",
        ),
    }  # fmt: skip
    runs = {}
    for name, start in forms.items():
        folder = tmp_path / name.replace(" ", "_")
        folder.mkdir()
        start(folder)
        runs[name] = only_run(folder)

    said = leyden(
        tmp_path / "devices", "reproduce", runs["devices"], "--launcher", "slurm", "hydra.launcher.time=10",
        "hydra.launcher.nodes=2",
    )  # fmt: skip
    assert "verdict        exact" in said

    alone = runs.pop("one process")
    hashes = {name: told(run, "fingerprint.json")["final_weights"]["sha256"] for name, run in runs.items()}
    assert len(set(hashes.values())) == 1, hashes
    hosts = {rank["host"] for rank in told(runs["two nodes"], "manifest.json")["world"]["ranks"]}
    assert hosts == {"node1", "node2"}
    last = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (alone, runs["devices"])]
    one, two = (each["state_dict"] for each in last)
    assert max((one[name] - two[name]).abs().max().item() for name in one) < 1e-6
    assert last[0]["global_step"] == last[1]["global_step"] == 24
