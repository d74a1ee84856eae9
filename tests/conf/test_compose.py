"""A composed run is complete, independent of Hydra, and leaves nothing behind by itself."""

from __future__ import annotations

import functools
import pickle
from itertools import zip_longest

import pytest
import yaml

from leyden.config.build import BuildError, build
from leyden.config.check import check
from leyden.config.compose import compose
from leyden.config.frozen import dump, freeze, load
from leyden.config.overrides import apply_overrides
from leyden.config.problems import ConfigProblems
from leyden.config.project import shipped_conf
from leyden.errors import ConfigurationError

GROUPS = [
    directory for directory in sorted(shipped_conf().iterdir()) if directory.is_dir() and directory.name != "hydra"
]
COLUMNS = [[f"{group.name}={file.stem}" for file in sorted(group.glob("*.yaml"))] for group in GROUPS]
ROWS = [[option for option in row if option] for row in zip_longest(*COLUMNS)]
NEEDS = {"model=transformer": "data=text"}  # which other option one asks for


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_every_shipped_option_composes_without_a_problem(at, row):
    groups = {option.partition("=")[0]: option for option in row}
    for needed in [NEEDS[option] for option in row if option in NEEDS]:
        groups[needed.partition("=")[0]] = needed

    composed = compose(list(groups.values()))

    assert check(composed.config, composed.origins) == []


def test_the_default_experiment_can_be_built(at):
    config = freeze(compose([]).config, at / "run")

    experiment = build(config)

    assert experiment.name == "digits_mlp"
    assert type(experiment.model).__name__ == "MLP"


def test_a_frozen_config_refers_to_nothing_and_reads_no_clock(at):
    config = freeze(compose(["+tags=['${now:%f}', '${hydra:job.name}']"]).config, at / "run")

    assert "${" not in dump(config)
    assert config["paths"]["run_dir"] == str(at / "run")
    assert config["paths"]["work_dir"] == str(at)
    assert config["tags"][1] == "leyden"


def test_a_mapping_changes_some_keys_and_adds_arguments_of_the_target(at):
    composed = compose(
        ["trainer={max_epochs:3}", "callbacks.model_checkpoint={monitor:x,enable_version_counter:false}"]
    )

    assert composed.config.trainer.max_epochs == 3
    assert composed.config.trainer._target_ == "leyden.trainer.Trainer"
    assert composed.config.callbacks.model_checkpoint.monitor == "x"
    assert composed.config.callbacks.model_checkpoint.enable_version_counter is False


def test_a_config_cannot_be_frozen_without_its_directory(at):
    composed = compose([])

    with pytest.raises(ConfigProblems, match=r"paths\.run_dir"):
        freeze(composed.config)


def test_a_frozen_config_comes_back_from_yaml_as_it_was(at):
    config = freeze(compose(["+tags=['1e-3','yes']", "optimizer.eps=1e-9"]).config, at / "run")

    (at / "config.yaml").write_text(dump(config))

    assert load(at / "config.yaml") == config
    assert list(load(at / "config.yaml")) == list(config)
    assert yaml.safe_load(dump(config))["model"] == config["model"]


def test_partial_objects_in_a_built_tree_are_plain_and_can_be_pickled(at, write):
    write(
        at,
        {
            "conf/x": "",
            "things.py": "class Keeper:\n    def __init__(self, **kept):\n        self.kept = kept\n",
        },
    )
    adam = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.5}
    inner = {"_target_": "things.Keeper", "optimizer": adam, "many": [adam, {"one": adam}]}

    built = build({"_target_": "things.Keeper", "inner": inner, "maker": {**inner, "_partial_": True}})

    held = built.kept["inner"].kept
    everything = [held["optimizer"], held["many"][0], held["many"][1]["one"], built.kept["maker"]]
    everything.append(built.kept["maker"].keywords["optimizer"])
    assert {type(one) for one in everything} == {functools.partial}
    assert pickle.loads(pickle.dumps(built)).kept["inner"].kept["optimizer"].keywords == {"lr": 0.5}


def test_what_a_constructor_refuses_comes_out_with_its_place_in_the_config(at):
    config = freeze(compose(["data.val_fraction=2.5"]).config, at / "run")

    with pytest.raises(ConfigurationError, match=r"^data: .*val_fraction"):
        build(config)


def test_a_value_that_only_the_constructor_can_judge_is_a_mistake_in_the_config(at):
    config = freeze(compose(["model.dropout=2"]).config, at / "run")

    with pytest.raises(ConfigurationError, match=r"^model.* dropout .*2"):
        build(config)


def test_any_other_error_of_a_constructor_is_the_cause_of_one_that_names_the_place(at, write):
    write(at, {"conf/x": "", "things.py": "def fail(x):\n    raise KeyError('inside')\n"})

    with pytest.raises(BuildError, match=r"^callbacks\.mine could not be built: KeyError") as caught:
        build({"_target_": "builtins.dict", "callbacks": {"mine": {"_target_": "things.fail", "x": 1}}})

    assert isinstance(caught.value.__cause__, KeyError)


def test_a_job_is_told_what_was_typed_and_chosen_and_nothing_is_made(project, train, listing):
    before = listing(project)

    outcome = train("experiment=mine", "seed=3")

    config, context = outcome.jobs[0]
    assert outcome.code == 0
    assert (config.seed, config.model.width) == (3, 16)
    assert "hydra" not in config
    assert context.overrides == ["experiment=mine", "seed=3"]
    assert (context.choices["experiment"], context.choices["optimizer"]) == ("mine", "adamw")
    assert (context.job_num, context.sweep_dir) == (None, None)
    assert listing(project) == before


def test_an_argument_the_config_does_not_list_is_accepted_if_the_target_takes_it(at, train):
    outcome = train("trainer.inference_mode=false", "optimizer.amsgrad=true")

    assert outcome.code == 0
    assert outcome.jobs[0][0].trainer.inference_mode is False
    assert outcome.jobs[0][1].overrides == ["+trainer.inference_mode=false", "+optimizer.amsgrad=true"]


LISTS = (
    "callbacks=[default,early_stopping]",
    "experiment=listed",
    "experiment=listed callbacks=[default,early_stopping]",
    "experiment=listed callbacks.early_stopping.patience=3",
)


@pytest.mark.parametrize("line", LISTS)
@pytest.mark.parametrize("more", ["seed=3", "trainer.inference_mode=false", "callbacks.early_stopping.strict=false"])
def test_several_options_of_a_group_are_chosen_as_a_list(project, train, write, line, more):
    listed = "defaults:\n  - override /callbacks: [default, early_stopping]\n"
    write(project, {"experiments/listed/experiment.yaml": listed})

    outcome = train(*line.split(), more)

    assert outcome.err == ""
    (job,) = outcome.jobs
    assert list(job[0].callbacks) == ["model_checkpoint", "model_summary", "progress_bar", "early_stopping"]


@pytest.mark.parametrize(
    "line", ["callbacks=none,[default,early_stopping]", "experiment=listed callbacks=none,default"]
)
def test_lists_of_options_are_points_of_a_grid(project, train, write, line):
    listed = "defaults:\n  - override /callbacks: [default, early_stopping]\n"
    write(project, {"experiments/listed/experiment.yaml": listed})

    outcome = train("-m", *line.split(), "trainer.inference_mode=false")

    assert outcome.err == ""
    assert [len(config.callbacks) for config, _ in outcome.jobs] == [0, 4 if "[" in line else 3]


def test_a_group_can_be_added_or_left_out_beside_an_argument_the_config_does_not_list(project, train, write):
    write(project, {"conf/extra/some.yaml": "# @package model\nclasses: 7\n"})

    outcome = train("+extra=some", "~callbacks", "trainer.inference_mode=false")

    assert outcome.err == ""
    assert outcome.jobs[0][0].model.classes == 7
    assert "callbacks" not in outcome.jobs[0][0]


def test_a_multirun_runs_each_point_of_the_grid_in_one_directory(at, train):
    outcome = train("-m", "seed=1,2", "trainer.inference_mode=true,false")

    seen = [(config.seed, config.trainer.inference_mode) for config, _ in outcome.jobs]
    assert outcome.code == 0
    assert seen == [(1, True), (1, False), (2, True), (2, False)]
    assert [context.job_num for _, context in outcome.jobs] == [0, 1, 2, 3]
    assert len({context.sweep_dir for _, context in outcome.jobs}) == 1
    assert outcome.jobs[0][1].sweep_dir.startswith("runs/multirun/")


def test_the_exit_code_of_a_task_is_passed_on(at, train):
    assert train("seed=1", codes=[3]).code == 3
    assert train("-m", "seed=1,2", codes=[0, 5]).code == 5


def test_help_names_the_program_its_groups_and_its_config(at, train):
    outcome = train("--help")

    assert outcome.code == 0
    assert "leyden train" in outcome.out
    assert "model: conv, mlp" in outcome.out
    assert "name: digits_mlp" in outcome.out


def test_the_config_can_be_looked_at_resolved_although_no_run_has_been_made(at, train, listing):
    outcome = train("--cfg", "job", "--resolve", "scheduler=cosine")

    assert outcome.code == 0
    assert "T_max: 30" in outcome.out
    assert "${" not in outcome.out
    assert listing(at) == []


def test_one_package_of_the_config_can_be_looked_at(at, train):
    outcome = train("--cfg", "job", "--package", "optimizer")

    assert outcome.out.startswith("# @package optimizer\n_target_: torch.optim.AdamW")


def test_a_saved_config_is_changed_by_overrides_in_hydras_grammar(at):
    saved = freeze(compose([]).config, at / "run")

    changed = apply_overrides(
        saved, ["data.batch_size=16", "+model.extra=[1,2]", "~callbacks", "trainer.inference_mode=false"]
    )

    assert changed["data"]["batch_size"] == 16
    assert changed["model"]["extra"] == [1, 2]
    assert "callbacks" not in changed
    assert changed["trainer"]["inference_mode"] is False
    assert saved["data"]["batch_size"] == 64


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.batch_sise=16", "Did you mean 'data.batch_size'?"),
        ("model=conv", "groups were chosen when this config was composed"),
        ("seed=1,2", "gives several values to one run"),
        ("data.batch_size=[", "cannot be read"),
        ("+seed=3", "Leave out the '+': seed=3"),
    ],
)
def test_a_wrong_override_of_a_saved_config_is_explained(at, override, said):
    saved = freeze(compose([]).config, at / "run")

    with pytest.raises(ConfigProblems) as caught:
        apply_overrides(saved, [override])

    assert said in str(caught.value)
