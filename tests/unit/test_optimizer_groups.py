"""Optimizer and schedule are made on trial before a run, without a trace, and fail there as they would in it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.optim import SGD, Adam
from torch.optim import lr_scheduler as schedulers

from leyden import rng
from leyden.errors import ConfigurationError
from leyden.optimizer_groups import Length, monitored, prove
from leyden.schedulers import cosine_warmup
from leyden.testing import TinyModule

LONG = Length(10, -1, False)
ENDLESS = Length(-1, -1, False)
STEPS = {"interval": "step"}


def group(make, **settings):
    return {"scheduler": make, **settings}


RIGHT = [
    None,
    group(partial(schedulers.StepLR, step_size=3)),
    group(partial(schedulers.CosineAnnealingLR, T_max=10)),
    group(partial(schedulers.OneCycleLR, max_lr=0.1, total_steps=None), **STEPS),
    group(partial(schedulers.OneCycleLR, max_lr=0.1, total_steps=1), **STEPS),
    group(partial(cosine_warmup, warmup_steps=5000, total_steps=None), **STEPS),
    group(partial(schedulers.ReduceLROnPlateau), monitor="val_loss"),
    group(partial(schedulers.LambdaLR, lr_lambda=lambda step: 0.0)),
    partial(schedulers.StepLR, step_size=3),
]


@pytest.mark.parametrize("scheduler", RIGHT)
def test_what_can_be_trained_with_passes_and_leaves_no_trace(scheduler):
    model = TinyModule()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before = rng.capture()

    prove(partial(SGD, lr=0.1, momentum=0.9), scheduler, LONG, model)

    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert repr(rng.capture()) == repr(before)


WRONG = [
    (partial(Adam, lr=-1), None, LONG, "Invalid learning rate: -1"),
    (partial(Adam, betas=(2, 3)), None, LONG, "Invalid beta parameter"),
    (partial(SGD, lr=0.1, nonsense=3), None, LONG, "nonsense"),
    (partial(SGD, lr=0.1), group(partial(schedulers.StepLR, step_size=0)), LONG, "ZeroDivisionError"),
    (partial(SGD, lr=0.1), group(partial(schedulers.CosineAnnealingLR, T_max=0)), LONG, "ZeroDivisionError"),
    (partial(SGD, lr=0.1), group(partial(schedulers.ReduceLROnPlateau)), LONG, "monitor"),
    (partial(SGD, lr=0.1), group(partial(schedulers.StepLR, step_size=1), interval="batch"), LONG, "interval='batch'"),
    (partial(SGD, lr=0.1), group(partial(schedulers.StepLR, step_size=1), monitor="x"), LONG, "reads no metric"),
    (partial(SGD, lr=0.1), group(partial(schedulers.StepLR, step_size=1), often=3), LONG, "often, which nobody reads"),
    (partial(SGD, lr=0.1), group(partial(schedulers.StepLR, step_size=1), strict="x"), LONG, "neither true nor false"),
    (
        partial(SGD, lr=0.1),
        group(partial(schedulers.LambdaLR, lr_lambda=lambda step: -step)),
        LONG,
        "learning rate of -",
    ),
    (partial(SGD, lr=0.1), {"interval": "step"}, LONG, "nothing that makes a scheduler"),
    (partial(SGD, lr=0.1), RIGHT[3], ENDLESS, "nobody knows how many that will be"),
    (partial(SGD, lr=0.1), RIGHT[5], ENDLESS, "nobody knows how many that will be"),
]


@pytest.mark.parametrize(("optimizer", "scheduler", "length", "said"), WRONG)
def test_what_would_end_a_run_is_one_error(optimizer, scheduler, length, said):
    with pytest.raises(ConfigurationError, match=said):
        prove(optimizer, scheduler, length, TinyModule())


def test_a_number_of_updates_is_known_where_it_is_given():
    prove(partial(SGD, lr=0.1), RIGHT[3], Length(-1, 20, False), TinyModule())
    prove(partial(SGD, lr=0.1), RIGHT[3], Length(-1, -1, 1), TinyModule())


def test_parameters_that_come_later_are_represented():
    class Late(TinyModule):
        def configure_model(self):
            self.more = torch.nn.Linear(2, 2)

    model = Late()
    for name in list(model._modules):
        delattr(model, name)

    prove(partial(SGD, lr=0.1), None, LONG, model)
    lazy = TinyModule()
    lazy.layer = torch.nn.LazyLinear(3)
    prove(partial(SGD, lr=0.1), None, LONG, lazy)


def test_a_model_without_parameters_has_nothing_to_train():
    with pytest.raises(ConfigurationError, match="has no parameter that requires a gradient"):
        prove(partial(SGD, lr=0.1), None, LONG, TinyModule().requires_grad_(False))


def test_the_metric_that_a_schedule_reads_each_epoch_is_known():
    assert monitored(group(None, monitor="val_loss")) == {"val_loss": "scheduler.monitor"}
    assert monitored(group(None, monitor="val_loss", frequency=2)) == {}
    assert monitored(group(None, monitor="val_loss", strict=False)) == {}
    assert monitored(RIGHT[1]) == monitored(RIGHT[8]) == {}
