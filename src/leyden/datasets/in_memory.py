"""Samples that fit in memory, fetched a whole batch at a time.

A `torch.utils.data.DataLoader` over a `TensorDataset` indexes every sample alone and
stacks them again, which costs more than the step of a small model. `InMemory` offers the
same samples through ``__getitems__``: one indexing operation per tensor and batch.

    order (sampler) ─► indices of a batch ─► __getitems__ ─► (tensor, tensor, ...) ─► transform ─► batch

The order comes from the loader's own sampler, so batches hold the same samples in the
same order, bit for bit, as the usual loader gives them under the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from leyden.datasets.checks import check_count
from leyden.errors import ConfigurationError

Batch = tuple[Tensor, ...]
Transform = Callable[..., Batch]


class InMemory(Dataset[Batch]):
    """Tensors side by side; sample *i* is row *i* of each.

    Read it through `loader`: a loader with the default collate function would try to stack
    what is a batch already.

    Args:
        *tensors: One or more tensors of shape ``(N, *)`` with the same ``N``.
        transform: Called as ``transform(*batch)`` with the rows of a whole batch, each of
            shape ``(B, *)``; returns the batch as a tuple. Must not rely on ``B``. Stored
            compactly and converted here, bytes of images stay bytes in memory.

    Raises:
        ConfigurationError: If there is no tensor, or their lengths differ.
    """

    def __init__(self, *tensors: Tensor, transform: Transform | None = None) -> None:
        lengths = [len(tensor) if tensor.ndim else None for tensor in tensors]
        if not tensors or lengths[0] is None or len(set(lengths)) != 1:
            raise ConfigurationError(
                f"InMemory was given tensors of shapes {[tuple(tensor.shape) for tensor in tensors]}. It takes at "
                f"least one tensor, all with the same first dimension. Pass one row per sample in each."
            )
        self.tensors = tensors
        self.transform = transform

    @property
    def draws(self) -> bool:
        """Whether fetching may draw random numbers: a transform may."""
        return self.transform is not None

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> Batch:
        """Return one sample without the batch dimension; nothing here calls it during a run."""
        return tuple(tensor[0] for tensor in self.__getitems__([range(len(self))[index]]))

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return the samples at *indices*, in that order, as tensors of shape ``(B, *)``."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        batch = tuple(tensor.index_select(0, index) for tensor in self.tensors)
        return batch if self.transform is None else self.transform(*batch)

    def take(self, indices: Sequence[int] | Tensor) -> InMemory:
        """Return the samples at *indices* as a data set of its own (a copy), same transform."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        return InMemory(*(tensor.index_select(0, index) for tensor in self.tensors), transform=self.transform)


def whole(batch: Any) -> Any:
    """Collate nothing: what ``__getitems__`` returned is the batch already."""
    return batch


vars(whole)["draws"] = False  # no random numbers: see `leyden.engine.seeded`


def loader(
    dataset: Dataset[Any], batch_size: int = 1, shuffle: bool = False, num_workers: int = 0, **options: Any
) -> DataLoader[Any]:
    """Build an ordinary `DataLoader` whose batches are fetched whole.

    Args:
        dataset: A data set with ``__getitems__`` that returns a batch: `InMemory`, or a
            `torch.utils.data.Subset` of one, as `random_split` makes them.
        batch_size: Samples per batch; the last one may be smaller.
        shuffle: Draw a new order for every epoch.
        num_workers: Worker processes; 0 fetches in this process, which is faster as long
            as the samples are in memory. Workers stay alive between epochs.
        **options: Further arguments of `DataLoader`, ``drop_last`` or ``generator`` say.

    Raises:
        ConfigurationError: If *batch_size* or *num_workers* makes no sense.
    """
    check_count("loader()", "batch_size", batch_size)
    check_count("loader()", "num_workers", num_workers, minimum=0)
    defaults = {"pin_memory": torch.cuda.is_available(), "persistent_workers": num_workers > 0}
    return DataLoader(
        dataset, batch_size, shuffle=shuffle, num_workers=num_workers, collate_fn=whole, **(defaults | options)
    )
