"""A project of three files finds its configs and its code, without any setting."""

from __future__ import annotations

import os

import pytest

from leyden.config.build import build
from leyden.config.check import check
from leyden.config.compose import compose
from leyden.config.frozen import freeze
from leyden.config.project import project_root, shipped_conf


def test_an_option_of_the_projects_own_conf_can_be_chosen(project):
    composed = compose(["model=tiny"])

    assert composed.config.model.width == 4
    assert composed.config.data._target_ == "leyden.datasets.Digits"


def test_an_experiment_folder_is_an_option_of_the_group_experiment(project):
    composed = compose(["experiment=mine"])

    assert composed.config.name == "mine"
    assert composed.config.model.width == 16
    assert composed.choices["model"] == "tiny"


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("experiments/quiet/experiment.yaml", "seed: 3\n", "quiet"),
        ("experiments/quiet/experiment.yaml", "seed: 3\nname: said\n", "said"),
        ("conf/experiment/quiet.yaml", "# @package _global_\nseed: 3\n", "quiet"),
        ("conf/experiment/quiet.yaml", "# @package _global_\nseed: 3\nname: said\n", "said"),
        ("conf/experiment/deep/quiet.yaml", "# @package _global_\nseed: 3\n", "deep_quiet"),
    ],
)
def test_an_experiment_that_says_no_name_has_its_own(file, text, name, project, write):
    write(project, {file: text})
    slug = file.removeprefix("conf/experiment/").removeprefix("experiments/").removesuffix("/experiment.yaml")

    composed = compose([f"experiment={slug.removesuffix('.yaml')}"])

    assert (composed.config.name, composed.config.seed) == (name, 3)
    assert check(composed.config, composed.origins) == []
    assert compose([f"experiment={slug.removesuffix('.yaml')}", "name=typed"]).config.name == "typed"
    assert compose([]).config.name == "digits_mlp"


def test_an_experiment_on_top_of_another_has_a_name_of_its_own(project, write):
    write(project, {"experiments/above/experiment.yaml": "defaults:\n  - mine\n  - _self_\n"})

    composed = compose(["experiment=above"])

    assert composed.config.name == "above"
    assert composed.config.model.width == 16


def test_the_code_in_an_experiment_folder_is_imported_and_built(project):
    composed = compose(["experiment=mine"])

    problems = check(composed.config, composed.origins)
    experiment = build(freeze(composed.config, project / "run"))

    assert problems == []
    assert type(experiment.model).__module__ == "experiments.mine.model"


def test_the_project_is_found_from_a_directory_inside_it(project):
    inside = project / "experiments" / "mine"
    os.chdir(inside)

    composed = compose(["experiment=mine"])

    assert project_root() == project.resolve()
    assert composed.config.name == "mine"


def test_a_pyproject_marks_a_project_too(at, write):
    write(at, {"pyproject.toml": "", "experiments/alone/experiment.yaml": "name: alone\n"})

    composed = compose(["experiment=alone"])

    assert composed.config.name == "alone"


def test_the_projects_options_win_over_the_shipped_ones_of_the_same_name(project, write):
    write(project, {"conf/optimizer/adamw.yaml": "_target_: torch.optim.AdamW\n_partial_: true\nlr: 0.5\n"})

    composed = compose([])

    assert composed.config.optimizer.lr == 0.5


def test_a_preset_in_conf_experiment_works_as_in_any_hydra_project(project, write):
    write(project, {"conf/experiment/other.yaml": "# @package _global_\nname: other\nseed: 7\n"})

    composed = compose(["experiment=other"])

    assert (composed.config.name, composed.config.seed) == ("other", 7)


def test_an_experiment_wins_over_the_root_and_a_debug_preset_over_the_experiment(project, write):
    write(project, {"experiments/long/experiment.yaml": "name: long\ntrainer:\n  max_epochs: 500\n"})

    alone = compose(["experiment=long"]).config
    debugged = compose(["experiment=long", "debug=limit"]).config

    assert (alone.name, alone.trainer.max_epochs) == ("long", 500)
    assert (debugged.name, debugged.trainer.max_epochs) == ("long", 2)


def test_one_more_directory_can_be_given_on_the_command_line(project, train, write):
    write(project, {"elsewhere/model/huge.yaml": "_target_: experiments.mine.model.Net\nwidth: 999\n"})

    outcome = train("--config-dir", "elsewhere", "model=huge")

    assert outcome.code == 0
    assert outcome.jobs[0][0].model.width == 999


def test_the_shipped_configs_are_there_without_any_project(at):
    composed = compose([])

    assert (shipped_conf() / "train.yaml").is_file()
    assert composed.config._target_ == "leyden.experiment.Experiment"


def test_hydra_says_where_configs_come_from(project, train):
    outcome = train("--info", "searchpath")

    assert outcome.code == 0
    assert f"file://{project / 'conf'}" in outcome.out
    assert f"experiments://{project / 'experiments'}" in outcome.out
