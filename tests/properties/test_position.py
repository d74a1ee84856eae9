"""A loader that is stopped after any batch and found again yields what one that was not stopped yields, to the end."""

from __future__ import annotations

import io
import random
import warnings

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from leyden import rng
from leyden.combined_loader import CombinedLoader
from leyden.engine.data import TrainLoader, Wanted, training_source
from leyden.engine.shards import Share
from tests.properties.outcomes import seen
from tests.resumed_fits import Noisy

EPOCHS = 3


class Stream(IterableDataset):
    """Draws from generators of all kinds; of another length in each pass, and announces what it likes."""

    def __init__(self, size):
        self.size, self.passes = size, 0
        self.own, self.of_numpy = torch.Generator().manual_seed(1), np.random.default_rng(2)

    def __iter__(self):
        for index in range(self.size):
            own = torch.rand((), generator=self.own).item()
            yield torch.tensor([index, own, self.of_numpy.random(), torch.rand(()).item(), random.random()])


class Announced(Stream):
    def __init__(self, size, announced):
        super().__init__(size)
        self.announced = announced

    def __len__(self):
        return self.announced


class Drawing(Sampler):
    """Draws each index when it is asked for it, from a generator of its own or the global one; estimates how many."""

    def __init__(self, size, real, announced, own):
        self.size, self.real, self.announced = size, real, announced
        self.generator = torch.Generator().manual_seed(4) if own else None

    def __len__(self):
        return self.announced

    def __iter__(self):
        for _ in range(self.real):
            yield int(torch.randint(self.size, (), generator=self.generator))


class Counting(Sampler):
    """Counts its passes, tells and takes them, and is told of the epoch."""

    def __init__(self, size):
        self.size, self.passes, self.epoch = size, 0, 0

    def __len__(self):
        return self.size

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        self.passes += 1
        return iter([(index * (2 * self.passes + 1) + self.epoch) % self.size for index in range(self.size)])

    def state_dict(self):
        return {"passes": self.passes}

    def load_state_dict(self, state):
        self.passes = state["passes"]


class Stateful:
    """A loader that keeps its own position, and announces what it likes; as in torchdata, a new pass begins anew."""

    def __init__(self, real, announced):
        self.real, self.announced, self.at, self.loaded = real, announced, 0, 0

    def __len__(self):
        if self.announced is None:
            raise TypeError("no length")
        return self.announced

    def __iter__(self):
        first, self.loaded = self.loaded, 0
        for at in range(first + 1, self.real + 1):
            self.at = at
            yield torch.tensor([at, torch.rand(()).item()])
        self.at = 0

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = self.loaded = state["at"]


@st.composite
def single(draw, stateful=True):
    """Return what makes one loader anew."""
    size, real, announced = draw(st.integers(1, 9)), draw(st.integers(1, 7)), draw(st.integers(0, 9))
    options = {"batch_size": draw(st.integers(1, 3)), "drop_last": draw(st.booleans())}
    noisy, own = draw(st.booleans()), draw(st.booleans())

    def data():
        if noisy:
            return Noisy(size)
        whole = TensorDataset(torch.arange(2.0 * size).view(size, 2), torch.arange(size))
        return Subset(whole, range(-1, -size - 1, -1)) if own else whole

    def generator():
        return torch.Generator().manual_seed(7)

    makers = {
        "in order": lambda: DataLoader(data(), **options),
        "shuffled": lambda: DataLoader(data(), shuffle=True, **options),
        "generator": lambda: DataLoader(data(), shuffle=True, generator=generator(), **options),
        "sampler with a generator": lambda: DataLoader(
            data(), sampler=RandomSampler(range(size), num_samples=real, generator=generator()), **options
        ),
        "replaced": lambda: DataLoader(data(), sampler=RandomSampler(range(size), True, real), **options),
        "weighted": lambda: DataLoader(data(), sampler=WeightedRandomSampler([1.0] * size, real), **options),
        "drawing": lambda: DataLoader(data(), sampler=Drawing(size, real, announced, own), **options),
        "counting": lambda: DataLoader(data(), sampler=Counting(size), **options),
        "batches": lambda: DataLoader(
            data(), batch_sampler=BatchSampler(Drawing(size, real, announced, own), 2, False)
        ),
        "without batches": lambda: DataLoader(data(), batch_size=None, sampler=Drawing(size, real, announced, own)),
        "stream": lambda: DataLoader(Stream(size), **options),
        "announced": lambda: DataLoader(Announced(size, announced), **options),
        "list": lambda: [torch.full((2,), float(index)) for index in range(real)],
    }
    if stateful:
        makers["stateful"] = lambda: Stateful(real, None if own else announced)
    return draw(st.sampled_from(sorted(makers)).map(makers.get))


@st.composite
def loaders(draw):
    """Return what makes one loader anew, or several that are read as one."""
    kind = draw(st.sampled_from(["one", "one", "dict", "min_size", "max_size_cycle", "max_size"]))
    if kind == "one":
        return draw(single())
    parts = draw(st.lists(single(stateful=False), min_size=1, max_size=3))
    if kind == "dict":
        return lambda: {str(index): part() for index, part in enumerate(parts)}
    return lambda: CombinedLoader([part() for part in parts], kind)


@st.composite
def wishes(draw):
    share = draw(
        st.sampled_from([None, None, None, Share(0, 2, lambda value: value), Share(1, 2, lambda value: value)])
    )
    seed = draw(st.sampled_from([None, None, 5]))
    limit = draw(st.sampled_from([1.0, 1.0, 1.0, 2, 4]))
    return Wanted(limit, 0, "train_dataloader()", seed, share, training=True)


def stored(state):
    """Return *state* as it comes out of a checkpoint."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def train(make, wanted, stop=None, state=None):
    """Run epochs with steps that draw random numbers; returns what was seen, and the state behind batch *stop*."""
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    loader = TrainLoader(training_source(make(), wanted))
    first, start = 0, 0
    if state is not None:
        torch.rand(5)  # whatever a resumed run does before it goes on
        loader.load_state_dict(state["loader"])
        rng.restore(state["rng"])
        first, start = state["epoch"], state["batch"]
    found = []
    for epoch in range(first, EPOCHS):
        for index, batch, last in loader.epoch(epoch, start):
            found.append((epoch, index, last, seen(batch), torch.rand(()).item(), np.random.rand(), random.random()))
            if len(found) == stop:
                place = (epoch + 1, 0) if last else (epoch, index + 1)
                kept = {"loader": loader.state_dict(), "rng": rng.capture(), "epoch": place[0], "batch": place[1]}
                return found, stored(kept)
        start = 0
    return found, rng.capture()


@given(loaders(), wishes(), st.data())
def test_a_position_is_found_again(make, wanted, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lengths that are wrong, and orders that are the sampler's own
        try:
            whole, end = train(make, wanted)
        except ValueError:  # an empty data set cannot be shuffled
            return
        if not whole:
            return
        stop = data.draw(st.integers(1, len(whole)), label="stop")
        before, state = train(make, wanted, stop)
        after, its_end = train(make, wanted, state=state)

    assert before + after == whole
    assert rng.same(end, its_end)


@given(loaders(), wishes())
def test_the_last_batch_is_told_while_it_is_used(make, wanted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, _ = train(make, wanted)

    epochs = [[each for each in whole if each[0] == epoch] for epoch in range(EPOCHS)]
    assert [[each[2] for each in batches] for batches in epochs] == [
        [False] * (len(batches) - 1) + [True] * bool(batches) for batches in epochs
    ]
    assert [[each[1] for each in batches] for batches in epochs] == [[*range(len(batches))] for batches in epochs]
