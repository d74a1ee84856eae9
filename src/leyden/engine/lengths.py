"""What a loader announces with its length, and what it yields.

``len(loader)`` is a promise of whoever wrote the data set, the sampler or the loader: workers drop their last
batches, shards are of different sizes, batches by the number of tokens are estimated. So the end of an epoch is where
the loader ends:

    certain      torch's own loader and samplers over a data set with indices: torch counts what it yields
    announced    everything else: read one batch ahead, so that the last batch is known while it is being used

An announced length serves for progress bars, for limits and intervals that are a part of an epoch, and for
`Trainer.estimated_stepping_batches`.
"""

from __future__ import annotations

import math
from collections.abc import Sized
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from leyden.warnings import warn_once

_COUNTED = (list, tuple, dict, set, frozenset, range, str, torch.Tensor)
_OURS = ("torch", "torchdata", "leyden")


def is_certain(loader: Any) -> bool:
    """Whether *loader* yields exactly ``len(loader)`` batches, whatever the user's code does."""
    if type(loader) in _COUNTED:
        return True
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return False
    own = type(loader)
    if not _is_theirs(own) and (own.__iter__, own.__len__) != (DataLoader.__iter__, DataLoader.__len__):
        return False
    return _counts(loader.sampler if loader.batch_sampler is None else loader.batch_sampler)


def check_announcement(loader: Any, announced: float, yielded: int) -> None:
    """Say once of *loader* that it has yielded another number of batches than it had announced, or none."""
    if yielded == 0:
        warn_once(f"{named(loader)} yielded no batches: an epoch without any does nothing.")
    elif yielded != announced != math.inf:
        warn_once(
            f"{named(loader)} announced {announced:.0f} batches with len(), and yielded {yielded}. The epoch ended "
            "where the loader did. Progress bars, limits and intervals that are a part of an epoch, and schedules that "
            f"were planned for a number of updates still go by {announced:.0f}: correct __len__, or return a loader "
            "that has none."
        )


def named(loader: Any) -> str:
    """Return how to call *loader* in a message: by what the user has made, not by what stands in its place."""
    dataset = getattr(loader, "dataset", None)
    while _is_engine_s(dataset):
        dataset = vars(dataset).get("dataset", vars(dataset).get("source"))
    own = DataLoader if isinstance(loader, DataLoader) and _is_engine_s(loader) else type(loader)
    return f"a {own.__name__}" + (f" over a {type(dataset).__name__}" if dataset is not None else "")


def _counts(sampler: Any) -> bool:
    """Whether *sampler* yields as many items as it says."""
    if type(sampler) in _COUNTED:
        return True
    if not _is_theirs(type(sampler)) or not isinstance(sampler, Sized):
        return False
    inner = getattr(sampler, "sampler", None)
    return inner is None or _counts(inner)


def _is_engine_s(item: Any) -> bool:
    return type(item).__module__.startswith("leyden.engine.")


def _is_theirs(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _OURS
