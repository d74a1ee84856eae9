"""Averaged weights are the same under Lightning and under Leyden, bit for bit, and so are the rates on the way."""

from __future__ import annotations

import lightning.pytorch.callbacks
import pytest
import torch
from twins import LEYDEN, LIGHTNING, quiet, regression, silence, watcher_of

import leyden.callbacks

CALLBACKS = {LIGHTNING: lightning.pytorch.callbacks, LEYDEN: leyden.callbacks}


def with_batch_norm(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))

    return Module


def with_scheduler(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)
            return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]

    return Module


def both(library, Base):
    return with_scheduler(library, with_batch_norm(library, Base))


def plain(library, Base):
    return Base


def trained(library, tmp_path, case, name, arguments, ckpt_path=None, **options):
    """Train from seed 0 with one averaging callback; return what can be compared, and the trainer."""
    torch.manual_seed(0)
    watcher = watcher_of(library)
    validated = []

    class Module(case(library, regression(library))):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            validated.append(float(self.loss(batch)))

    module = Module()
    callback = getattr(CALLBACKS[library], name)(**arguments)
    options = {"max_epochs": 5, "log_every_n_steps": 1, **options}
    trainer = quiet(library, tmp_path, callbacks=[watcher, callback], **options)
    with silence():
        trainer.fit(module, ckpt_path=ckpt_path)
    seen = {
        "weights": {name: weight.tolist() for name, weight in module.state_dict().items()},
        "rates": watcher.rates,
        "validated": validated,
        "epochs": trainer.current_epoch,
        "max_epochs": trainer.max_epochs,
    }
    return seen, trainer


AVERAGES = {
    "equal weights": ("WeightAveraging", {}, {}),
    "equal weights, buffers copied": ("WeightAveraging", {"use_buffers": False}, {}),
    "exponential": ("EMAWeightAveraging", {"decay": 0.9}, {}),
    "exponential, every third step": ("EMAWeightAveraging", {"decay": 0.8, "update_every_n_steps": 3}, {}),
    "exponential, later": ("EMAWeightAveraging", {"decay": 0.5, "update_starting_at_step": 7}, {}),
    "exponential, by epochs": (
        "EMAWeightAveraging",
        {"decay": 0.5, "update_every_n_steps": 0, "update_starting_at_epoch": 1},
        {},
    ),
    "accumulation": ("EMAWeightAveraging", {"decay": 0.9}, {"accumulate_grad_batches": 2}),
    "validation within epochs": ("EMAWeightAveraging", {"decay": 0.9}, {"val_check_interval": 2}),
    "mixed precision": ("EMAWeightAveraging", {"decay": 0.9}, {"precision": "bf16-mixed"}),
}


@pytest.mark.parametrize("case", [plain, with_batch_norm], ids=lambda case: case.__name__)
@pytest.mark.parametrize("name", AVERAGES)
def test_an_average_of_steps_is_the_same(tmp_path, name, case):
    callback, arguments, options = AVERAGES[name]

    theirs, _ = trained(LIGHTNING, tmp_path, case, callback, arguments, **options)
    ours, _ = trained(LEYDEN, tmp_path, case, callback, arguments, **options)

    assert ours == theirs


@pytest.mark.parametrize("updates", [{}, {"update_every_n_steps": 2}])
def test_a_checkpoint_holds_the_same_under_the_same_names(tmp_path, updates):
    saved = {}
    for library in (LIGHTNING, LEYDEN):
        _, trainer = trained(
            library,
            tmp_path / library.__name__,
            with_batch_norm,
            "EMAWeightAveraging",
            {"decay": 0.9, **updates},
            max_epochs=2,
            enable_checkpointing=True,
        )
        saved[library] = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)

    for key in ("state_dict", "current_model_state", "averaging_state"):
        theirs, ours = saved[LIGHTNING][key], saved[LEYDEN][key]
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), key
    theirs, ours = (saved[library]["callbacks"]["EMAWeightAveraging"] for library in (LIGHTNING, LEYDEN))
    assert ours.items() >= theirs.items()


STOCHASTIC = {
    "from an epoch": ({"swa_lrs": 0.02, "swa_epoch_start": 2, "annealing_epochs": 2}, {}),
    "from a share": ({"swa_lrs": 0.02, "swa_epoch_start": 0.4}, {}),
    "from the start": ({"swa_lrs": [0.02], "swa_epoch_start": 0.0, "annealing_epochs": 1}, {}),
    "linear": ({"swa_lrs": 0.05, "swa_epoch_start": 2, "annealing_strategy": "linear", "annealing_epochs": 3}, {}),
    "own average": ({"swa_lrs": 0.02, "swa_epoch_start": 2, "avg_fn": lambda mean, new, n: 0.7 * mean + 0.3 * new}, {}),
    "accumulation": ({"swa_lrs": 0.02, "swa_epoch_start": 3}, {"accumulate_grad_batches": 3}),
}


@pytest.mark.parametrize("case", [plain, with_scheduler, with_batch_norm, both], ids=lambda case: case.__name__)
@pytest.mark.parametrize("name", STOCHASTIC)
def test_stochastic_weight_averaging_is_the_same(tmp_path, name, case):
    arguments, options = STOCHASTIC[name]

    theirs, _ = trained(LIGHTNING, tmp_path, case, "StochasticWeightAveraging", arguments, **options)
    ours, _ = trained(LEYDEN, tmp_path, case, "StochasticWeightAveraging", arguments, **options)

    assert ours == theirs
