"""A mistake costs one clear message and exit code 2, and leaves no directory behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OVERRIDES = [
    # groups and options
    (["model=mpl"], "the group 'model' has no option 'mpl'. Did you mean 'mlp'?"),
    (["modle=mlp"], "there is no 'modle' in the config. Did you mean 'model'?"),
    (["optimizer=Adam"], "Did you mean 'adam'?"),
    (["data=imagenet"], "Its options are: digits, fashion_mnist"),
    (["experiment=mien"], "Did you mean 'mine'?"),
    (["debug=fats"], "Did you mean 'fast'?"),
    (["+model=mlp"], "is chosen from already. Leave out the '+': model=mlp"),
    (["callbacks=[default,early_stopin]"], "the group 'callbacks' has no option 'early_stopin'. Did you mean"),
    (["callbacks=[default,timer]", "sed=1"], "1 problem in the overrides"),
    (["-m", "callbacks=[default,tmer],none"], "the group 'callbacks' has no option 'tmer'. Did you mean 'timer'?"),
    (["optimizer@other=sgd"], "Add it: +optimizer@other=sgd"),
    (["models/mlp=3"], "there is no config group 'models/mlp'"),
    (["hydra/launcher=slurmm"], "the group 'hydra/launcher' has no option 'slurmm'"),
    # keys
    (["trainer.max_epoch=3"], "Did you mean 'trainer.max_epochs'?"),
    (["trainr.max_epochs=3"], "Did you mean 'trainer.max_epochs'?"),
    (["lr=0.1"], "Did you mean 'optimizer.lr'?"),
    (["max_epochs=3"], "Did you mean 'trainer.max_epochs'?"),
    (["paths.data_dri=x"], "Did you mean 'paths.data_dir'?"),
    (["+seed=3"], "seed exists already. Leave out the '+': seed=3"),
    (["~model.nothing"], "there is no 'model.nothing' in the config"),
    (["+lernrate=0.1"], "is read by nobody"),
    (["+model.widht=3"], "MLP takes no argument 'widht'"),
    # mappings
    (["data={nonsense:1}"], "data.nonsense   Digits takes no argument 'nonsense'"),
    (["model={hiden:[8]}"], "Did you mean 'hidden'?   set on the command line"),
    (["callbacks.model_checkpoint={monitr:x}"], "there is no 'callbacks.model_checkpoint.monitr' in the config. Did"),
    (["paths={data_dri:x}"], "Did you mean 'paths.data_dir'?"),
    (["model.hidden={a:1}"], "gives a mapping, but model.hidden is a list: [128]. Write a list: model.hidden=[...]"),
    (["experiment={mine:1}"], "'experiment' is a group of which nothing is chosen"),
    # values
    (["trainer.max_epochs=-5"], "trainer.max_epochs   is -5 (int), but should be greater than or equal to -1"),
    (["trainer.max_epochs=many"], "expects int | null, got 'many' (str)"),
    (["seed=x"], "seed   expects int, got 'x' (str)"),
    (["name=2024"], "Quote it"),
    (["tags=fast"], "A list is written [fast]"),
    (["data.batch_size=64.0"], "expects int, got 64.0 (float). Write 64"),
    (["data.batch_size=???"], "must be given"),
    (["data.batch_size=${nope}"], "refers to 'nope', which does not exist"),
    (["optimizer.lr=${optimizer.lrr}"], "Did you mean ${optimizer.lr}?"),
    # directories
    (["-m", "seed=1,2", "paths.run_dir=x"], "each run of a multirun gets a directory of its own: hydra.sweep.dir/0"),
    (["-m", "seed=1,2", "paths.run_dir=x/${seed}", "hydra/launcher=basic"], "is x/${seed}, but each run"),
    (["-m", "paths.run_dir=x,y"], "is x, but each run"),
    # targets
    (["optimizer._target_=torch.optim.AdmaW"], "Did you mean 'AdamW'?"),
    (["model._target_=leyden.modls.MLP"], "Did you mean 'models'?"),
    (["model._target_=torch.optim.AdamW"], "AdamW"),
    # grammar and flags
    (["seed"], "is no override. Expected seed=<value>"),
    (["seed=[1"], "cannot be read"),
    (["seed=1,2"], "gives several values to one run. For one run each: add -m"),
    (["--max_epochs=3"], "Values of the config are given without dashes: max_epochs=3"),
    (["--config-dir", "nowhere"], "--config-dir nowhere is no directory"),
    (["--config-name", "trian"], "there is no config 'trian'. Did you mean 'train'?"),
    # multirun: every point is looked at before the first one runs
    (["-m", "seed=1,x,3", "model=mlp,conv"], "job 2 of 6: seed=x model=mlp"),
    (["-m", "model=mlp,cnv"], "Did you mean 'conv'?"),
    (["-m", "sed=1,2"], "Did you mean 'seed'?"),
    (["-m", "seed=interval(1,2)"], "Give choices"),
    # looking, not running
    (["--cfg", "job", "model=mpl"], "Did you mean 'mlp'?"),
    (["--help", "model=mpl"], "Did you mean 'mlp'?"),
]


@pytest.mark.parametrize(("argv", "said"), OVERRIDES, ids=[" ".join(argv) for argv, _ in OVERRIDES])
def test_a_wrong_command_line_is_explained(project, train, argv, said, listing):
    before = listing(project)

    outcome = train(*argv)

    assert said in outcome.err
    assert outcome.code == 2
    assert outcome.jobs == []
    assert "Traceback" not in outcome.err
    assert "HYDRA_FULL_ERROR" not in outcome.err
    assert listing(project) == before


EXPERIMENTS = [
    ("defaults:\n  - override /model: tyny\n", "the group 'model' has no option 'tyny'. Did you mean 'tiny'?"),
    ("defaults:\n  - override /modle: tiny\n", "matches nothing in the defaults list. Did you mean 'model'?"),
    ("defaults:\n  - override model: tiny\n", "Write '- override /model: <option>'"),
    ("defaults:\n  - model: tiny\n", "write '- override /model: tiny' there"),
    ("defaults:\n  model: tiny\n", "defaults must be a list"),
    ("model:\n  width: 3\n", "MLP takes no argument 'width'"),
    ("trainer:\n  max_epoch: 3\n", "Trainer takes no argument 'max_epoch'. Did you mean 'max_epochs'?"),
    ("trainer:\n  max_epochs: lots\n", "expects int | null, got 'lots' (str)"),
    ("sead: 3\n", "is read by nobody. Did you mean 'seed'?"),
    ("path:\n  data_dir: x\n", "path   is read by nobody. Did you mean 'paths'?"),
    ("callbacks:\n  mine:\n    _target_: experiments.wrong.nothing.Mine\n", "experiments.wrong has no 'nothing'"),
    ("trainer:\n  max_epochs: 3\n max_steps: 4\n", "experiments/wrong/experiment.yaml:3   is no YAML"),
    ("name: ${nmae}\n", "refers to 'nmae', which does not exist"),
    ("data: 3\n", "data   expects"),
    ("- name\n", "experiments/wrong/experiment.yaml"),
]


@pytest.mark.parametrize(("text", "said"), EXPERIMENTS, ids=[text.replace("\n", ";") for text, _ in EXPERIMENTS])
def test_a_wrong_experiment_file_is_explained_and_named(project, train, text, said, write, listing):
    write(project, {"experiments/wrong/experiment.yaml": text})
    before = listing(project)

    outcome = train("experiment=wrong")

    assert said in outcome.err
    assert str(Path("experiments/wrong/experiment.yaml")) in outcome.err
    assert outcome.code == 2
    assert outcome.jobs == []
    assert "Traceback" not in outcome.err
    assert listing(project) == before


def test_a_preset_without_its_package_line_is_told_to_add_it(project, train, write):
    write(project, {"conf/experiment/flat.yaml": "name: flat\n"})

    outcome = train("experiment=flat")

    assert outcome.code == 2
    assert "Write '# @package _global_' as the first line of the experiment file" in outcome.err


def test_several_mistakes_are_told_at_once(project, train):
    outcome = train("model=mpl", "trainer=gup", "seed=[1")

    assert outcome.err.startswith("3 problems in the overrides (nothing has been built):")


PROGRAM = """
    import sys
    from leyden.config.app import run_app

    sys.exit(run_app("train", sys.argv[1:], lambda config, context: print("trained")))
"""


@pytest.mark.parametrize("argv", [["model=mpl"], ["data.batch_size=none"], ["-m", "seed=1,x"]], ids=" ".join)
def test_a_real_process_ends_with_code_2_and_one_message(tmp_path, argv, write, listing, three_files):
    root = write(tmp_path, {**three_files, "program.py": PROGRAM})
    before = listing(root)

    done = subprocess.run(
        [sys.executable, "program.py", *argv],
        cwd=root,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("1 problem in ")
    assert "Traceback" not in done.stderr
    assert listing(root) == before
