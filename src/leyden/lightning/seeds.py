"""Seeding, beyond `leyden.rng.seed_everything`."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import numpy as np
import torch

from leyden import rng

min_seed_value = 0
max_seed_value = 2**32 - 1


def isolate_rng(include_cuda: bool = True) -> AbstractContextManager[None]:
    """Run a block whose random numbers leave no trace; those of CUDA are always included."""
    return rng.isolated()


def reset_seed() -> None:
    """Seed once more with the seed of the last `seed_everything`, if there was one."""
    seed = os.environ.get(rng.SEED_VARIABLE)
    if seed is not None:
        rng.seed_everything(int(seed), workers=os.environ.get(rng.WORKERS_VARIABLE, "0") == "1", verbose=False)


def pl_worker_init_function(worker_id: int, rank: int | None = None) -> None:
    """Seed Python and NumPy in a loader's worker from its number, the rank and torch's own seed there."""
    import random

    own = torch.initial_seed() - worker_id  # of all workers of a loader
    words = np.random.SeedSequence([own, worker_id, rank or 0]).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    torch.manual_seed(int(words[2]))
