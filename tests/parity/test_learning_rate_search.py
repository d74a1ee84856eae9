"""A search for a learning rate finds the same curve and suggests the same rate under Lightning and under Leyden."""

from __future__ import annotations

import lightning.pytorch.tuner
import pytest
import torch
from twins import LEYDEN, LIGHTNING, loader, quiet, regression, silence

import leyden.tuner

TUNERS = {LIGHTNING: lightning.pytorch.tuner.Tuner, LEYDEN: leyden.tuner.Tuner}


def found(library, tmp_path, options, **arguments):
    torch.manual_seed(0)

    class Module(regression(library)):
        def __init__(self):
            super().__init__()
            self.lr = 0.1

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

        def train_dataloader(self):
            return loader(120)

    with silence():
        module = Module()
        options = {"max_epochs": 10, "limit_val_batches": 0, **options}
        trainer = quiet(library, tmp_path, **options)
        search = TUNERS[library](trainer).lr_find(module, **arguments)
        first, later = search.suggestion(), search.suggestion(skip_begin=3, skip_end=4)
        tuned = module.lr
        trainer.fit(module)
    return {
        "results": search.results,
        "suggestions": (first, later),
        "tuned": tuned,
        "mode": (search.mode, search.lr_min, search.lr_max, search.num_training),
        "steps": trainer.global_step,
        "weights": {name: weight.tolist() for name, weight in module.state_dict().items()},
    }


CASES = {
    "default": ({}, {}),
    "linear": ({}, {"mode": "linear", "min_lr": 0.001, "max_lr": 0.3, "num_training": 40}),
    "until it explodes": ({}, {"max_lr": 1e5, "early_stop_threshold": 2.0}),
    "all of it": ({}, {"max_lr": 0.5, "early_stop_threshold": None, "num_training": 60}),
    "accumulation": ({"accumulate_grad_batches": 3}, {"num_training": 25}),
    "ended by the epochs": ({"max_epochs": 1}, {}),
    "nothing set": ({}, {"update_attr": False, "num_training": 20}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_search_finds_the_same(tmp_path, case):
    options, arguments = CASES[case]

    theirs = found(LIGHTNING, tmp_path, options, **arguments)
    ours = found(LEYDEN, tmp_path, options, **arguments)

    for what, value in theirs.items():
        assert ours[what] == value, what
