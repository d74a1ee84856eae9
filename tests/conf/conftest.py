"""A project of a user's own, in a directory of its own, and a command to run in it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from leyden.config.app import run_app
from leyden.config.jobs import Context

MODEL = """
    from leyden.models.classifier import Classifier
    from torch import nn


    class Net(Classifier):
        def __init__(self, width: int = 8, in_features: int = 64, classes: int = 10) -> None:
            super().__init__(classes)
            self.layers = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, classes))

        def forward(self, x):
            return self.layers(x)
"""
FILES = {
    "conf/model/tiny.yaml": "_target_: experiments.mine.model.Net\nwidth: 4\n",
    "experiments/mine/experiment.yaml": "defaults:\n  - override /model: tiny\nname: mine\nmodel:\n  width: 16\n",
    "experiments/mine/model.py": MODEL,
}


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files below *root*, without the indent their lines have in common."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), "utf-8")
    return root


def listing(root: Path) -> list[str]:
    """Return everything below *root*, without what Python's importing leaves behind."""
    found = (str(path.relative_to(root)) for path in root.rglob("*"))
    return sorted(path for path in found if "__pycache__" not in path)


@pytest.fixture(scope="session", name="write")
def _write() -> Callable[[Path, dict[str, str]], Path]:
    """Hand out `write`: tests import nothing from each other."""
    return write


@pytest.fixture(scope="session", name="listing")
def _listing() -> Callable[[Path], list[str]]:
    """Hand out `listing`."""
    return listing


@pytest.fixture(scope="session")
def three_files() -> dict[str, str]:
    """Return the files of the project."""
    return FILES


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in an empty directory; forget afterwards what was imported from below it."""
    path, modules = list(sys.path), set(sys.modules)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("experiments", "things"):
            del sys.modules[name]


@pytest.fixture
def project(at: Path) -> Path:
    """Be in a project of three files."""
    return write(at, FILES)


class Outcome:
    """What a command did: its exit code, what it printed, and the jobs it ran."""

    def __init__(self, code: int, out: str, err: str, jobs: list[tuple[dict, Context]]) -> None:
        self.code, self.out, self.err, self.jobs = code, out, err, jobs


@pytest.fixture
def train(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line of a program that notes the jobs it is given."""

    def call(*argv: str, codes: Sequence[int | None] = ()) -> Outcome:
        jobs: list[tuple[dict, Context]] = []

        def task(config, context):
            jobs.append((config, context))
            return codes[len(jobs) - 1] if codes else None

        code = run_app("train", argv, task)
        out, err = capfd.readouterr()
        return Outcome(code, out, err, jobs)

    return call
