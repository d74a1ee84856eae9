"""What was asked for has its effect or is refused; a default that nobody asked for may rest."""

from __future__ import annotations

import pytest

OWN = """
    import torch
    from leyden.models import MLP


    class Own(MLP):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=1e-3)
"""
FILES = {
    "own.py": OWN,
    "conf/model/own.yaml": "_target_: own.Own\n",
    "conf/experiment/chooses.yaml": "# @package _global_\ndefaults:\n  - override /optimizer: sgd\nname: chooses\n",
    "conf/experiment/sets.yaml": "# @package _global_\nname: sets\noptimizer:\n  lr: 0.5\n",
    "conf/experiment/fits.yaml": "# @package _global_\ndefaults:\n  - override /optimizer: none\nname: fits\n",
}


@pytest.fixture
def own(at, write, train):
    write(at, FILES)
    return train


@pytest.mark.parametrize(
    ("words", "origin"),
    [
        ("optimizer.lr=1", "command line"),
        ("optimizer.lr=0.003", "command line"),  # as it is by default: asked for all the same
        ("optimizer=sgd", "command line"),
        ("scheduler=cosine", "command line"),
        ("experiment=chooses", "conf/experiment/chooses.yaml"),
        ("experiment=sets", "conf/experiment/sets.yaml"),
    ],
)
def test_an_optimizer_beside_that_of_the_module_is_refused_with_who_asked_for_it(own, words, origin):
    outcome = own("model=own", words)

    assert outcome.code == 2
    assert "has no effect: Own has its own configure_optimizers" in outcome.err
    assert origin in outcome.err


@pytest.mark.parametrize("words", ["", "optimizer=none", "experiment=fits", "seed=3"])
def test_the_default_optimizer_may_rest(own, words):
    assert own("model=own", *words.split()).code == 0


def test_a_sweep_over_it_names_the_first_point(own):
    outcome = own("-m", "hydra/launcher=basic", "model=mlp,own", "optimizer.lr=0.1")

    assert outcome.code == 2
    assert "job 1 of 2: model=own optimizer.lr=0.1" in outcome.err


def test_what_a_debug_preset_overrules_is_not_the_experiments_fault(own, at, write):
    write(at, {"conf/experiment/rows.yaml": "# @package _global_\nname: rows\ntrainer:\n  log_every_n_steps: 5\n"})

    assert own("experiment=rows", "debug=overfit").code == 0
    assert own("logger=none", "experiment=rows").code == 2


HYDRA = [
    ("hydra.job.chdir=true", "a run stays where its command was given"),
    ("hydra.output_subdir=.hydra", "lie in the run directory itself"),
    ("hydra.sweep.dir=x", "this is one run"),
    ("hydra.launcher.slots=2", "this run is executed right here"),
    ("hydra.job.name=mine", "nothing here reads hydra.job.name"),
    ("-m hydra.run.dir=x", "the runs of a multirun go to hydra.sweep.dir"),
    ("-m seed=1,2 hydra.sweep.subdir=../x", "names a folder within another one"),
    ("hydra.run.dir=a paths.run_dir=b", "both say where it goes"),
]


@pytest.mark.parametrize(("line", "said"), HYDRA)
def test_a_key_of_hydra_that_nothing_reads_is_refused(own, line, said):
    outcome = own(*line.split(" "))

    assert outcome.code == 2
    assert said in outcome.err


@pytest.mark.parametrize(
    "line", ["hydra.job.chdir=false", "hydra.verbose=true", "+hydra.job.env_set.A=b", "hydra.run.dir=."]
)
def test_one_that_something_reads_or_that_says_how_it_is_anyway_is_taken(own, line):
    assert own(line).code == 0


def test_where_hydra_puts_a_run_is_where_it_goes(own):
    outcome = own("hydra.run.dir=out/${name}")

    assert outcome.jobs[0][0].paths.run_dir == "out/digits_mlp"


def test_the_name_of_each_run_of_a_multirun_is_kept_as_it_was_typed_and_resolved_for_each(own):
    outcome = own("-m", "hydra/launcher=basic", "seed=1,2", "hydra.sweep.subdir=s${seed}")

    assert [context.subdir for _, context in outcome.jobs] == ["s1", "s2"]


def test_an_override_that_refers_to_something_is_recorded_as_it_was_typed(own):
    outcome = own("seed=4", "trainer.max_epochs='${seed}'")

    assert "trainer.max_epochs='${seed}'" in outcome.jobs[0][1].overrides
