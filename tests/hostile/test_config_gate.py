"""The gate in front of configs refuses each hostile one before anything is built, and lets the harmless ones pass."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from leyden.config import import_wall
from leyden.config.compose import compose
from leyden.config.frozen import freeze
from leyden.config.project import shipped_conf
from leyden.config.trust import Trust
from leyden.errors import ConfigurationError
from leyden.runs.directory import RunDirectory
from leyden.runs.guard import admitted
from tests.hostile import attacks_code, attacks_config
from tests.hostile.arena import Sandbox

ATTACKS = [
    attack for table in (attacks_code, attacks_config) for attack in table.ATTACKS if attack.refused_by and attack.said
]
MODEL = ["model.hidden=[4]", "data=synthetic", "data.samples=60", "trainer.accelerator=cpu", "trainer.max_epochs=1"]
EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A run as it is made, without having been executed."""
    importlib.import_module("torchmetrics")  # matplotlib, which it imports, makes a folder at home
    place = tmp_path_factory.mktemp("template")
    words = [*MODEL, "logger=csv", "callbacks=[model_checkpoint]"]
    RunDirectory.create(place / "run", freeze(compose(words).config, place / "run"), {})
    text = (place / "run" / "config.yaml").read_text()
    (place / "run" / "config.yaml").write_text(text.replace(os.getcwd(), str(place / "project")))
    return place


@pytest.fixture
def sandbox(template, tmp_path, monkeypatch):
    made = Sandbox(tmp_path / "sandbox", template, "http://127.0.0.1:9", 0)
    path, finders = list(sys.path), list(sys.meta_path)
    _forget_code()
    monkeypatch.chdir(made.project)
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.setenv("USER", "somebody")
    yield made
    sys.path[:], sys.meta_path[:] = path, finders
    import_wall._WALL.refused.clear()
    _forget_code()


def _forget_code():
    """Let what is named be looked for where the test is."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("runs", "experiments")]:
        del sys.modules[name]


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_a_hostile_config_is_refused(attack, sandbox):
    attack.build(sandbox.run, sandbox)
    before = sandbox.snapshot("run")

    with pytest.raises(ConfigurationError, match=attack.said):
        admitted(RunDirectory(sandbox.run))

    assert not sandbox.canary.exists()
    assert sandbox.snapshot("run") == before


def test_there_are_as_many_attacks_as_there_should_be():
    names = {attack.name for attack in ATTACKS}

    assert len(names) >= 120
    assert all(len(table) >= 10 for table in (attacks_code.NODES, attacks_config.WRITES, attacks_config.SENDS))


# --- what has to pass ------------------------------------------------------------------------

SHIPPED = [
    *([f"{group}={file.stem}"] for group in ("model", "data", "optimizer", "scheduler", "trainer", "logger", "debug")
      for file in sorted((shipped_conf() / group).glob("*.yaml")) if file.stem not in ("in_module", "default")),
    *([f"callbacks=[{file.stem}]"] for file in sorted((shipped_conf() / "callbacks").glob("*.yaml"))),
    *([f"experiment={file.parent.name}"] for file in sorted(EXPERIMENTS.glob("*/experiment.yaml"))),
]  # fmt: skip


@pytest.mark.parametrize("words", SHIPPED, ids=" ".join)
def test_what_leyden_ships_passes_though_nobody_recorded_it(words, sandbox, monkeypatch):
    usual = [] if words[0].startswith(("experiment", "model", "data=mnist")) else ["model.hidden=[4]"]
    if words[0].startswith("experiment"):
        monkeypatch.chdir(EXPERIMENTS.parent)
    run = sandbox.batch / "other"
    usual = [] if words[0].startswith("data=") else usual
    usual = ["data=text"] if words == ["model=transformer"] else usual
    config = freeze(compose([*words, *usual, f"paths.output_dir={sandbox.batch}"]).config, run)

    assert admitted(RunDirectory.create(run, config, {})) == config


def adam(**given):
    return {"_target_": "torch.optim.Adam", "_partial_": True, **given}


HARMLESS = {
    "a scheduler with a function of torch": {
        "scheduler": {"_target_": "torch.optim.lr_scheduler.LambdaLR", "_partial_": True,
                      "lr_lambda": {"_target_": "leyden.schedulers.WarmupCosine", "_args_": [2, 10]}},
    },
    "a network of torch's modules": {
        "tags": [{"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.nn.Linear", "_args_": [4, 2]},
                                                               {"_target_": "torch.nn.ReLU"}]}],
    },
    "a transformer with an activation": {
        "tags": [{"_target_": "torch.nn.TransformerEncoderLayer", "d_model": 8, "nhead": 2,
                  "activation": {"_target_": "torch.nn.functional.gelu", "_partial_": True}}],
    },
    "metrics": {
        "tags": [{"_target_": "torchmetrics.MetricCollection",
                  "metrics": [{"_target_": "torchmetrics.Accuracy", "task": "multiclass", "num_classes": 3}]}],
    },
    "an average of weights": {
        "callbacks__swa": {"_target_": "leyden.callbacks.WeightAveraging",
                           "avg_fn": {"_target_": "torch.optim.swa_utils.get_ema_avg_fn", "decay": 0.9}},
    },
    "a checkpoint folder in the run": {"callbacks__model_checkpoint__dirpath": "<RUN>/checkpoints/best"},
    "a checkpoint name with a folder and a width": {"callbacks__model_checkpoint__filename": "best/{epoch:03d}-{step}"},
    "a checkpoint folder by position": {
        "callbacks__model_checkpoint": {"_target_": "leyden.callbacks.ModelCheckpoint", "_args_": ["<RUN>/checkpoints"]}
    },
    "a path in the run": {
        "callbacks__model_checkpoint__dirpath": {"_target_": "pathlib.Path", "_args_": ["<RUN>", "checkpoints"]},
    },
    "a logger by position": {"logger__csv": {"_target_": "leyden.loggers.CSVLogger", "_args_": ["<RUN>", "", ""]}},
    "TensorBoard with options of its writer": {
        "logger__x": {"_target_": "leyden.loggers.TensorBoardLogger", "save_dir": "<RUN>", "flush_secs": 5},
    },
    "W&B offline": {
        "logger__x": {"_target_": "leyden.loggers.WandbLogger", "save_dir": "<RUN>", "offline": True, "group": "x",
                      "tags": ["a"], "project": "p", "id": None, "entity": None},
    },
    "a database of all runs": {
        "logger__x": {"_target_": "leyden.loggers.MLFlowLogger",
                      "tracking_uri": "sqlite:///<PROJECT>/runs/mlflow.db"},
    },
    "a database as it is referred to": {
        "logger__x": {"_target_": "leyden.loggers.MLFlowLogger",
                      "tracking_uri": '${oc.env:MLFLOW_TRACKING_URI,"sqlite:///${paths.output_dir}/mlflow.db"}'},
        "paths__output_dir": "<PROJECT>/runs",
    },
    "a profiler": {
        "trainer__profiler": {"_target_": "leyden.profilers.PyTorchProfiler", "dirpath": "<RUN>", "filename": "x",
                              "schedule": {"_target_": "torch.profiler.schedule", "wait": 1, "warmup": 1, "active": 1}},
    },
    "data of the project": {"data": {"_target_": "leyden.datasets.MNIST", "root": "data/mnist"}},
    "text of the project": {"data": {"_target_": "leyden.datasets.Text", "path": "texts", "pattern": "**/*.txt"}},
    "words with braces and dollars": {"tags": ["{epoch}", "5 $", "a\\b", "100 %"], "name": "digits-{x}"},
    "numbers as versions": {"logger__csv__version": 3, "logger__csv__name": "some/folder"},
    "two groups of optimizers": {"optimizer": adam(lr=0.1, betas=[0.9, 0.99])},
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_computes_passes(name, sandbox):
    sandbox.config(sandbox.run, **attacks_code.filled(HARMLESS[name], sandbox))

    admitted(RunDirectory(sandbox.run))


@pytest.mark.parametrize("packed", [".gz", ""])
def test_data_that_is_there_is_read_from_anywhere(packed, sandbox):
    from leyden.datasets import MNIST

    sandbox.config(sandbox.run, data={"_target_": "leyden.datasets.MNIST", "root": str(sandbox.elsewhere)})
    names = list(MNIST.checksums)
    for name in names[1:]:
        (sandbox.elsewhere / name).with_suffix(packed).touch()
    with pytest.raises(ConfigurationError, match=r"data\.root"):
        admitted(RunDirectory(sandbox.run))
    (sandbox.elsewhere / names[0]).touch()

    admitted(RunDirectory(sandbox.run))


# --- what is trusted ---------------------------------------------------------------------------

MLFLOW = "leyden.loggers.MLFlowLogger"
TRUSTED = {
    "env:USER": {"name": "${oc.env:USER}"},
    "https://mlflow.example.org/team": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "https://mlflow.example.org/team/one"}
    },
    "s3://bucket/runs": {"callbacks__model_checkpoint__dirpath": "s3://bucket/runs/x"},
    "https://wandb.ai/us": {"logger__x": {"_target_": "leyden.loggers.WandbLogger", "entity": "us"}},
    "<ELSEWHERE>/": {"logger__csv__save_dir": "<ELSEWHERE>/x", "data": {"_target_": "leyden.datasets.MNIST",
                                                                       "root": "<ELSEWHERE>"}},
}  # fmt: skip
ALIKE = {
    "env:USE": {"name": "${oc.env:USER}"},
    "https://mlflow.example.org": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "https://mlflow.example.org.evil.net/x"}
    },
    "https://mlflow.example.org/": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "https://mlflow.example.org@evil.net/"}
    },
    "https://mlflow.example.org/team": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "https://mlflow.example.org/team/../other"}
    },
    "https://mlflow.example.org/tea": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "https://mlflow.example.org/team"}
    },
    "s3://bucket": {"callbacks__model_checkpoint__dirpath": "s3://bucket-of-another/x"},
    "https://wandb.ai/us": {"logger__x": {"_target_": "leyden.loggers.WandbLogger", "entity": "us-not"}},
    "<ELSEWHERE>/": {"logger__csv__save_dir": "<ELSEWHERE>-not/x"},
}


@pytest.mark.parametrize("trusted", TRUSTED)
def test_what_the_user_trusts_passes(trusted, sandbox):
    sandbox.config(sandbox.run, **attacks_code.filled(TRUSTED[trusted], sandbox))
    with pytest.raises(ConfigurationError, match="--trust"):
        admitted(RunDirectory(sandbox.run))

    admitted(RunDirectory(sandbox.run), [attacks_code.filled(trusted, SimpleNamespace(**vars(sandbox), touch=""))])


@pytest.mark.parametrize("text", ["${oc.env:USER}", "\\${oc.env:USER}"])
def test_what_a_variable_holds_is_not_looked_up_again(text, sandbox, monkeypatch):
    monkeypatch.setenv("USER", "${oc.env:HOME}")
    sandbox.config(sandbox.run, name=text)

    with pytest.raises(ConfigurationError, match="plain values only"):
        admitted(RunDirectory(sandbox.run), ["env:USER"])


@pytest.mark.parametrize("trusted", ALIKE)
def test_what_only_looks_like_it_does_not(trusted, sandbox):
    sandbox.config(sandbox.run, **attacks_code.filled(ALIKE[trusted], sandbox))

    with pytest.raises(ConfigurationError, match="problem"):
        admitted(RunDirectory(sandbox.run), [attacks_code.filled(trusted, SimpleNamespace(**vars(sandbox), touch=""))])


@pytest.mark.parametrize("key", ["paths__data_dir", "model___convert_", "model___target_"])
def test_a_trusted_variable_decides_neither_on_code_nor_on_paths(key, sandbox):
    sandbox.config(sandbox.run, **{key: "${oc.env:USER}"})

    with pytest.raises(ConfigurationError, match=r"\$\{oc\.env:USER\}' stands for another value"):
        admitted(RunDirectory(sandbox.run), ["env:USER"])


def test_the_default_of_a_trusted_variable_is_plain(sandbox):
    sandbox.config(sandbox.run, name="${oc.env:NOPE,${paths.run_dir}}")

    with pytest.raises(ConfigurationError, match="plain values only"):
        admitted(RunDirectory(sandbox.run), ["env:NOPE"])


@pytest.mark.parametrize(
    "sent",
    [
        {"callbacks__model_checkpoint__dirpath": "s3://evil/x"},
        {"logger__x": {"_target_": MLFLOW, "tracking_uri": "databricks"}},
    ],
    ids=["a bucket", "a hosted server"],
)
def test_an_address_is_no_folder_of_the_run_even_to_who_stands_in_it(sent, sandbox, monkeypatch):
    monkeypatch.chdir(sandbox.run)
    sandbox.config(sandbox.run, paths__work_dir=str(sandbox.run), **sent)

    with pytest.raises(ConfigurationError, match=r"is 's3://evil/x'|is 'databricks'"):
        admitted(RunDirectory(sandbox.run))


def test_code_behind_a_link_into_the_run_is_not_the_users_own(sandbox):
    (sandbox.run / "x.py").touch()
    (sandbox.project / "laboratory").symlink_to(sandbox.run)
    (sandbox.project / "mine.py").touch()

    assert not Trust.of(sandbox.run).owns(sandbox.project / "laboratory" / "x.py")
    assert Trust.of(sandbox.run).owns(sandbox.project / "mine.py")
