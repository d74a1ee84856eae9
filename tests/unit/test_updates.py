"""Updates without torch's profile entries are torch's updates, and nobody who listens is passed over."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from leyden import updates


def model():
    torch.manual_seed(1)
    return nn.Linear(3, 2)


def train(optimizer_of, step, clear, steps=4):
    layer = model()
    optimizer = optimizer_of(layer.parameters())
    for _ in range(steps):
        loss = layer(torch.ones(1, 3)).square().sum()
        clear(optimizer)
        loss.backward()
        step(optimizer)
    return torch.cat([parameter.detach().flatten() for parameter in layer.parameters()])


OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw, fused": functools.partial(torch.optim.AdamW, fused=True),
    "sgd with momentum": functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "rmsprop": torch.optim.RMSprop,
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_weights_are_those_of_the_methods_bit_for_bit(kind):
    by_method = train(OPTIMIZERS[kind], lambda each: each.step(), lambda each: each.zero_grad())

    ours = train(OPTIMIZERS[kind], updates.step, updates.clear)

    assert torch.equal(ours, by_method)


def test_gradients_are_cleared_to_none():
    layer = model()
    layer(torch.ones(1, 3)).sum().backward()

    updates.clear(torch.optim.SGD(layer.parameters(), lr=0.1))

    assert [parameter.grad for parameter in layer.parameters()] == [None, None]


@pytest.mark.parametrize("register", ["pre", "post", "global pre", "global post"])
def test_hooks_are_called(register):
    layer, heard = model(), []
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    def hook(*_):
        heard.append(register)

    handle = {
        "pre": optimizer.register_step_pre_hook,
        "post": optimizer.register_step_post_hook,
        "global pre": register_optimizer_step_pre_hook,
        "global post": register_optimizer_step_post_hook,
    }[register](hook)
    updates.step(optimizer)
    handle.remove()
    updates.step(optimizer)

    assert heard == [register]


def test_a_profile_has_both_entries():
    layer = model()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        updates.clear(optimizer)
        updates.step(optimizer)

    names = {event.key for event in profile.key_averages()}
    assert {"Optimizer.zero_grad#SGD.zero_grad", "Optimizer.step#SGD.step"} <= names


def test_methods_of_ones_own_are_called():
    calls = []

    class Own(torch.optim.SGD):
        def step(self, closure=None):
            calls.append("step")
            return super().step(closure)

        def zero_grad(self, set_to_none=True):
            calls.append("zero_grad")
            super().zero_grad(set_to_none)

    optimizer = Own(model().parameters(), lr=0.1)
    updates.clear(optimizer)
    updates.step(optimizer)

    assert calls == ["zero_grad", "step"]


def test_a_method_decorated_anew_is_called_with_its_decoration():
    calls = []

    def decorated(method):
        @functools.wraps(method)
        def wrapper(*args, **kwargs):
            calls.append("decoration")
            return method(*args, **kwargs)

        return wrapper

    class Decorated(torch.optim.SGD):
        step = decorated(torch.optim.SGD.step)

    updates.step(Decorated(model().parameters(), lr=0.1))

    assert calls == ["decoration"]


def test_a_method_put_on_the_object_is_called():
    optimizer, calls = torch.optim.SGD(model().parameters(), lr=0.1), []
    optimizer.step = lambda: calls.append("step")
    optimizer.zero_grad = lambda: calls.append("zero_grad")

    updates.clear(optimizer)
    updates.step(optimizer)

    assert calls == ["zero_grad", "step"]


def test_a_scheduler_made_before_the_first_update_does_not_complain():
    optimizer = torch.optim.SGD(model().parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)

    updates.step(optimizer)
    scheduler.step()  # torch warns, and pytest makes it an error, if no update came first

    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


def test_a_closure_is_handed_on():
    layer = model()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = layer(torch.ones(1, 3)).square().sum()
        loss.backward()
        return loss

    assert updates.step(optimizer, closure=closure).item() > 0
