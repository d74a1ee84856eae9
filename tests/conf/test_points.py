"""Each point of a multirun is judged for itself, whatever the groups and experiments are that it chooses."""

from __future__ import annotations

import pytest

COMMON = ("-m", "hydra/launcher=basic")


def test_a_value_that_only_the_swept_options_have_is_taken(project, train):
    outcome = train(*COMMON, "optimizer=sgd,rmsprop", "optimizer.momentum=0.8")

    assert outcome.code == 0, outcome.err
    assert [config.optimizer.momentum for config, _ in outcome.jobs] == [0.8, 0.8]


def test_the_point_that_lacks_it_is_named(project, train):
    outcome = train(*COMMON, "optimizer=sgd,adamw", "optimizer.momentum=0.8")

    assert outcome.code == 2
    assert "job 1 of 2: optimizer=adamw optimizer.momentum=0.8" in outcome.err
    assert "there is no 'optimizer.momentum' in the config" in outcome.err
    assert outcome.jobs == []


def test_so_is_a_value_that_is_swept_itself(project, train):
    outcome = train(*COMMON, "optimizer=sgd,rmsprop", "optimizer.momentum=0.1,0.2")

    assert outcome.code == 0, outcome.err
    assert [config.optimizer.momentum for config, _ in outcome.jobs] == [0.1, 0.2, 0.1, 0.2]


def test_experiments_may_bring_the_key(project, train, write):
    write(
        project, {f"conf/experiment/{name}.yaml": f"# @package _global_\n{text}" for name, text in EXPERIMENTS.items()}
    )

    outcome = train(*COMMON, "experiment=slow,fast", "optimizer.nesterov=false")

    assert outcome.code == 0, outcome.err
    assert [config.optimizer.nesterov for config, _ in outcome.jobs] == [False, False]


EXPERIMENTS = {
    "slow": "defaults:\n  - override /optimizer: sgd\nname: slow\n",
    "fast": "defaults:\n  - override /optimizer: sgd\nname: fast\n",
}


def test_points_that_want_to_be_started_in_different_ways_are_refused(project, train, write):
    text = "# @package _global_\ndefaults:\n  - override /hydra/launcher: slurm\nname: far\n"
    write(project, {"conf/experiment/far.yaml": text, "conf/experiment/near.yaml": "# @package _global_\nname: near\n"})

    outcome = train("-m", "experiment=near,far")

    assert outcome.code == 2
    assert "job 1 of 2" in outcome.err
    assert "by one launcher" in outcome.err


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "seed=1,2", "hydra/launcher=basic"],
        ["seed=1,2", "-m", "hydra/launcher=basic"],
        ["seed=1,2", "hydra/launcher=basic", "-m"],
    ],
    ids=" ".join,
)
def test_a_flag_may_stand_anywhere(project, train, words):
    outcome = train(*words)

    assert outcome.code == 0, outcome.err
    assert [config.seed for config, _ in outcome.jobs] == [1, 2]


def test_only_flags_are_called_flags(project, train):
    outcome = train("seed=1", "--wrong", "seed=2")

    assert outcome.code == 2
    assert "--wrong" in outcome.err
    assert "seed=2" not in outcome.err


def test_an_experiment_that_builds_on_another_by_its_group_is_told_what_to_write(project, train, write):
    write(project, {"conf/experiment/base.yaml": "# @package _global_\nname: base\n"})
    write(
        project, {"conf/experiment/child.yaml": "# @package _global_\ndefaults:\n  - /experiment: base\nname: child\n"}
    )
    write(project, {"conf/experiment/right.yaml": "# @package _global_\ndefaults:\n  - base\nname: right\n"})

    wrong, right = train("experiment=child"), train("experiment=right")

    assert wrong.code == 2
    assert "Write '- base' in its defaults" in wrong.err
    assert right.code == 0


WRONG_PARTS = [
    ("optimizer.lr=0.1,-1", "Invalid learning rate: -1"),
    ("callbacks=[default,early_stopping] callbacks.early_stopping.mode=min,sideways", "EarlyStopping(mode='sideways')"),
    ("data.val_fraction=0.1,3", "val_fraction=3"),
    ("scheduler=plateau scheduler.scheduler.factor=0.5,2", "Factor should be < 1.0"),
    ("scheduler=step scheduler.interval=epoch,batch", "interval='batch'"),
]


@pytest.mark.parametrize(("line", "said"), WRONG_PARTS)
def test_a_wrong_value_of_one_point_is_found_before_the_first_runs(project, train, line, said, listing):
    before = listing(project)

    outcome = train(*COMMON, *line.split(" "))

    assert outcome.code == 2
    assert "job 1 of 2" in outcome.err
    assert said in outcome.err
    assert outcome.jobs == []
    assert listing(project) == before
