"""With a sample seed, batches depend on seed, epoch and index alone: not on workers, and not on what else was drawn."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
)

import leyden as L
from leyden.callbacks import ModelCheckpoint
from leyden.datasets.in_memory import InMemory, loader
from leyden.engine.data import TrainLoader, Wanted, sources, training_source
from leyden.engine.gather import RowsLoader

SIZE = 22


class Augmented(Dataset):
    """Samples with numbers from all three global generators in them."""

    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        noise = [random.random(), np.random.rand(), *np.random.permutation(4)]
        return torch.tensor([index, *noise]), torch.rand(3)


class WholeBatches(Augmented):
    """The same, fetched a batch at a time."""

    def __getitems__(self, indices):
        return torch.tensor(indices), torch.rand(len(indices), 2), random.random()


class InOrder(Sampler):
    """A sampler nobody knows."""

    def __iter__(self):
        return iter(range(SIZE))

    def __len__(self):
        return SIZE


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.arange(SIZE))


def mixed_up(samples):
    """Collate with a random number of the batch's own."""
    return default_collate(samples), torch.rand(1)


def noisy(x):
    return (x + torch.rand_like(x),)


def tensors():
    return torch.arange(SIZE), torch.arange(2.0 * SIZE).reshape(SIZE, 2)


LOADERS = {
    "tensors": lambda n: DataLoader(TensorDataset(*tensors()), 4, shuffle=True, num_workers=n),
    "tensors in order": lambda n: DataLoader(TensorDataset(*tensors()), 4, num_workers=n),
    "half of the tensors": lambda n: DataLoader(
        Subset(TensorDataset(*tensors()), range(1, SIZE, 2)), 4, shuffle=True, num_workers=n
    ),
    "augmented": lambda n: DataLoader(Augmented(), 4, shuffle=True, num_workers=n),
    "augmented, in order": lambda n: DataLoader(Augmented(), 4, num_workers=n),
    "half of it": lambda n: DataLoader(Subset(Augmented(), range(1, SIZE, 2)), 4, shuffle=True, num_workers=n),
    "without the rest": lambda n: DataLoader(Augmented(), 4, shuffle=True, drop_last=True, num_workers=n),
    "workers that stay": lambda n: DataLoader(Augmented(), 4, shuffle=True, num_workers=n, persistent_workers=n > 0),
    "no batches": lambda n: DataLoader(Augmented(), batch_size=None, shuffle=True, num_workers=n),
    "whole batches": lambda n: DataLoader(WholeBatches(), 4, shuffle=True, num_workers=n, collate_fn=list),
    "in memory": lambda n: loader(InMemory(*tensors()), 4, shuffle=True, num_workers=n),
    "in memory, transformed": lambda n: loader(InMemory(tensors()[1], transform=noisy), 4, shuffle=True, num_workers=n),
    "own collate function": lambda n: DataLoader(Augmented(), 4, shuffle=True, num_workers=n, collate_fn=mixed_up),
    "own generator": lambda n: DataLoader(
        Augmented(), 4, shuffle=True, num_workers=n, generator=torch.Generator().manual_seed(4)
    ),
    "weighted": lambda n: DataLoader(
        Augmented(), 4, sampler=WeightedRandomSampler([1.0, 3.0] * 11, SIZE), num_workers=n
    ),
    "chosen": lambda n: DataLoader(Augmented(), 4, sampler=SubsetRandomSampler(range(9)), num_workers=n),
    "own batch sampler": lambda n: DataLoader(
        Augmented(), batch_sampler=BatchSampler(RandomSampler(range(SIZE)), 3, True), num_workers=n
    ),
}


def prepared(made, seed=7, where="train_dataloader()"):
    return TrainLoader(training_source(made, Wanted(1.0, 0.0, where, seed)))


def epochs(made, count=2, seed=7):
    source = prepared(made, seed)
    return [[batch for _, batch, _ in source.epoch(epoch, 0)] for epoch in range(count)]


def flat(value):
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return [flat(each) for each in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("kind", LOADERS)
def test_the_number_of_workers_changes_nothing(kind):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    in_process = flat(epochs(LOADERS[kind](0)))
    random.seed(2), np.random.seed(2), torch.manual_seed(2)
    one, two = flat(epochs(LOADERS[kind](1))), flat(epochs(LOADERS[kind](2)))

    assert in_process == one == two
    assert len(in_process[0]) > 1


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("workers", [0, 1])
def test_reading_leaves_the_global_generators_as_they_were(kind, workers):
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()

    epochs(LOADERS[kind](workers), 1)

    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_epoch_seed_and_place_change_order_and_augmentation():
    first, second = flat(epochs(LOADERS["augmented"](0)))
    (other,) = flat(epochs(LOADERS["augmented"](0), 1, seed=8))
    side_by_side = sources([LOADERS["augmented"](0), LOADERS["augmented"](0)], Wanted(1.0, 0.0, "val_dataloader()", 7))
    left, right = (flat(list(source.loader)) for source in side_by_side)

    found = [first, second, other, left, right]
    assert all(one != another for at, one in enumerate(found) for another in found[:at])


def test_a_sample_is_augmented_alike_whatever_its_neighbours_are():
    def by_index(made):
        (batches,) = epochs(made, 1)
        return {int(row[0]): row.tolist() for rows, _ in batches for row in rows}

    few, many = (by_index(DataLoader(Augmented(), size)) for size in (3, 8))

    assert few == many


def test_python_numpy_and_torch_get_numbers_that_have_nothing_in_common():
    class Raw(Dataset):
        def __len__(self):
            return 50

        def __getitem__(self, index):
            return torch.tensor([random.random(), np.random.rand(), torch.rand(1, dtype=torch.float64).item()])

    (batches,) = epochs(DataLoader(Raw(), 50), 1)

    assert batches[0].unique().numel() == 150
    assert torch.corrcoef(batches[0].T).fill_diagonal_(0).abs().max() < 0.6


def test_a_loader_that_starts_over_within_an_epoch_has_another_order():
    source = training_source(
        {"a": LOADERS["tensors"](0), "b": DataLoader(torch.arange(60.0), 4)}, Wanted(1.0, 0.0, "x", 7)
    )

    batches = [batch["a"][0] for _, batch, _ in TrainLoader(source).epoch(0, 0)]
    first, second = torch.cat(batches[:6]), torch.cat(batches[6:12])

    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(SIZE))
    assert first.tolist() != second.tolist()


def test_tensors_in_memory_are_still_gathered_and_their_samples_not_seeded():
    plain = prepared(LOADERS["tensors"](0)).loader
    with_workers = prepared(LOADERS["tensors"](1)).loader
    in_memory = prepared(LOADERS["in memory"](0)).loader

    assert isinstance(plain, RowsLoader)
    assert type(with_workers.dataset) is TensorDataset
    assert type(in_memory.dataset) is InMemory


def test_the_users_loader_is_left_as_it_is():
    made = LOADERS["augmented"](0)
    before = dict(vars(made))

    epochs(made, 1)

    assert vars(made) == before


def test_without_a_seed_loaders_are_as_torch_makes_them():
    made = LOADERS["augmented"](0)

    assert training_source(made, Wanted(1.0, 0.0, "train_dataloader()")).loader is made


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: DataLoader(Stream(), 4), "the order of the samples of a DataLoader over a Stream is its own"),
        (Stream, "the order of the samples of a Stream is its own"),
        (lambda: DataLoader(Augmented(), 4, sampler=InOrder()), "InOrder decides itself on the order of the samples"),
    ],
)
def test_an_order_that_is_not_ours_is_left_alone_and_that_is_said(made, said):
    with pytest.warns(UserWarning, match=said):
        found = flat(epochs(made(), 1))

    assert found


def test_samples_are_seeded_even_where_the_order_is_not_ours():
    with pytest.warns(UserWarning, match="InOrder decides itself"):
        found = [flat(epochs(DataLoader(Augmented(), 4, sampler=InOrder(), num_workers=n), 1)) for n in (0, 2)]

    assert found[0] == found[1]


class Attached(Augmented):
    """Tells whether its worker knows it, and not a stand-in."""

    def __getitem__(self, index):
        return torch.tensor(self is get_worker_info().dataset), torch.tensor(self.worker)


def note_worker(worker):
    get_worker_info().dataset.worker = 10 + worker


def test_a_worker_begins_as_the_user_asked_with_the_users_own_data_set():
    made = DataLoader(Attached(), 22, num_workers=1, worker_init_fn=note_worker)

    (((known, worker),),) = epochs(made, 1)

    assert known.all()
    assert worker.unique().tolist() == [10]


class Learner(L.LightningModule):
    """Its weights tell apart every order of samples and of random numbers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(7, 8), nn.Dropout(0.3), nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        batches = batch.values() if isinstance(batch, dict) else [batch]
        return sum(self.layers(rows.float()).square().mean() for rows, _ in batches)

    validation_step = test_step = training_step

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.02)


def fit(folder, train, resume_from=None):
    L.seed_everything(3, verbose=False)
    module = Learner()
    trainer = L.Trainer(
        max_epochs=2,
        default_root_dir=folder,
        logger=False,
        callbacks=[ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.sample_seed = 5
    trainer.fit(module, train, DataLoader(Augmented(), 8, shuffle=True), ckpt_path=resume_from)
    return [weight.tolist() for weight in module.parameters()]


COLLECTIONS = {
    "one loader": lambda n: DataLoader(Augmented(), 4, shuffle=True, num_workers=n),
    "workers that stay": lambda n: DataLoader(Augmented(), 4, shuffle=True, num_workers=n, persistent_workers=n > 0),
    "one starts over": lambda n: {
        "long": DataLoader(Augmented(), 4, shuffle=True, num_workers=n),
        "short": DataLoader(Subset(Augmented(), range(7)), 4, shuffle=True, num_workers=n),
    },
}


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")  # resumed elsewhere on purpose
@pytest.mark.parametrize("kind", COLLECTIONS)
def test_a_run_goes_on_bit_for_bit_with_another_number_of_workers(kind, tmp_path):
    make = COLLECTIONS[kind]
    whole = fit(tmp_path / "whole", make(0))

    for step, workers in ((2, 0), (3, 1), (6, 0), (9, 2)):
        resumed = fit(tmp_path / str(step), make(workers), tmp_path / "whole" / f"step={step}.ckpt")
        assert resumed == whole, (step, workers)
