"""DummyLogger accepts whatever any logger accepts, does nothing, and costs no heavy import."""

import copy
import inspect
import pickle
import subprocess
import sys

import pytest
import torch

import leyden.loggers
from leyden.loggers import CSVLogger, DummyExperiment, DummyLogger, TensorBoardLogger, WandbLogger


@pytest.mark.parametrize("kind", [CSVLogger, TensorBoardLogger, WandbLogger])
def test_every_public_method_of_every_logger_can_be_called(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logger = DummyLogger()
    methods = [(name, method) for name, method in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"]

    for name, method in methods:
        parameters = inspect.signature(method).parameters
        required = [key for key, value in parameters.items() if value.default is value.empty and value.kind == 1]
        getattr(logger, name)(**{key: {} for key in required if key != "self"})

    assert len(methods) > 8
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_swallows_attributes_calls_items_and_blocks():
    experiment = DummyLogger().experiment

    experiment.config["lr"] = 0.1
    experiment.config.update({"lr": 0.2}, allow_val_change=True)
    experiment.summary.best = 3
    with experiment.group("a") as group:
        group.add_image("x", torch.zeros(3, 2, 2), global_step=1)

    assert list(experiment.history) == []
    assert isinstance(experiment.summary["best"], DummyExperiment)


def test_an_exception_inside_a_dummy_block_is_not_swallowed():
    with pytest.raises(ZeroDivisionError), DummyLogger().experiment.group("a"):
        _ = 1 / 0


def test_a_dummy_can_be_copied_and_sent_to_another_process():
    logger = DummyLogger()

    assert isinstance(copy.deepcopy(logger), DummyLogger)
    assert isinstance(pickle.loads(pickle.dumps(logger.experiment)), DummyExperiment)


def test_the_package_offers_its_names_without_loading_a_backend():
    code = (
        "import sys, leyden.loggers as loggers\n"
        "[getattr(loggers, name) for name in dir(loggers)]\n"
        "loggers.CSVLogger('x'), loggers.TensorBoardLogger('x'), loggers.WandbLogger()\n"
        "print([name for name in ('wandb', 'tensorboard', 'yaml', 'lightning') if name in sys.modules])\n"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"


def test_an_unknown_name_is_refused_with_the_list_of_names():
    with pytest.raises(AttributeError, match="no attribute 'NeptuneLogger'; it offers CSVLogger"):
        _ = leyden.loggers.NeptuneLogger
