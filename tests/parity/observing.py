"""What the observations of differences share: their list, and a fit to look at."""

from __future__ import annotations

import torch
from twins import quiet

OBSERVED = {}


def observed(name, *, theirs, ours):
    """Say what is seen of difference *name* under each library."""

    def add(observe):
        OBSERVED[name] = observe, theirs, ours
        return observe

    return add


def fitted(library, tmp_path, Module, call=None, **options):
    """Train once from seed 0; return trainer and module."""
    torch.manual_seed(0)
    module = Module()
    trainer = quiet(library, tmp_path, **{"max_epochs": 1, "num_sanity_val_steps": 0, **options})
    trainer.fit(module, **(call or {}))
    return trainer, module
