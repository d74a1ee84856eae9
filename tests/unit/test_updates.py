"""Updates without torch's profile entries are torch's updates, and nobody who listens is passed over."""

from __future__ import annotations

import functools
import subprocess
import sys

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


WITHOUT_COMPILER = """
import sys
import torch
from leyden import Trainer
from leyden.callbacks import ModelCheckpoint
from leyden.lightning.boring import BoringModel
from torch.optim import Optimizer

class Model(BoringModel):
    def configure_optimizers(self):
        optimizer = OPTIMIZER
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2)]

def fit(**options):
    torch.manual_seed(0)
    model = Model()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(accelerator="cpu", max_epochs=2, limit_train_batches=4, limit_val_batches=1, **quiet, **options)
    trainer.fit(model)
    return [parameter.detach().clone() for parameter in model.parameters()]

first = fit()
fit(callbacks=[ModelCheckpoint("again", save_top_k=-1, every_n_train_steps=2)])
assert "torch._dynamo" not in sys.modules, "something has imported torch's compiler"

layer = torch.nn.Linear(2, 2)
layer(torch.ones(1, 2)).sum().backward()
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

@torch.compile(backend="eager")
def clear(scale):
    optimizer.zero_grad()
    return scale * 2

assert clear(torch.ones(1)).item() == 2.0
assert layer.weight.grad is None
optimizer.state_dict()
for name in ("zero_grad", "state_dict"):
    mark = vars(getattr(Optimizer, name).__wrapped__)["__dynamo_disable"]
    assert mark.__module__ != "leyden.updates" and "updates" not in repr(mark), mark

second = fit()
assert all(map(torch.equal, first, second))
"""


@pytest.mark.parametrize("kind", ["SGD(self.parameters(), 0.1, momentum=0.9)", "AdamW(self.parameters())"])
def test_a_fit_does_without_torchs_compiler_which_finds_all_as_torch_leaves_it_when_it_comes(tmp_path, kind):
    code = WITHOUT_COMPILER.replace("OPTIMIZER", f"torch.optim.{kind}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)

    assert done.returncode == 0, done.stderr
