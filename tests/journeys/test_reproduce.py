"""`leyden reproduce` gives the same bits for every experiment, and names what was changed where they differ."""

from __future__ import annotations

import json
import re
import shutil
import signal
import struct
import subprocess
from pathlib import Path

import pytest
import torch

from tests.journeys.command import leyden, only_run, start, wait_until

ROOT = Path(__file__).resolve().parents[2]
EXACT, SAME_RECIPE, DIFFERENT = 0, 3, 4
SHORT = {
    "digits_mlp": ["trainer.max_epochs=2"],
    "lit_mnist": ["trainer.max_epochs=1", "trainer.limit_train_batches=4", "trainer.limit_val_batches=2"],
    "mnist_attention": [
        *("trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"),
        *("trainer.limit_test_batches=1", "data.batch_size=4", "~callbacks.model_checkpoint"),
    ],
    "gan_digits": ["trainer.max_epochs=2"],
    "char_lm": ["trainer.max_steps=4", "scheduler.scheduler.warmup_steps=2", "data.max_chars=20000"],
}


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """The four files in their full size, with random content."""
    folder = tmp_path_factory.mktemp("mnist")
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", 60000), ("t10k", 10000)):
        pixels = torch.randint(256, (count, 28, 28), generator=generator, dtype=torch.uint8)
        labels = torch.arange(count).remainder(10).byte()
        for name, values in (("images-idx3", pixels), ("labels-idx1", labels)):
            head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
            (folder / f"{part}-{name}-ubyte").write_bytes(head + values.numpy().tobytes())
    return folder


def train(folder: Path, *words: str, name: str = "digits_mlp") -> Path:
    leyden(folder, "train", *words)
    return only_run(folder, name)


def reproduce(folder: Path, run: Path, *words: str, code: int = EXACT) -> tuple[str, dict]:
    """Reproduce *run* from *folder*; return what was printed and reproduction.json; the original must not change."""
    before = listing(run)
    said = leyden(folder, "reproduce", str(run), *words, code=code)
    assert listing(run) == before
    copies = sorted(run.parent.glob(f"{run.name}-reproduced*"), key=lambda path: path.stat().st_mtime)
    return said, json.loads((copies[-1] / "reproduction.json").read_text())


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.name != ".lock"
    }


def differing(found: dict) -> dict[str, str]:
    return {each["key"]: each["effect"] for each in found["preflight"]}


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("experiment", SHORT)
def test_every_experiment_is_reproduced_exactly(experiment, ranks, tmp_path, mnist):
    words = [f"experiment={experiment}", *SHORT[experiment], f"trainer.devices={ranks}", "trainer.accelerator=cpu"]
    if (experiment, ranks) == ("gan_digits", 2):  # its optimizers take turns
        words += ["trainer.strategy=ddp_find_unused_parameters_true"]
    words += [f"data.root={mnist}"] if "mnist" in experiment and experiment != "digits_mlp" else []
    leyden(ROOT, "train", *words, f"paths.output_dir={tmp_path}/runs")
    run = only_run(tmp_path, experiment)

    said, found = reproduce(ROOT, run)

    assert found["verdict"] == "exact"
    assert found["compared"]["steps"] > 0
    assert "verdict        exact" in said
    assert json.loads((run / "manifest.json").read_text())["world"]["size"] == ranks


def test_a_run_that_was_killed_and_resumed_is_reproduced_exactly(tmp_path):
    process = start(tmp_path, "train", "trainer.max_epochs=60")
    wait_until(lambda: list(tmp_path.glob("runs/digits_mlp/*/checkpoints/*.ckpt")), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = only_run(tmp_path)
    assert json.loads((run / "status.json").read_text())["status"] == "running"
    leyden(tmp_path, "run", str(run))

    _, found = reproduce(tmp_path, run)

    assert found["verdict"] == "exact"


@pytest.mark.parametrize(("then", "now"), [(0, 1), (2, 0)])
def test_the_number_of_workers_does_not_matter_to_a_deterministic_run(then, now, tmp_path):
    run = train(tmp_path, "deterministic=true", "trainer.max_epochs=1", f"data.num_workers={then}")

    _, found = reproduce(tmp_path, run, f"data.num_workers={now}")

    assert found["verdict"] == "exact"


def test_only_the_beginning_is_run_if_that_is_asked_for(tmp_path):
    run = train(tmp_path, "trainer.max_epochs=3")

    _, found = reproduce(tmp_path, run, "--until", "7")

    assert found["verdict"] == "exact"
    assert found["compared"]["steps"] == 7


def test_another_seed_is_different_from_the_start(tmp_path):
    run = train(tmp_path, "trainer.max_epochs=1")

    said, found = reproduce(tmp_path, run, "seed=1", code=DIFFERENT)

    assert found["first_diverging_step"] == 0
    assert differing(found)["seeds.seed"] == "breaks exactness"
    assert "initial weights" in said


def test_an_edited_config_is_noticed(tmp_path):
    run = train(tmp_path, "trainer.max_epochs=1")
    config = run / "config.yaml"
    config.write_text(re.sub(r"lr: 0\.003", "lr: 0.004", config.read_text()))

    _, found = reproduce(tmp_path, run, code=DIFFERENT)

    assert differing(found)["config"] == "breaks exactness"
    assert found["first_diverging_step"] == 1  # the first loss is computed before any update


def test_another_version_of_a_package_is_named(tmp_path):
    run = train(tmp_path, "trainer.max_epochs=1")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["environment"]["packages"]["numpy"] = "1.0.0"
    (run / "manifest.json").write_text(json.dumps(manifest))

    said, found = reproduce(tmp_path, run)

    assert differing(found)["environment.packages.numpy"] == "breaks exactness"
    assert re.search(r"breaks exactness\s+environment.packages.numpy\s+1.0.0", said)


def test_a_flipped_bit_in_a_data_file_is_found(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the quick brown fox jumps over the lazy dog. " * 400)
    words = ["data=text", "model=transformer", f"data.path={corpus}", "data.block_size=32", "test=false"]
    run = train(tmp_path, *words, "trainer.max_epochs=1", "trainer.limit_train_batches=3")
    content = bytearray(corpus.read_bytes())
    content[len(content) // 3] ^= 1
    corpus.write_bytes(bytes(content))

    _, found = reproduce(tmp_path, run, code=DIFFERENT)

    assert any((key.startswith("data.") and "sha256" in key) or "files" in key for key in differing(found))


# --- a project of one's own ----------------------------------------------------------------------

MODULE = '''"""A model whose loss is a mean of many numbers."""

import os

import torch
from torch.utils.data import DataLoader, TensorDataset

import leyden as L

FACTOR = 1.0


class Net(L.LightningModule):
    def __init__(self, noise_from: int = -1):
        super().__init__()
        self.layer = torch.nn.Linear(4, 300)
        self.noise_from = noise_from

    def train_dataloader(self):
        torch.manual_seed(3)
        return DataLoader(TensorDataset(torch.randn(8 * 700, 4)), batch_size=700)

    def training_step(self, batch, batch_idx):
        loss = FACTOR * self.layer(batch[0]).square().mean()
        if 0 <= self.noise_from <= self.trainer.global_step:
            loss = loss + int.from_bytes(os.urandom(2), "little") / 65536
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
'''


@pytest.fixture
def project(tmp_path):
    """A git repository with a model of its own."""
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text("_target_: mine.Net\nnoise_from: -1\n")
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / ".gitignore").write_text("runs/\n__pycache__/\nout.txt\nerr.txt\n")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


OWN = ["model=mine", "data=in_module", "optimizer=none", "test=false", "trainer.max_epochs=1"]


def test_a_changed_line_is_found_and_the_recorded_code_gives_the_same_bits(project):
    run = train(project, *OWN)
    (project / "mine.py").write_text(MODULE.replace("FACTOR = 1.0", "FACTOR = 1.5"))

    _, changed = reproduce(project, run, code=DIFFERENT)
    _, original = reproduce(project, run, "--code", "original")

    assert differing(changed)["code.hash"] == "may"
    assert changed["first_diverging_step"] == 0
    assert original["verdict"] == "exact"


def test_changes_that_were_not_committed_are_brought_back(project):
    (project / "mine.py").write_text(MODULE.replace("FACTOR = 1.0", "FACTOR = 1.5"))
    run = train(project, *OWN)
    (project / "mine.py").write_text(MODULE)

    _, found = reproduce(project, run, "--code", "original")

    assert found["verdict"] == "exact"


def test_code_that_somebody_else_may_have_recorded_is_not_run(project, tmp_path_factory):
    (project / "mine.py").write_text(MODULE + "\nopen('executed', 'w').close()\n")
    run = train(project, *OWN)
    (project / "mine.py").write_text(MODULE)
    (project / "executed").unlink()
    elsewhere, beside = tmp_path_factory.mktemp("download") / "run", run.with_name("unpacked-here")
    for strange in (elsewhere, beside):
        shutil.copytree(run, strange)

        said = leyden(project, "reproduce", str(strange), "--code", "original", code=2)

        assert "no launch of yours has recorded that code for a run at this place" in said
    assert not (project / "executed").exists()


def test_an_operation_that_is_not_deterministic_is_found_at_its_step(project):
    run = train(project, *OWN, "model.noise_from=3")

    _, found = reproduce(project, run, code=DIFFERENT)

    assert found["first_diverging_step"] == 3
    assert {key for key, effect in differing(found).items() if effect != "harmless"} == set()


def test_another_number_of_threads_is_the_same_recipe(project):
    run = train(project, *OWN, "threads=1")

    said, found = reproduce(project, run, "threads=2", code=SAME_RECIPE)

    assert found["first_diverging_step"] == 0
    assert 0 < found["difference"] < 1e-5
    assert "same recipe" in said


def test_what_is_no_run_or_was_never_executed_is_refused(tmp_path):
    said = leyden(tmp_path, "reproduce", str(tmp_path), code=2)

    assert "holds no config.yaml" in said
