"""Whatever the loaders are, a run resumed from any place sees the batches and random numbers of the undisturbed one."""

from __future__ import annotations

import itertools
import threading

import pytest
import torch
from torch.utils.data import DataLoader

from leyden.engine.workers import capture, restore
from tests.resumed_fits import BATCH, EPOCHS, SAMPLES, Noisy, loader, resume_from_all

WORKERS = {
    "in this process": {"num_workers": 0},
    "a worker": {"num_workers": 1},
    "two workers": {"num_workers": 2, "prefetch_factor": 1},
    "a worker that stays": {"num_workers": 1, "persistent_workers": True, "prefetch_factor": 3},
    "two workers that stay": {"num_workers": 2, "persistent_workers": True},
}
GENERATORS = ["global", "own", "shared"]
COMBINATIONS = list(itertools.product(WORKERS, [True, False], [False, True], GENERATORS))


def two_loaders(workers, shuffle, generator):
    """Return what makes a loader for training and one for validation."""
    options = WORKERS[workers]

    def make():
        first, second = torch.Generator().manual_seed(7), torch.Generator().manual_seed(8)
        mine, other = {"global": (None, None), "own": (first, second), "shared": (first, first)}[generator]
        train = loader(shuffle=shuffle, generator=mine, **options)
        return train, loader(Noisy(6), shuffle=shuffle, generator=other, **options)

    return make


@pytest.mark.parametrize(("workers", "shuffle", "deterministic", "generator"), COMBINATIONS)
def test_a_run_resumed_from_anywhere_equals_the_undisturbed_one(workers, shuffle, deterministic, generator, tmp_path):
    number = COMBINATIONS.index((workers, shuffle, deterministic, generator))
    make, options = two_loaders(workers, shuffle, generator), {"deterministic": deterministic}

    resume_from_all(tmp_path, make, options, every=13, start=number % 13)


@pytest.mark.parametrize("workers", ["in this process", "two workers that stay"])
def test_a_run_can_be_resumed_from_every_place(workers, tmp_path):
    places = resume_from_all(tmp_path, two_loaders(workers, shuffle=True, generator="shared"))

    assert len([place for place in places if "batch" in place]) == EPOCHS * SAMPLES // BATCH


def test_states_of_workers_travel_without_a_thread_that_could_hold_a_lock_while_others_are_forked():
    """Tensors that are sent as such are served by a thread, which a fork copies in the middle of what it does."""
    before = set(threading.enumerate())
    loader, again = (DataLoader(Noisy(), BATCH, num_workers=2, persistent_workers=True) for _ in range(2))
    list(loader)

    restore(again, capture(loader))
    told = capture(again)

    list(again)
    begun = {each.name.split(" ")[0] for each in set(threading.enumerate()) - before}
    assert [each["generators"] for each in told["states"]]
    assert begun == {"QueueFeederThread"}
