"""Collections of loaders give the same batches, lengths, losses and weights under Lightning and Leyden, bit for bit."""

from __future__ import annotations

import dataclasses

import lightning.pytorch.utilities.combined_loader
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset
from twins import LEYDEN, LIGHTNING, describe, fit, loader, quiet, regression, rows_of, silence

import leyden.combined_loader

COMBINED = {
    LIGHTNING: lightning.pytorch.utilities.combined_loader.CombinedLoader,
    LEYDEN: leyden.combined_loader.CombinedLoader,
}
MODES = ("min_size", "max_size_cycle", "max_size", "sequential")
SIDE_BY_SIDE = MODES[:3]


class Noisy(Dataset):
    """Samples that random numbers of the process make different each time."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        x = torch.full((4,), index / 7) + torch.randn(4)
        return x, x.sum(0, keepdim=True)


class Stream(IterableDataset):
    """Samples nobody has counted."""

    def __init__(self, length):
        self.length = length

    def __iter__(self):
        return iter([(torch.full((4,), index / 7), torch.ones(1)) for index in range(self.length)])


def plain(batches, seed):
    return loader(batches, seed=seed)


def long():
    return loader(6, seed=1, shuffle=True)


def short():
    return loader(2, seed=2, shuffle=True)


def uneven():
    return DataLoader(Noisy(), batch_size=2, shuffle=True)


STRUCTURES = {
    "dict": lambda combine: {"a": long(), "b": short()},
    "shorter_first": lambda combine: {"a": short(), "b": long()},
    "list": lambda combine: [short(), uneven(), long()],
    "list_of_one": lambda combine: [long()],
    "in_order": lambda combine: {"a": plain(6, 1), "b": plain(4, 2)},
    "tuple": lambda combine: (uneven(), short()),
    "nested": lambda combine: {"a": [long(), (short(), uneven())], "b": {"c": short()}},
    "one_loader_combined": lambda combine: combine(long()),
    **{
        mode: lambda combine, mode=mode: combine({"a": short(), "b": long(), "c": uneven()}, mode)
        for mode in SIDE_BY_SIDE
    },
    **{
        f"{mode}_of_streams": lambda combine, mode=mode: combine(
            [DataLoader(Stream(9), batch_size=2), DataLoader(Stream(4), batch_size=2), long()], mode
        )
        for mode in SIDE_BY_SIDE
    },
    "streams": lambda combine: {"a": DataLoader(Stream(5), 2), "b": DataLoader(Stream(11), 2)},
}
OPTIONS = [
    {"limit_train_batches": 3},
    {"limit_train_batches": 0.5},
    {"overfit_batches": 2},
    {"accumulate_grad_batches": 2},
    {"val_check_interval": 2},
    {"max_epochs": -1, "max_steps": 7},
]


def pairs(batch):
    """Yield inputs and targets of every batch there is in *batch*."""
    if isinstance(batch, dict):
        batch = list(batch.values())
    if batch is not None and len(batch) == 2 and all(isinstance(part, torch.Tensor) for part in batch):
        yield batch
        return
    for part in batch or ():
        yield from pairs(part)


def collection(name):
    """A case whose training loaders are the structure *name*."""

    def make(library, Base):
        class Module(Base):
            def __init__(self):
                super().__init__()
                self.extra = []

            def loss(self, batch):
                return torch.stack([torch.nn.functional.mse_loss(self(x), y) for x, y in pairs(batch)]).mean()

            def training_step(self, batch, batch_idx):
                self.extra.append((batch_idx, describe(batch)))
                loss = self.loss(batch)
                self.log("train_loss", loss, on_step=True, on_epoch=True, batch_size=2)
                return loss

            def train_dataloader(self):
                return STRUCTURES[name](COMBINED[library])

        return Module

    return make


def test_the_loaders_of_a_collection_are_asked_for_again(tmp_path):
    def certain(library, Base):
        class Module(collection("in_order")(library, Base)):
            def __init__(self):
                super().__init__()
                self.net[2] = torch.nn.Identity()  # Lightning makes, and seeds, the iterators of a new loader twice

        return Module

    options = {"reload_dataloaders_every_n_epochs": 1, "max_epochs": 3}
    theirs = fit(LIGHTNING, tmp_path, certain, **options)
    ours = fit(LEYDEN, tmp_path, certain, **options)

    same(dataclasses.replace(theirs, random=[]), dataclasses.replace(ours, random=[]))


def same(theirs, ours):
    for what, value in dataclasses.asdict(theirs).items():
        assert dataclasses.asdict(ours)[what] == value, what


@pytest.mark.parametrize("name", [name for name in STRUCTURES if name != "min_size_of_streams"])  # ends too early there
def test_training_on_a_collection_gives_the_same_numbers(tmp_path, name):
    theirs = fit(LIGHTNING, tmp_path, collection(name))
    ours = fit(LEYDEN, tmp_path, collection(name))

    if "stream" in name:  # a listed difference: steps_of_a_loader_without_length
        ours.counts["estimated"] = theirs.counts["estimated"]
    assert ours.extra
    same(theirs, ours)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", ["dict", "min_size", "max_size_cycle", "max_size"])
def test_options_mean_the_same_for_a_collection(tmp_path, name, options):
    if "accumulate_grad_batches" in options and name in ("max_size", "max_size_cycle", "dict"):
        options = {"accumulate_grad_batches": 3}  # windows that are whole, as short ones are a listed difference

    theirs = fit(LIGHTNING, tmp_path, collection(name), **options)
    ours = fit(LEYDEN, tmp_path, collection(name), **options)

    same(theirs, ours)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limits", [None, 2, 7, [1, 3], [4, 0]], ids=str)
def test_a_combined_loader_yields_the_same(mode, limits):
    seen = []
    for library in (LIGHTNING, LEYDEN):
        torch.manual_seed(0)
        with silence():
            combined = COMBINED[library]({"a": short(), "b": [uneven()]}, mode)
            combined.limits = limits
            iter(combined)
            seen.append((len(combined), describe(list(combined)), describe(list(combined)), torch.rand(1).tolist()))

    theirs, ours = seen

    assert ours == theirs


def evaluated(loaders, per_loader):
    """A module that evaluates *loaders*, and notes what its steps get."""

    def make(library, Base):
        class Module(Base):
            def __init__(self):
                super().__init__()
                self.extra = []

            def val_dataloader(self):
                return loaders(COMBINED[library])

            test_dataloader = predict_dataloader = val_dataloader

            def _note(self, batch, *indices):
                self.extra.append((indices, describe(batch)))
                loss = torch.stack([torch.nn.functional.mse_loss(self(x), y) for x, y in pairs(batch)]).mean()
                self.log("eval_loss", loss, batch_size=2)

            if per_loader:

                def validation_step(self, batch, batch_idx, dataloader_idx):
                    self._note(batch, batch_idx, dataloader_idx)

                test_step = validation_step
            else:

                def validation_step(self, batch, batch_idx):
                    self._note(batch, batch_idx)

                test_step = validation_step

            def predict_step(self, batch, batch_idx, dataloader_idx=0):
                self.extra.append((batch_idx, dataloader_idx))
                return self(batch[0])

        return Module

    return make


EVALUATED = {
    "dict": (lambda combine: {"a": plain(2, 1), "b": plain(3, 2)}, True),
    "nested": (lambda combine: {"a": [plain(2, 1), plain(1, 3)], "b": (plain(3, 2),)}, True),
    "list_of_one": (lambda combine: [plain(2, 1)], False),
    "sequential": (lambda combine: combine([plain(2, 1), plain(3, 2)], "sequential"), True),
    "min_size": (lambda combine: combine({"a": plain(2, 1), "b": plain(3, 2)}, "min_size"), False),
    "max_size": (lambda combine: combine([plain(2, 1), plain(3, 2)], "max_size"), False),
    "max_size_cycle": (lambda combine: combine([plain(2, 1), [plain(3, 2)]], "max_size_cycle"), False),
}


@pytest.mark.parametrize("options", [{}, {"limit_val_batches": 1, "limit_test_batches": 1}], ids=str)
@pytest.mark.parametrize("stage", ["validate", "test", "fit", "predict"])
@pytest.mark.parametrize("name", EVALUATED)
def test_evaluating_a_collection_gives_the_same_numbers(tmp_path, name, stage, options):
    if stage == "predict" and name.startswith(("min", "max")):
        for library in (LIGHTNING, LEYDEN):
            with pytest.raises(ValueError, match="sequential"):
                stage_of(library, tmp_path, name, stage, options)
        return

    theirs = stage_of(LIGHTNING, tmp_path, name, stage, options)
    ours = stage_of(LEYDEN, tmp_path, name, stage, options)

    assert theirs["steps"]
    for what, value in theirs.items():
        assert ours[what] == value, what


def stage_of(library, tmp_path, name, stage, options):
    rows = rows_of(library)
    torch.manual_seed(0)
    with silence():
        module = evaluated(*EVALUATED[name])(library, regression(library))()
        trainer = quiet(library, tmp_path, logger=rows, max_epochs=2, num_sanity_val_steps=1, **options)
        found = getattr(trainer, stage)(module, **({"verbose": False} if stage in ("validate", "test") else {}))
    return {
        "steps": module.extra,
        "returned": describe(found),
        "rows": rows.rows,
        "metrics": describe(dict(trainer.callback_metrics)),
        "weights": {name: weight.tolist() for name, weight in module.state_dict().items()},
    }


def test_training_refuses_loaders_one_after_another(tmp_path):
    for library in (LIGHTNING, LEYDEN):
        with silence():
            combined = COMBINED[library]([plain(2, 1), plain(2, 2)], "sequential")
            trainer = quiet(library, tmp_path, max_epochs=1)
            with pytest.raises(ValueError, match="sequential"):
                trainer.fit(regression(library)(), combined)


class Watched(torch.utils.data.SequentialSampler):
    """Notes the epochs it is told of."""

    def __init__(self, data):
        super().__init__(data)
        self.epochs = []

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_every_sampler_is_told_the_epoch(tmp_path, stage):
    seen = []
    for library in (LIGHTNING, LEYDEN):
        given = [Watched(Noisy()) for _ in range(3)]
        first, *others = [DataLoader(Noisy(), batch_size=2, sampler=sampler) for sampler in given]
        with silence():
            module = collection("dict")(library, regression(library))()
            trainer = quiet(library, tmp_path, max_epochs=3, num_sanity_val_steps=1)
            if stage == "fit":
                trainer.fit(module, {"a": first, "b": others[0]}, [others[1]])
            else:
                getattr(trainer, stage)(module, [first, *others])
        seen.append([sampler.epochs for sampler in given])

    theirs, ours = seen

    assert all(theirs)
    assert ours == theirs


@pytest.mark.parametrize("given", ["dict", "min_size"])
def test_the_trainer_shows_the_loaders_in_their_structure(tmp_path, given):
    shown = []
    for library in (LIGHTNING, LEYDEN):
        loaders = {"a": long(), "b": short()}
        with silence():
            train = loaders if given == "dict" else COMBINED[library](loaders, given)
            module, trainer = collection("dict")(library, regression(library))(), quiet(library, tmp_path, max_epochs=1)
            trainer.fit(module, train, [plain(1, 1)])
        shown.append([trainer.train_dataloader[key] is loaders[key] for key in loaders])

    theirs, ours = shown

    assert ours == theirs == [True, True]
