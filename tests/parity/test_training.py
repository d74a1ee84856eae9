"""The same module gives the same numbers under Lightning and under Leyden, bit for bit."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from cases import CASES
from twins import LEYDEN, LIGHTNING, describe, fit, quiet, regression, rows_of, silence


@pytest.mark.parametrize("name", CASES)
def test_training_leaves_the_same_numbers_behind(tmp_path, name):
    make, options = CASES[name]

    theirs = dataclasses.asdict(fit(LIGHTNING, tmp_path, make, **options))
    ours = dataclasses.asdict(fit(LEYDEN, tmp_path, make, **options))

    for what, value in theirs.items():
        assert ours[what] == value, what


SEQUENCES = [
    ["fit", "fit"],
    ["fit", "validate", "fit", "test"],
    ["validate", "fit", "predict", "validate"],
    ["fit", "another trainer", "fit", "test"],
]


def sequence(library, tmp_path, stages):
    """Run *stages* one after the other; return what can be seen after each."""
    torch.manual_seed(0)
    options = {"max_epochs": 2, "log_every_n_steps": 1}
    rows, seen = rows_of(library), []
    with silence():
        module, trainer = regression(library)(), quiet(library, tmp_path, logger=rows, **options)
        for stage in stages:
            if stage == "another trainer":
                trainer = quiet(library, tmp_path, logger=rows, **options)
                continue
            getattr(trainer, stage)(module)
            seen.append((trainer.global_step, trainer.current_epoch, describe(dict(trainer.callback_metrics))))
    return seen, rows.rows, {name: weight.tolist() for name, weight in module.state_dict().items()}


@pytest.mark.parametrize("stages", SEQUENCES, ids="-".join)
def test_stages_follow_each_other_in_the_same_way(tmp_path, stages):
    theirs = sequence(LIGHTNING, tmp_path, stages)
    ours = sequence(LEYDEN, tmp_path, stages)

    assert ours == theirs
