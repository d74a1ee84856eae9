"""The switch ``deterministic`` sets what it says, refuses what it cannot keep, and leaves no trace for the next run."""

import os
import re
import subprocess
import sys

import pytest
import torch

from leyden.cli.startup import _level
from leyden.config.check import check
from leyden.errors import ConfigurationError
from leyden.experiment import Experiment
from leyden.runs import determinism
from leyden.runs.variables import PORTABLE, missing, variables
from leyden.testing import TinyData, TinyModule
from leyden.trainer import Trainer


@pytest.fixture(autouse=True)
def _as_it_was():
    names = ("CUBLAS_WORKSPACE_CONFIG", *PORTABLE)
    before = {name: os.environ.get(name) for name in names}
    yield
    determinism.apply(False)
    for name in names:
        os.environ.pop(name, None)
    os.environ.update({name: value for name, value in before.items() if value is not None})


@pytest.mark.parametrize(("level", "warn_only"), [(True, False), ("warn", True)])
def test_flags_are_set_and_read_back_and_put_back(level, warn_only):
    before = determinism.flags()

    determinism.apply(level)
    now = determinism.flags()
    variable = now["variables"].pop("CUBLAS_WORKSPACE_CONFIG")
    determinism.apply(False)
    after = determinism.flags()

    assert now["deterministic_algorithms"] is True
    assert now["warn_only"] is warn_only
    assert now["cudnn"]["deterministic"] is True
    assert variable == ":4096:8"
    assert {**after, "variables": None} == {**before, "variables": None}


def test_the_number_of_threads_is_that_of_the_run_and_then_that_of_the_process():
    before = torch.get_num_threads()

    determinism.apply(False, before + 1)
    during = torch.get_num_threads()
    determinism.apply(False, None)

    assert (during, torch.get_num_threads()) == (before + 1, before)


def test_portable_is_refused_in_a_process_that_started_without_its_variables():
    for name in PORTABLE:
        os.environ.pop(name, None)

    with pytest.raises(ConfigurationError, match=r"read when a process starts.*ATEN_CPU_CAPABILITY=avx2"):
        determinism.apply("portable")

    assert determinism.flags()["deterministic_algorithms"] is False


def test_what_somebody_has_set_is_not_missing():
    assert "PYTHONHASHSEED" in variables(False)
    assert set(variables("portable")) > set(variables(True)) > set(variables(False))
    os.environ["MKL_CBWR"] = "AVX2"
    assert "MKL_CBWR" not in missing("portable")


@pytest.mark.parametrize(
    ("words", "level"),
    [
        (["train"], None),
        (["train", "deterministic=true"], "true"),
        (["train", "deterministic=portable", "seed=1"], "portable"),
        (["train", "-m", "deterministic=false,'portable'"], "portable"),
        (["train", "deterministic=portable", "++deterministic=warn"], "warn"),
        (["train", "trainer.deterministic=true"], None),
        (["run", "here"], "portable"),
        (["run", "nowhere"], None),
        (["evaluate", "here/checkpoints/last.ckpt", "--last"], "portable"),
        (["evaluate", "here", "deterministic=false"], None),
    ],
)
def test_the_level_is_known_before_anything_is_imported(words, level, tmp_path):
    (tmp_path / "here" / "checkpoints").mkdir(parents=True)
    (tmp_path / "here" / "config.yaml").write_text("a:\n  deterministic: true\ndeterministic: portable\n")

    assert _level(words) == level


@pytest.mark.parametrize(("level", "kernels"), [(False, None), (True, True), ("warn", "warn"), ("portable", True)])
def test_an_experiment_passes_the_level_on_to_its_trainer(level, kernels):
    made = Experiment(TinyModule(), TinyData(), seed=4, deterministic=level)

    assert made.trainer.deterministic == kernels
    assert made.trainer.sample_seed == (4 if level else None)


def test_what_the_trainer_was_told_wins():
    def trainer(**options):
        return Trainer(deterministic=False, **options)

    assert Experiment(TinyModule(), TinyData(), trainer, deterministic=True).trainer.deterministic is False


@pytest.mark.parametrize(("given", "said"), [({"deterministic": "always"}, "always"), ({"threads": 0}, "greater than")])
def test_a_level_or_a_number_of_threads_that_cannot_be_is_refused_before_anything_is_built(given, said):
    root = {"_target_": "leyden.experiment.Experiment", "model": {"_target_": "leyden.testing.TinyModule"}}

    (problem,) = check({**root, **given})

    assert problem.path in given
    assert re.search(said, problem.message)


class Nondeterministic(TinyModule):
    """Uses a kernel that torch has no deterministic form of."""

    def training_step(self, batch, batch_idx):
        torch.empty(4).put_(torch.tensor([0, 1]), torch.ones(2))
        return super().training_step(batch, batch_idx)


def test_a_nondeterministic_kernel_is_refused(tmp_path):
    made = Experiment(Nondeterministic(), TinyData(), deterministic=True)

    with pytest.raises(RuntimeError, match="put_ does not have a deterministic implementation"):
        made.run()


def test_a_program_that_calls_the_command_itself_is_not_replaced():
    program = (
        "import os, leyden.cli.main as command; command.main(['train', '--help']); "
        "print('PYTHONHASHSEED' in os.environ)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}

    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)

    assert done.stdout.splitlines()[-1] == "False"
