"""The small functions that scripts import from Lightning's utilities give the same under their names here."""

from __future__ import annotations

import lightning.fabric.utilities.cloud_io
import lightning.fabric.utilities.data
import lightning.pytorch.callbacks.timer
import lightning.pytorch.cli
import lightning.pytorch.core.mixins
import lightning.pytorch.demos.boring_classes
import lightning.pytorch.utilities.enums
import lightning.pytorch.utilities.memory
import lightning.pytorch.utilities.model_summary
import lightning.pytorch.utilities.parameter_tying
import lightning.pytorch.utilities.parsing
import lightning.pytorch.utilities.signature_utils
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from twins import silence

import leyden.callbacks
import leyden.memory
from leyden import ConfigurationError
from leyden.lightning import (
    boring,
    choices,
    files,
    flops,
    hparams,
    lengths,
    memory,
    parsing,
    sharing,
    signatures,
    summary,
)

UTILITIES, DATA = lightning.pytorch.utilities, lightning.fabric.utilities.data
COUNTS = [0, 1, 123, 999, 1000, 1234, 99_949, 99_951, 999_999, 10**6, 2_000_000, 3 * 10**9, 4 * 10**14, 5 * 10**15]
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    RuntimeError("something else"),
    ValueError("CUDA out of memory"),
]
LOADERS = [
    DataLoader(boring.RandomDataset(4, 6)),
    DataLoader(boring.RandomIterableDataset(4, 6)),
    DataLoader(boring.RandomIterableDatasetWithLen(4, 6)),
    [1, 2],
    iter([1]),
    None,
]


@pytest.mark.parametrize("number", COUNTS)
def test_counts_are_shortened_the_same_way(number):
    theirs = UTILITIES.model_summary.get_human_readable_count(number)

    assert summary.get_human_readable_count(number) == theirs


@pytest.mark.parametrize("error", ERRORS, ids=str)
@pytest.mark.parametrize("name", ["is_oom_error", "is_cuda_out_of_memory", "is_cudnn_snafu", "is_out_of_cpu_memory"])
def test_errors_are_told_apart_the_same_way(name, error):
    ours = getattr(memory, name, leyden.memory.is_out_of_memory)

    assert ours(error) == getattr(UTILITIES.memory, name)(error)


@pytest.mark.parametrize("index", range(len(LOADERS)))
@pytest.mark.parametrize("name", ["sized_len", "has_len", "has_iterable_dataset"])
def test_loaders_have_the_same_lengths(name, index):
    with silence():
        theirs = getattr(DATA, name)(LOADERS[index])

    assert getattr(lengths, name)(LOADERS[index]) == theirs


@pytest.mark.parametrize("processes", [1, 2, 1000])
def test_as_many_workers_are_suggested(processes):
    assert lengths.suggested_max_num_workers(processes) == DATA.suggested_max_num_workers(processes)


def test_workers_for_no_process_are_refused():
    with pytest.raises(ConfigurationError, match="at least one process"):
        lengths.suggested_max_num_workers(0)


def tied():
    module = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), nn.Linear(3, 3))
    module[1][0].weight = module[0].weight
    module[2].weight = module[0].weight
    module[1][1].bias = module[1][0].bias
    return module


def test_shared_parameters_are_found_and_shared_again():
    theirs, module = UTILITIES.parameter_tying.find_shared_parameters(tied()), tied()

    found = sharing.find_shared_parameters(module)
    for parameters in (module[1][0], module[1][1], module[2]):
        parameters.weight, parameters.bias = (nn.Parameter(torch.zeros(3, 3)), nn.Parameter(torch.zeros(3)))
    again = sharing.set_shared_parameters(module, found)

    assert found == theirs
    assert again[2].weight is again[1][0].weight is again[0].weight
    assert again[1][1].bias is again[1][0].bias


class Hooks:
    def exact(self, batch, batch_idx): ...

    def starred(self, *args): ...

    def several(self, a, b, c): ...


@pytest.mark.parametrize("hook", [Hooks.exact, Hooks.starred, Hooks.several])
@pytest.mark.parametrize("options", [{}, {"explicit": True}, {"min_args": 3}], ids=str)
@pytest.mark.parametrize("name", ["batch_idx", "outputs"])
def test_the_arguments_of_hooks_are_seen_the_same_way(hook, options, name):
    theirs = UTILITIES.signature_utils.is_param_in_hook_signature(hook, name, **options)

    assert parsing.is_param_in_hook_signature(hook, name, **options) == theirs


def test_operations_are_counted_the_same_way():
    model, batch = nn.Linear(4, 2), torch.ones(3, 4)

    def total(measure):
        return measure(model, lambda: model(batch)), measure(model, lambda: model(batch), lambda y: y.sum())

    assert total(flops.measure_flops) == total(lightning.fabric.utilities.throughput.measure_flops)


@pytest.mark.parametrize("path", ["here/there.ckpt", "memory://somewhere"])
def test_paths_are_on_the_same_file_systems(path):
    assert type(files.get_filesystem(path)) is type(lightning.fabric.utilities.cloud_io.get_filesystem(path))


def test_choices_have_the_same_values_and_work_in_the_place_of_texts():
    pairs = [
        (choices.Interval, lightning.pytorch.callbacks.timer.Interval),
        (choices.GradClipAlgorithmType, UTILITIES.enums.GradClipAlgorithmType),
    ]

    for ours, theirs in pairs:
        assert {each.name: each.value for each in ours} == {each.name: each.value for each in theirs}
    assert choices.GradClipAlgorithmType.supported_types() == ["value", "norm"]
    assert choices.GradClipAlgorithmType.supported_type("norm")
    assert leyden.callbacks.Timer(interval=choices.Interval.epoch)._interval == "epoch"


def test_objects_are_made_of_class_paths_in_the_same_way():
    init = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}}
    made = []
    for cli in (signatures, lightning.pytorch.cli):
        weight = nn.Parameter(torch.zeros(1))
        optimizer = cli.instantiate_class([weight], init)
        plateau = cli.ReduceLROnPlateau(optimizer, "val_loss", factor=0.3)
        made.append((type(optimizer), optimizer.param_groups[0]["lr"], plateau.monitor, plateau.factor))

    assert made[0] == made[1]


@pytest.mark.parametrize("saves", ["method", "function"])
def test_any_class_keeps_its_hyper_parameters_as_lightnings_does(saves):
    kept = []
    for Mixin, save in (
        (hparams.HyperparametersMixin, hparams.save_hyperparameters),
        (lightning.pytorch.core.mixins.HyperparametersMixin, UTILITIES.parsing.save_hyperparameters),
    ):

        class Parent(Mixin):
            def __init__(self, a, p=1):
                super().__init__()
                self.save_hyperparameters()

        class Child(Parent):
            def __init__(self, a, c=3):
                super().__init__(a=a + 10, p=7)
                if saves == "method":
                    self.save_hyperparameters(ignore="p")
                else:
                    save(self, ignore="p")  # noqa: B023 - called below, in this round

        made = Child(1)
        made.hparams["c"] = 4
        kept.append((dict(made.hparams), dict(made.hparams_initial), made._hparams_name))

    assert kept[0] == kept[1]


def test_data_of_unknown_length_are_as_many():
    counts = []
    for Data in (boring.BoringDataModuleNoLen, lightning.pytorch.demos.boring_classes.BoringDataModuleNoLen):
        data = Data()
        lengths_seen = []
        for stage in ("fit", "validate", "test", "predict"):
            data.setup(stage)
            kind = {"fit": "train", "validate": "val"}.get(stage, stage)
            lengths_seen.append(sum(len(batch) for batch in getattr(data, f"{kind}_dataloader")()))
        counts.append(lengths_seen)

    assert counts[0] == counts[1] == [512, 128, 256, 64]
