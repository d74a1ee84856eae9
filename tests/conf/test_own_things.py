"""A project has room for variables, resolvers and the settings of one machine."""

from __future__ import annotations

import pytest

from leyden.config.build import build
from leyden.config.frozen import freeze

RESOLVER = "from omegaconf import OmegaConf\nOmegaConf.register_new_resolver('{0}', lambda a, b: a * b, replace=True)\n"
HEAD = "# @package _global_\n"


def frozen(outcome):
    assert outcome.code == 0, outcome.err
    return freeze(outcome.jobs[0][0], "somewhere")


@pytest.mark.parametrize(
    "text", ["width: 24\nmodel:\n  width: ${width}\n", "vars:\n  width: 24\nmodel:\n  width: ${vars.width}\n"]
)
def test_a_variable_is_read_and_nothing_is_built_from_it(project, train, write, text):
    write(project, {"conf/experiment/own.yaml": f"{HEAD}defaults:\n  - override /model: tiny\n{text}"})

    config = frozen(train("experiment=own"))

    assert config["model"]["width"] == 24
    assert config["vars"] == {"width": 24}
    assert "width" not in config
    assert build(config).model.layers[0].out_features == 24


def test_a_variable_is_swept(project, train, write):
    text = f"{HEAD}defaults:\n  - override /model: tiny\nvars:\n  width: 1\nmodel:\n  width: ${{vars.width}}\n"
    write(project, {"conf/experiment/own.yaml": text})

    outcome = train("-m", "hydra/launcher=basic", "experiment=own", "vars.width=3,5")

    assert [freeze(config, "somewhere")["model"]["width"] for config, _ in outcome.jobs] == [3, 5]


def test_a_variable_that_nobody_reads_is_refused_where_it_is_typed(project, train, write):
    write(
        project,
        {"conf/experiment/own.yaml": f"{HEAD}vars:\n  width: 1\n  spare: 2\nmodel:\n  dropout: ${{vars.width}}\n"},
    )

    outcome = train("experiment=own", "vars.spare=3")

    assert outcome.code == 2
    assert "nothing in the config refers to ${vars.spare}" in outcome.err


def test_a_key_at_the_top_that_nobody_refers_to_is_still_a_mistake(project, train, write):
    write(project, {"conf/experiment/own.yaml": f"{HEAD}widht: 3\n"})

    outcome = train("experiment=own")

    assert outcome.code == 2
    assert "is read by nobody" in outcome.err


def test_a_run_without_variables_has_no_word_of_them_in_its_config(project, train):
    assert "vars" not in frozen(train())


def test_resolvers_of_the_project_are_there_before_anything_is_composed(project, train, write):
    write(project, {"conf/resolvers.py": RESOLVER.format("twice_of")})

    config = frozen(train("model=tiny", "model.width='${twice_of:3,4}'"))

    assert config["model"]["width"] == 12


def test_so_are_those_of_a_module_that_the_config_names(project, train, write):
    model = (project / "experiments/mine/model.py").read_text("utf-8")
    write(project, {"things/resolving.py": RESOLVER.format("times_of") + model})

    config = frozen(train("model=tiny", "model._target_=things.resolving.Net", "model.width='${times_of:3,5}'"))

    assert config["model"]["width"] == 15


def test_resolvers_that_fail_are_told_with_their_file(project, train, write):
    write(project, {"conf/resolvers.py": "raise ValueError('mine')\n"})

    outcome = train()

    assert outcome.code == 2
    assert "conf/resolvers.py fails: ValueError: mine" in outcome.err


def test_the_local_file_wins_over_an_experiment_and_needs_no_reader(project, train, write):
    write(project, {"conf/local/default.yaml": f"{HEAD}seed: 7\npaths:\n  data_dir: /scratch/me\n"})
    write(project, {"conf/experiment/own.yaml": f"{HEAD}seed: 3\n"})

    config = frozen(train("experiment=own"))

    assert config["seed"] == 7
    assert config["paths"]["data_dir"] == "/scratch/me"


def test_what_is_typed_wins_over_the_local_file(project, train, write):
    write(project, {"conf/local/default.yaml": f"{HEAD}seed: 7\n"})

    assert frozen(train("seed=9"))["seed"] == 9


def test_a_local_file_without_its_package_line_is_told_to_add_it(project, train, write):
    write(project, {"conf/local/default.yaml": "seed: 7\n"})

    outcome = train()

    assert outcome.code == 2
    assert "Write '# @package _global_' as the first line of the local file" in outcome.err
