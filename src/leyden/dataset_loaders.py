"""Data sets behind ordinary loaders, for `LightningDataModule.from_datasets`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

Kind = TypeVar("Kind")


def around(cls: type[Kind], datasets: dict[str, Any], loading: dict[str, int], arguments: dict[str, Any]) -> Kind:
    """Build a data module of class *cls* whose loaders read *datasets*.

    Args:
        cls: Class of the data module.
        datasets: Data sets by kind: ``train``, ``val``, ``test``, ``predict``; None leaves the method of the class.
        loading: ``batch_size`` and ``num_workers``, of the loaders, and of the constructor where it takes them.
        arguments: Further arguments of the constructor.
    """
    taken = {} if cls.__init__ is object.__init__ else inspect.signature(cls.__init__).parameters
    spread = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    made = cls(**arguments, **{name: value for name, value in loading.items() if spread or name in taken})
    for kind, dataset in datasets.items():
        if dataset is not None:
            setattr(made, f"{kind}_dataloader", partial(loaders, dataset, kind == "train", loading))
    return made


def loaders(datasets: Any, shuffle: bool, loading: dict[str, int]) -> Any:
    """Return a loader of a data set, or several, in the container the data sets are in."""
    if isinstance(datasets, Dataset):
        return DataLoader(
            datasets,
            batch_size=loading["batch_size"],
            num_workers=loading["num_workers"],
            shuffle=shuffle and not isinstance(datasets, IterableDataset),
            pin_memory=torch.cuda.is_available(),
        )
    if isinstance(datasets, Mapping):
        return {name: loaders(each, shuffle, loading) for name, each in datasets.items()}
    return [loaders(each, shuffle, loading) for each in datasets]
