"""Samplers, streams and collections of every kind: a resumed run is the undisturbed one, or says why it cannot be."""

from __future__ import annotations

import itertools
import multiprocessing

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
)

from leyden.combined_loader import CombinedLoader
from leyden.errors import ConfigurationError
from tests.resumed_fits import BATCH, SAMPLES, Learner, Noisy, loader, resume_from_all, run

# Under `deterministic` samplers and streams of one's own are warned of, as nothing can be said about them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.* decides itself on the order of the samples"),
    pytest.mark.filterwarnings("ignore:the order of the samples of .* is its own"),
]

HERE = {"num_workers": 0}
LEAVING = {"num_workers": 1, "prefetch_factor": 1}
STAYING = {"num_workers": 2, "persistent_workers": True, "prefetch_factor": 3}


class Drawing(Sampler):
    """An order drawn from a generator of its own."""

    def __init__(self):
        self.generator = np.random.default_rng(5)

    def __iter__(self):
        yield from self.generator.permutation(SAMPLES).tolist()

    def __len__(self):
        return SAMPLES


class Announced(Sampler):
    """An order that depends on the epoch it is told of."""

    def __init__(self):
        self.epoch = None

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        yield from np.random.default_rng(self.epoch).permutation(SAMPLES).tolist()

    def __len__(self):
        return SAMPLES


class Counting(Sampler):
    """An order that depends on how often it was asked for, which it can tell and be told."""

    def __init__(self):
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        yield from np.random.default_rng(self.passes).permutation(SAMPLES).tolist()

    def __len__(self):
        return SAMPLES

    def state_dict(self):
        return {"passes": self.passes}

    def load_state_dict(self, state):
        self.passes = state["passes"]


class DrawnBatches(Sampler):
    """Batches whose sizes and indices are drawn from a generator of its own, one after another."""

    def __init__(self):
        self.draws = torch.Generator().manual_seed(6)

    def __iter__(self):
        for _ in range(len(self)):
            size = int(torch.randint(1, BATCH + 1, (), generator=self.draws))
            yield torch.randint(SAMPLES, (size,), generator=self.draws).tolist()

    def __len__(self):
        return 3


class AnnouncedBatches(BatchSampler):
    """The batches of another sampler, in an order that depends on the epoch."""

    def __init__(self, sampler):
        super().__init__(sampler, BATCH, drop_last=False)
        self.epoch = None

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        batches = list(super().__iter__())
        yield from (batches[place] for place in np.random.default_rng(self.epoch).permutation(len(batches)))


def weighted(**options):
    return WeightedRandomSampler(torch.arange(1.0, SAMPLES + 1), SAMPLES, **options)


def own():
    return torch.Generator().manual_seed(7)


SAMPLERS = {
    "a generator of its own": Drawing,
    "told of the epoch": Announced,
    "a state of its own": Counting,
    "weights": weighted,
    "weights, a generator": lambda: weighted(generator=own(), replacement=False),
    "replacement": lambda: RandomSampler(range(SAMPLES), replacement=True, num_samples=7),
    "replacement, a generator": lambda: RandomSampler(range(SAMPLES), replacement=True, generator=own()),
    "more than there are": lambda: RandomSampler(range(SAMPLES), num_samples=14),
    "a subset, a generator": lambda: SubsetRandomSampler(range(2, SAMPLES), generator=own()),
}
BATCH_SAMPLERS = {
    "batches, a generator": DrawnBatches,
    "batches, told of the epoch": lambda: AnnouncedBatches(SequentialSampler(range(SAMPLES))),
    "batches around one that draws": lambda: AnnouncedBatches(Drawing()),
    "batches around one that counts": lambda: BatchSampler(Counting(), 2, drop_last=True),
}
KINDS = [*SAMPLERS, *BATCH_SAMPLERS]


def with_sampler(kind, options):
    if kind in SAMPLERS:
        return loader(sampler=SAMPLERS[kind](), **options)
    return DataLoader(Noisy(), batch_sampler=BATCH_SAMPLERS[kind](), **options)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_sampler_a_resumed_run_sees_the_same_batches(kind, deterministic, tmp_path):
    start = (KINDS.index(kind) + 3 * deterministic) % 7  # over all kinds every place is resumed from

    resume_from_all(
        tmp_path,
        lambda: (with_sampler(kind, HERE), with_sampler(kind, HERE)),
        {"deterministic": deterministic},
        every=7,
        start=start,
    )


@pytest.mark.parametrize("kind", KINDS[::2])
def test_the_same_holds_with_workers_that_fetch_ahead(kind, tmp_path):
    number = KINDS.index(kind)
    workers = STAYING if number % 4 else LEAVING

    resume_from_all(
        tmp_path,
        lambda: (with_sampler(kind, workers), with_sampler(kind, HERE)),
        {"deterministic": number % 3 == 0},
        every=13,
        start=number,
    )


class Stream(IterableDataset):
    """Samples without an index, divided among the workers, with noise from every generator."""

    def __init__(self, size=SAMPLES, told=False):
        self.noisy = Noisy(size)
        self.generator = np.random.default_rng(8)  # the others are behind another object, and not seen from outside
        self.told = told

    def __iter__(self):
        info = get_worker_info()
        mine = range(self.noisy.size) if info is None else range(info.id, self.noisy.size, info.num_workers)
        for index in mine:
            yield torch.tensor([index, torch.rand(()).item(), self.generator.random(), *np.random.rand(6)])


class Counted(Stream):
    """A stream that says how many samples it has."""

    def __len__(self):
        return self.noisy.size


STREAMS = list(
    itertools.product([Stream, Counted], [HERE, LEAVING, {"num_workers": 2}, STAYING, {**STAYING, "num_workers": 1}])
)


@pytest.mark.filterwarnings("ignore:Length of IterableDataset", "ignore:a DataLoader over a Counted announced")
@pytest.mark.parametrize(("kind", "workers"), STREAMS)
def test_a_stream_goes_on_where_it_stood(kind, workers, tmp_path):
    number = [each[0] is kind and each[1] is workers for each in STREAMS].index(True)
    options = {"deterministic": bool(number % 2), "val_check_interval": 1.0}

    resume_from_all(
        tmp_path,
        lambda: (loader(kind(), **workers), loader(kind(4), **workers)),
        options,
        every=9 if workers["num_workers"] else 2,
        start=number % 2,
    )


MODES = ["min_size", "max_size", "max_size_cycle"]


@pytest.mark.parametrize("workers", [HERE, LEAVING, STAYING], ids=["here", "leaving", "staying"])
@pytest.mark.parametrize("mode", MODES)
def test_loaders_side_by_side_go_on_where_each_of_them_stood(mode, workers, tmp_path):
    def make():
        short = loader(Noisy(4), shuffle=True, generator=own(), **workers)
        several = {"a": loader(shuffle=True, **workers), "b": short}
        train = CombinedLoader(several, mode)
        return train, CombinedLoader([loader(Noisy(4), shuffle=True, **workers), loader(Noisy(5))], "sequential")

    number = MODES.index(mode)
    resume_from_all(
        tmp_path, make, {"deterministic": number == 1}, every=13 if workers["num_workers"] else 4, start=number
    )


@pytest.mark.parametrize("mode", MODES)
def test_workers_that_do_not_stay_are_gone_with_the_pass(mode, tmp_path):
    def both():
        return CombinedLoader([loader(**LEAVING), loader(Noisy(4), **LEAVING)], mode)

    run(tmp_path / "whole", lambda: (both(), both()))

    assert multiprocessing.active_children() == []


def test_several_loaders_of_a_validation_go_on_together(tmp_path):
    shared = []

    def make():
        shared[:] = [own()]
        first, second = (loader(Noisy(5), shuffle=True, generator=shared[0], **each) for each in (HERE, STAYING))
        return loader(shuffle=True, generator=shared[0]), [first, second, loader(Noisy(2), sampler=None)]

    resume_from_all(tmp_path, make, every=9)


UNORDERED = {"num_workers": 2, "in_order": False}


def test_batches_in_the_order_of_the_workers_are_said_to_make_a_resume_inexact(tmp_path):
    with pytest.warns(UserWarning, match=r"in_order=False\) with 2 workers.*a resumed run may see other batches"):
        run(tmp_path / "whole", lambda: (loader(**UNORDERED), loader()))


@pytest.mark.parametrize("place", [0, 1])
def test_a_deterministic_run_refuses_batches_in_the_order_of_the_workers(place, tmp_path):
    loaders = [loader(**UNORDERED), loader()]

    with pytest.raises(ConfigurationError, match=r"in_order=False\) with 2 workers.*deterministic\. Leave in_order"):
        run(tmp_path / "whole", lambda: (loaders[place], loaders[1 - place]), {"deterministic": True})


def test_one_worker_has_one_order(tmp_path):
    one = {"num_workers": 1, "in_order": False}

    resume_from_all(tmp_path, lambda: (loader(shuffle=True, **one), loader(**one)), every=13)


LIMITS = {
    "a number of batches": {"limit_train_batches": 2, "limit_val_batches": 1},
    "a part": {"limit_train_batches": 0.7},
    "a number of steps within an epoch": {"max_steps": 5, "max_epochs": -1},
    "accumulated batches": {"accumulate_grad_batches": 2},
    "a validation across epochs": {"check_val_every_n_epoch": None, "val_check_interval": 2},
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_leave_every_place_exact(name, tmp_path):
    def make():
        return loader(shuffle=True, **STAYING), loader(Noisy(5), shuffle=True)

    resume_from_all(tmp_path, make, LIMITS[name], every=11, start=list(LIMITS).index(name))


class Bringing(Learner):
    """A module that makes its loaders when it is asked, another one each epoch."""

    workers = HERE

    def train_dataloader(self):
        size = SAMPLES - 3 * (self.current_epoch % 2)
        return loader(Noisy(size), shuffle=True, generator=own(), **self.workers)

    def val_dataloader(self):
        return loader(Noisy(4 + self.current_epoch), shuffle=True, **self.workers)


class BringingWorkers(Bringing):
    """The same with workers that stay, until the loader is exchanged."""

    workers = STAYING


@pytest.mark.parametrize("learner", [Bringing, BringingWorkers])
@pytest.mark.parametrize("every", [1, 2])
def test_loaders_that_are_exchanged_every_few_epochs_are_exchanged_in_the_resumed_run_too(every, learner, tmp_path):
    options = {"reload_dataloaders_every_n_epochs": every, "max_epochs": 3}

    resume_from_all(
        tmp_path, lambda: (None, None), options, every=4 if learner is Bringing else 15, start=every, learner=learner
    )
