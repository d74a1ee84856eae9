"""How long loaders and data sets are, and how many workers to give them."""

from __future__ import annotations

from typing import Any

from torch.utils.data import IterableDataset

from leyden.errors import ConfigurationError
from leyden.ranks import processors


def sized_len(dataloader: Any) -> int | None:
    """Return the length of *dataloader*, None where it has none."""
    try:
        return len(dataloader)
    except (TypeError, NotImplementedError):
        return None


def has_len(dataloader: Any) -> bool:
    """Tell whether *dataloader* has a length."""
    return sized_len(dataloader) is not None


def has_iterable_dataset(dataloader: Any) -> bool:
    """Tell whether the data set behind *dataloader* is an iterable one."""
    return isinstance(getattr(dataloader, "dataset", None), IterableDataset)


def suggested_max_num_workers(local_world_size: int) -> int:
    """Return the number of loader workers for each of *local_world_size* processes; a core each is left to them.

    Raises:
        ConfigurationError: If there is no process.
    """
    if local_world_size < 1:
        raise ConfigurationError(f"suggested_max_num_workers({local_world_size}): expected at least one process.")
    return max(1, processors() // local_world_size - 1)
