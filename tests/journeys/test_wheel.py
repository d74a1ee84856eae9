"""The wheel alone is enough: without a checkout or Lightning, it trains a project of three files, and scripts."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from leyden.lightning import names

ROOT = Path(__file__).parents[2]
LIGHTNING = ("lightning", "pytorch_lightning", "lightning_fabric")
DOORWAY = "leyden/lightning/doorway"
SCRIPT = """\
import importlib.metadata
import subprocess
import sys

import lightning as L
import pytorch_lightning as pl
from lightning.pytorch.callbacks import BatchSizeFinder
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader


class Model(BoringModel):
    batch_size = 2

    def train_dataloader(self):
        return DataLoader(super().train_dataloader().dataset, self.batch_size)


model, finder = Model(), BatchSizeFinder(init_val=16, max_val=32)
trainer = L.Trainer(max_epochs=1, callbacks=[finder], enable_progress_bar=False)
trainer.fit(model)
child = "import importlib.metadata as m, pytorch_lightning as pl; print('child', pl.__name__, m.version('lightning'))"
print("parent", pl.Trainer.__module__, importlib.metadata.version("pytorch-lightning"), flush=True)
subprocess.run([sys.executable, "-c", child], check=True)
print("trained", trainer.global_step, finder.optimal_batch_size)
"""
PROJECT = {
    "conf/model/tiny.yaml": "_target_: experiments.mine.model.Mine\nwidth: 4\n",
    "experiments/mine/experiment.yaml": "defaults:\n  - override /model: tiny\nname: mine\n",
    "experiments/mine/model.py": """\
from torch import nn

from leyden.models import Classifier


class Mine(Classifier):
    def __init__(self, width):
        super().__init__(classes=10)
        self.only_mine_has_this = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, x):
        return self.only_mine_has_this(x.flatten(1))
""",
}


def run(*command: str | Path, at: Path) -> str:
    """Run *command* with no environment variable set; returns what it printed."""
    done = subprocess.run(command, cwd=at, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout."""
    place = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place, ROOT, at=place)
    (found,) = place.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a virtual environment that borrows everything else from this one.

    The borrowed directory is a plain line of a .pth file, which puts it on the path but
    does not follow the .pth files in it: an editable install of the checkout stays unseen.
    Lightning is not lent.
    """
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
        at=place,
    )
    (packages,) = place.glob("lib/python*/site-packages")
    borrowed = place / "borrowed"
    borrowed.mkdir()
    for each in lent(Path(sysconfig.get_path("purelib")).iterdir()):
        (borrowed / each.name).symlink_to(each)
    (packages / "borrowed.pth").write_text(f"{borrowed}\n", "utf-8")
    return place


def lent(installed: Iterable[Path]) -> list[Path]:
    """Leave out what belongs to Lightning: packages, and the metadata beside them."""
    return [each for each in installed if each.name.partition("-")[0].partition(".")[0] not in LIGHTNING]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write a project of three files, far from the checkout."""
    for name, text in PROJECT.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "leyden/conf/train.yaml",
        "leyden/py.typed",
        "leyden/cli/train.py",
        "hydra_plugins/leyden_local_launcher/launcher.py",
        *(f"{DOORWAY}/{name}.py" for name in LIGHTNING),
        *(f"{DOORWAY}/{name}-{names.VERSION}.dist-info/METADATA" for name in LIGHTNING),
    ],
)
def test_the_wheel_carries_configs_types_code_and_the_doorway(wheel, name):
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (each for each in archive.namelist() if each.endswith(".dist-info/RECORD"))
        recorded = {line.partition(",")[0] for line in archive.read(record).decode().splitlines()}

    assert name in recorded


def test_the_wheel_carries_every_shipped_config_and_nothing_of_the_checkout_around_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    shipped = {f"leyden/conf/{path.relative_to(ROOT / 'conf')}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert shipped <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"leyden", "hydra_plugins"}
    assert "hydra_plugins/__init__.py" not in names  # other distributions lie in that package, too


def test_the_package_that_the_installed_command_runs_is_the_wheels(installed, project):
    found = run(installed / "bin" / "python", "-c", "import leyden; print(leyden.__file__)", at=project)

    assert Path(found.strip()).is_relative_to(installed)


def test_an_installed_leyden_trains_a_project_of_three_files(installed, project):
    printed = run(installed / "bin" / "leyden", "train", "experiment=mine", "trainer.max_epochs=1", at=project)

    (directory,) = (project / "runs" / "mine").iterdir()
    assert json.loads((directory / "status.json").read_text("utf-8"))["status"] == "finished"
    assert str(directory.relative_to(project)) in printed
    weights = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert weights["only_mine_has_this.0.weight"].shape == (4, 64)


def test_an_installed_leyden_runs_a_multirun_in_its_own_queue(installed, project):
    words = ("-m", "experiment=mine", "trainer.max_epochs=1", "seed=1,2")

    printed = run(installed / "bin" / "leyden", "train", *words, at=project)

    found = [json.loads(path.read_text("utf-8")) for path in project.glob("runs/multirun/*/*/job.json")]
    assert printed.splitlines()[-1] == "2 finished"
    assert [each["launcher"] for each in found] == ["local", "local"]


def test_lightning_is_not_installed_beside_the_wheel(installed, project):
    asked = (
        "import importlib.util as u; print(*map(u.find_spec, ('lightning', 'pytorch_lightning', 'lightning_fabric')))"
    )

    found = run(installed / "bin" / "python", "-c", asked, at=project)

    assert found == "None None None\n"


def test_an_installed_leyden_runs_a_script_that_imports_lightning(installed, project):
    (project / "script.py").write_text(SCRIPT, "utf-8")

    printed = run(installed / "bin" / "leyden", "lightning", "script.py", at=project)

    version = names.VERSION
    assert f"parent leyden.trainer {version}\nchild pytorch_lightning {version}\ntrained 2 32\n" in printed
