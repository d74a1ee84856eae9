"""What programs find in Lightning they find here: members, arguments and defaults, class by class."""

from __future__ import annotations

import inspect

import lightning.pytorch.callbacks
import lightning.pytorch.core.optimizer
import lightning.pytorch.loggers
import lightning.pytorch.profilers
import pytest
import torch
from differences import REFUSED
from twins import LEYDEN, LIGHTNING, quiet, regression, silence

import leyden.callbacks
import leyden.loggers
import leyden.optimizer
import leyden.profilers

CONTRACTS = {
    "LightningModule": (LIGHTNING.LightningModule, LEYDEN.LightningModule),
    "LightningDataModule": (LIGHTNING.LightningDataModule, LEYDEN.LightningDataModule),
    "Callback": (LIGHTNING.Callback, LEYDEN.Callback),
    "Trainer": (LIGHTNING.Trainer, LEYDEN.Trainer),
    "LightningOptimizer": (lightning.pytorch.core.optimizer.LightningOptimizer, leyden.optimizer.LightningOptimizer),
}
PACKAGES = {
    "callbacks": (lightning.pytorch.callbacks, leyden.callbacks),
    "loggers": (lightning.pytorch.loggers, leyden.loggers),
    "profilers": (lightning.pytorch.profilers, leyden.profilers),
}
INTERNAL = {
    "configure_sharded_model",  # refused
    "remove_ignored_hparams",  # of save_hyperparameters, in which `ignore` does it
    "test_loop",  # loops of evaluations; of those of a fit, `fit_loop` shows what is asked for
    "validate_loop",
}
OURS = {  # arguments that have another default here, each said in the docstring of its class
    "CSVLogger": {"save_dir"},  # the trainer's folder
    "TensorBoardLogger": {"save_dir"},
    "WandbLogger": {"save_dir"},
    "RichProgressBar": {"refresh_rate", "theme"},  # the clock has the last word; a theme is made by rich
    "StochasticWeightAveraging": {"device"},  # "cpu", which torch.device("cpu") is
    "BackboneFinetuning": {"lambda_func"},  # a function of the same name and value
    "ThroughputMonitor": {"batch_size_fn"},  # may be left out
}


def public(owner):
    return {name for name in dir(owner) if not name.startswith("_")}


def parameters(function):
    """Name, kind and default of each parameter, but for those that take whatever comes."""
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.default) for each in found if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_has_every_public_member(name, tmp_path):
    theirs, ours = CONTRACTS[name]
    if name == "Trainer":
        with silence():
            theirs, ours = quiet(LIGHTNING, tmp_path), quiet(LEYDEN, tmp_path)

    assert public(theirs) - public(ours) <= INTERNAL


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_methods_of_a_contract_take_the_same_arguments(name):
    theirs, ours = CONTRACTS[name]

    for method in public(theirs) - public(torch.nn.Module) - INTERNAL:
        their_method, our_method = getattr(theirs, method), getattr(ours, method, None)
        if inspect.isroutine(their_method) and inspect.isroutine(our_method):
            expected = [each for each in parameters(their_method) if each[0] != "cls"]

            found = parameters(our_method)

            assert found[: len(expected)] == expected or method == "to_tensorrt", method


def test_a_trainer_takes_the_same_options():
    theirs, ours = (dict(parameters(library.Trainer)) for library in (LIGHTNING, LEYDEN))

    assert {name: ours.get(name, "missing") for name in theirs} == theirs


@pytest.mark.parametrize("package", PACKAGES)
def test_every_class_of_a_package_is_there_or_refused(package):
    theirs, ours = PACKAGES[package]
    refused = " ".join(refusal.written for refusal in REFUSED.values())

    for name in theirs.__all__:
        assert hasattr(ours, name) != (f"`{name}`" in refused), name


@pytest.mark.parametrize("package", PACKAGES)
def test_the_classes_of_a_package_take_the_same_arguments(package):
    theirs, ours = PACKAGES[package]

    for name in [name for name in theirs.__all__ if hasattr(ours, name)]:
        expected, found = dict(parameters(getattr(theirs, name))), dict(parameters(getattr(ours, name)))
        spread = any(
            each.kind is each.VAR_KEYWORD for each in inspect.signature(getattr(ours, name)).parameters.values()
        )

        assert spread or set(expected) <= set(found), name
        assert {arg for arg in expected if arg in found and found[arg] != expected[arg]} == OURS.get(name, set()), name


@pytest.mark.parametrize("member", ["accelerator", "distributed_sampler_kwargs"])
def test_what_is_told_about_devices_has_the_same_type(member, tmp_path):
    with silence():
        theirs, ours = (getattr(quiet(library, tmp_path), member) for library in (LIGHTNING, LEYDEN))

    assert type(ours).__name__ == type(theirs).__name__


@pytest.mark.parametrize(
    "member", ["on_gpu", "device_mesh", "fabric", "allow_zero_length_dataloader_with_multiple_devices"]
)
def test_a_module_tells_the_same_about_where_it_runs(member):
    theirs, ours = (getattr(regression(library)(), member) for library in (LIGHTNING, LEYDEN))

    assert ours == theirs
