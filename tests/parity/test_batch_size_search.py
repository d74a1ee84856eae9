"""A search for a batch size tries the same sizes and finds the same one under Lightning and under Leyden."""

from __future__ import annotations

import gc

import lightning.pytorch.tuner
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset
from twins import LEYDEN, LIGHTNING, loader, quiet, regression, silence

import leyden.tuner
from leyden import ConfigurationError

TUNERS = {LIGHTNING: lightning.pytorch.tuner.Tuner, LEYDEN: leyden.tuner.Tuner}
SAMPLES = 600


@pytest.fixture(autouse=True, scope="module")
def _little_garbage():
    """Searches collect garbage at each trial; spare them what was there before."""
    gc.freeze()
    yield
    gc.unfreeze()


def no_memory(kind):
    """Fail as torch does where memory is too small: for real on the CPU, with its own error on CUDA."""
    if kind == "cpu":
        torch.empty(2**60)
    elif kind == "cuda":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    else:
        raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear ...")


class Stream(IterableDataset):
    def __iter__(self):
        return iter(loader(SAMPLES, size=1).dataset)


def small(library, capacity, kind="cpu", batch_size=2, stream=False):
    """A module with memory for batches of *capacity* samples; it remembers the sizes tried."""

    class Small(regression(library)):
        def __init__(self):
            super().__init__()
            self.batch_size = batch_size
            self.tried = []

        def loss(self, batch):
            size = len(batch[0])
            if self.tried[-1:] != [size]:
                self.tried.append(size)
            if size > capacity:
                no_memory(kind)
            return super().loss(batch)

        def predict_step(self, batch, batch_idx):
            self.loss(batch)

        def train_dataloader(self):
            return DataLoader(Stream() if stream else loader(SAMPLES, size=1).dataset, batch_size=self.batch_size)

        val_dataloader = test_dataloader = predict_dataloader = train_dataloader

    return Small()


def found(library, tmp_path, module, **arguments):
    torch.manual_seed(0)
    with silence():
        weights = {name: weight.tolist() for name, weight in module.state_dict().items()}
        trainer = quiet(library, tmp_path, max_epochs=1)
        size = TUNERS[library](trainer).scale_batch_size(module, **arguments)
    assert {name: weight.tolist() for name, weight in module.state_dict().items()} == weights
    return size, module.batch_size, module.tried, trainer.global_step, trainer.current_epoch


CASES = {
    "power": ({"capacity": 40}, {}),
    "error of CUDA": ({"capacity": 5, "kind": "cuda"}, {}),
    "error of cuDNN": ({"capacity": 5, "kind": "cudnn"}, {}),
    "more steps": ({"capacity": 5}, {"steps_per_trial": 5}),
    "few trials": ({"capacity": 40}, {"max_trials": 3}),
    "few trials by halves": ({"capacity": 10}, {"max_trials": 4, "mode": "binsearch"}),
    "binsearch": ({"capacity": 21}, {"mode": "binsearch"}),
    "binsearch without a margin": ({"capacity": 6}, {"mode": "BinSearch", "margin": 0.0}),
    "a wide margin": ({"capacity": 7}, {"mode": "binsearch", "margin": 0.5}),
    "a first size that is too large": ({"capacity": 9, "batch_size": 16}, {"init_val": 16, "mode": "binsearch"}),
    "one": ({"capacity": 1}, {}),
    "one by halves": ({"capacity": 2}, {"mode": "binsearch"}),
    "all of the data": ({"capacity": 10**6, "batch_size": 400}, {"init_val": 400}),
    "more than the data from the start": ({"capacity": 10**6, "batch_size": 1000}, {}),
    "no length": ({"capacity": 5, "stream": True}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_search_finds_the_same(tmp_path, case):
    module, arguments = CASES[case]

    theirs = found(LIGHTNING, tmp_path, small(LIGHTNING, **module), **arguments)
    ours = found(LEYDEN, tmp_path, small(LEYDEN, **module), **arguments)

    if case.startswith("one"):  # the last of ours makes sure of what Lightning concludes
        assert ours[:2] == theirs[:2]
        return
    assert ours == theirs


@pytest.mark.parametrize("method", ["validate", "test", "predict"])
def test_a_search_of_an_evaluation_finds_the_same(tmp_path, method):
    theirs = found(LIGHTNING, tmp_path, small(LIGHTNING, 10), method=method)
    ours = found(LEYDEN, tmp_path, small(LEYDEN, 10), method=method)

    assert ours == theirs


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_a_stage_goes_on_with_the_same_size(tmp_path, stage):
    sizes = []
    for library in (LIGHTNING, LEYDEN):
        with silence():
            module, finder = small(library, 300), library.callbacks.BatchSizeFinder(init_val=128)
            trainer = quiet(library, tmp_path, max_epochs=1, num_sanity_val_steps=0, callbacks=[finder])
            getattr(trainer, stage)(module)
        sizes.append((finder.optimal_batch_size, module.batch_size, module.tried[-2:], trainer.global_step))

    assert sizes[0] == sizes[1]
    assert sizes[1][2] == [256, 88]


def searching(**options):
    return lambda library, trainer, module: TUNERS[library](trainer).scale_batch_size(module, **options)


def without_the_attribute(library, trainer, module):
    del module.batch_size
    TUNERS[library](trainer).scale_batch_size(module)


def twice(library, trainer, module):
    trainer.callbacks.append(library.callbacks.BatchSizeFinder())
    TUNERS[library](trainer).scale_batch_size(module)


def nothing_fits(library, trainer, module):
    TUNERS[library](trainer).scale_batch_size(small(library, 0))


MISUSES = {
    "unknown mode": searching(mode="cubic"),
    "no share": searching(margin=1.0),
    "unknown method": searching(method="train"),
    "loaders of a test": searching(dataloaders=loader()),
    "loaders of a fit": searching(method="test", train_dataloaders=loader()),
    "validation loaders of a fit": searching(method="test", val_dataloaders=loader()),
    "a loader": searching(train_dataloaders=loader()),
    "a loader beside a finder": lambda library, trainer, module: [
        trainer.callbacks.append(library.callbacks.BatchSizeFinder()),
        trainer.fit(module, loader()),
    ],
    "no such attribute": searching(batch_arg_name="size"),
    "no attribute": without_the_attribute,
    "two finders": twice,
    "nothing fits": nothing_fits,
}


@pytest.mark.parametrize("case", MISUSES)
def test_what_lightning_refuses_is_refused_with_an_error_of_ours(tmp_path, case):
    errors = []
    for library in (LIGHTNING, LEYDEN):
        with silence(), pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what is compared
            MISUSES[case](library, quiet(library, tmp_path, max_epochs=1), small(library, 8))
        errors.append(caught.value)

    theirs, ours = errors

    assert isinstance(
        theirs, (ValueError, AssertionError, lightning.pytorch.utilities.exceptions.MisconfigurationException)
    )
    assert type(ours) is ConfigurationError
    assert isinstance(ours, ValueError)


def test_other_errors_pass_through(tmp_path):
    for library in (LIGHTNING, LEYDEN):

        class Broken(type(small(library, 8))):
            def loss(self, batch):
                raise RuntimeError("shapes do not match")

        with silence(), pytest.raises(RuntimeError, match="shapes do not match"):
            TUNERS[library](quiet(library, tmp_path, max_epochs=1)).scale_batch_size(Broken())
