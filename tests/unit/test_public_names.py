"""The public names are exactly the export list, and `import leyden` costs little more than `import torch`."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import leyden

HEAVY = (
    "hydra",
    "lightning",
    "matplotlib",
    "mlflow",
    "omegaconf",
    "pooch",
    "pydantic",
    "pytorch_lightning",
    "rich",
    "sklearn",
    "submitit",
    "tensorboard",
    "torch._dynamo",
    "torch.utils.tensorboard",
    "torchmetrics",
    "wandb",
    "yaml",
)
PACKAGES = (
    "leyden",
    "leyden.callbacks",
    "leyden.datasets",
    "leyden.loggers",
    "leyden.models",
    "leyden.plugins",
    "leyden.profilers",
    "leyden.strategies",
)


def imported_by(statement: str) -> set[str]:
    """Return the names of the modules a new process has imported after *statement*."""
    program = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def by_torch() -> set[str]:
    """Name the modules that torch imports by itself."""
    return imported_by("import torch")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_export_list_is_sorted_and_names_nothing_twice(package):
    names = list(import_module(package).__all__)

    assert names == sorted(set(names))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_in_the_export_list_can_be_imported(package):
    module = import_module(package)

    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", PACKAGES)
def test_an_interactive_prompt_completes_what_is_exported(package):
    module = import_module(package)

    assert set(module.__all__) <= set(dir(module))


def test_a_name_that_is_not_exported_is_refused_as_python_does():
    with pytest.raises(AttributeError, match="module 'leyden' has no attribute 'LightningModul'"):
        leyden.LightningModul  # noqa: B018 - looking it up is the act


def test_importing_leyden_alone_does_not_even_import_torch():
    assert "torch" not in imported_by("import leyden")


@pytest.mark.parametrize(
    "statement",
    [
        "\n".join(f"from {package} import *" for package in PACKAGES),
        "import leyden; leyden.Trainer(logger=False, enable_progress_bar=False)",
    ],
    ids=["every public name", "a trainer"],
)
def test_nothing_slow_is_imported_before_it_is_needed(statement, by_torch):
    added = imported_by(statement) - by_torch

    assert sorted(added.intersection(HEAVY)) == []
