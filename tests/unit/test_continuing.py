"""Going on from a checkpoint, what was typed wins, as the table says by rows; without a difference nothing is said."""

from __future__ import annotations

import re
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from leyden import Callback, LightningModule, Trainer, seed_everything
from leyden.callbacks import (
    BackboneFinetuning,
    EarlyStopping,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from leyden.engine.continuing import PAGE, TABLE, page
from leyden.errors import ConfigurationError, DamagedCheckpointError
from leyden.schedulers import cosine_warmup

BATCHES = 4
MOMENTUM = partial(SGD, lr=0.1, momentum=0.9)


def loader(batch_size=2, samples=2 * BATCHES, shuffle=False):
    data = torch.arange(2.0 * samples).reshape(samples, 2) / (2 * samples)
    return DataLoader(TensorDataset(data), batch_size=batch_size, shuffle=shuffle)


class Module(LightningModule):
    """One layer; its optimizer and its schedulers are made by what it is given."""

    def __init__(self, optimizer=MOMENTUM, scheduler=None, scores=(), seen=None):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.make, self.scheduler, self.scores = optimizer, scheduler, list(scores)
        self.rates, self.options, self.seen = [], [], seen

    def training_step(self, batch, batch_idx):
        group = self.trainer.optimizers[0].param_groups[0]
        self.rates.append(group["lr"])
        self.options.append({key: value for key, value in group.items() if key != "params"})
        if self.seen is not None:
            self.seen += batch[0][:, 0].tolist()
        loss = self.layer(batch[0]).square().mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("score", self.scores[min(self.current_epoch, len(self.scores) - 1)] if self.scores else 1.0)
        self.log("other", float(self.current_epoch))

    def configure_optimizers(self):
        optimizer = self.make(self.parameters())
        if self.scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(optimizer, self.trainer)}


def stepwise(make, **options):
    """A scheduler that is stepped after every update, made of an optimizer and the number of all updates."""

    def build(optimizer, trainer):
        return {
            "scheduler": make(optimizer, int(trainer.estimated_stepping_batches)),
            "interval": "step",
            **options,
        }

    return build


def epochwise(make, **options):
    """A scheduler that is stepped after every epoch."""
    return lambda optimizer, trainer: {"scheduler": make(optimizer), "interval": "epoch", **options}


class Saves(Callback):
    """Writes a checkpoint after every batch: ``<number>.ckpt``."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, *_):
        trainer.save_checkpoint(self.folder / f"{trainer.fit_loop.total_batch_idx + 1}.ckpt")


def fit(folder, module, *callbacks, resume_from=None, data=None, save=False, **options):
    """Train from a seed; returns the trainer. With *save* there is a checkpoint of every batch, and ``end.ckpt``."""
    torch.manual_seed(0)
    trainer = Trainer(
        **{
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": any(isinstance(each, ModelCheckpoint) for each in callbacks),
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "max_epochs": 2,
            "default_root_dir": folder,
            "callbacks": [*callbacks, *([Saves(folder)] if save else [])],
            **options,
        }
    )
    trainer.fit(module, data or loader(), loader(), ckpt_path=resume_from)
    if save:
        trainer.save_checkpoint(folder / "end.ckpt")
    return trainer


def told(run):
    """Run, and return what was said of other settings, once at most."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = run()
    said = [str(each.message) for each in caught if "other settings than these" in str(each.message)]
    assert len(said) <= 1
    return found, said[0] if said else ""


def test_the_page_shows_the_table():
    assert PAGE.read_text("utf-8") == page()
    assert all(row.key in page() for row in TABLE)


# --- without a difference ------------------------------------------------------------------------------


class Decays(Callback):
    """Changes options of the optimizer while it trains, as some callbacks do."""

    def on_train_batch_start(self, trainer, *_):
        for group in trainer.optimizers[0].param_groups:
            group["lr"] *= 0.9
            group["weight_decay"] = 0.01 * trainer.global_step


SCHEDULES = {
    "none": None,
    "cosine": stepwise(lr_scheduler.CosineAnnealingLR),
    "one_cycle": stepwise(lambda optimizer, total: lr_scheduler.OneCycleLR(optimizer, 0.3, total)),
    "lambda": stepwise(lambda optimizer, total: lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / (total + 1))),
    "warmup": stepwise(lambda optimizer, total: cosine_warmup(optimizer, 2, total)),
    "polynomial": stepwise(lambda optimizer, total: lr_scheduler.PolynomialLR(optimizer, total, 2.0)),
    "linear": stepwise(lambda optimizer, total: lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total)),
    "sequential": stepwise(
        lambda optimizer, total: lr_scheduler.SequentialLR(
            optimizer,
            [
                lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2),
                lr_scheduler.CosineAnnealingLR(optimizer, total - 2),
            ],
            [2],
        )
    ),
    "chained": stepwise(
        lambda optimizer, total: lr_scheduler.ChainedScheduler(
            [lr_scheduler.ExponentialLR(optimizer, 0.9), lr_scheduler.CosineAnnealingLR(optimizer, total)]
        )
    ),
    "restarts": stepwise(lambda optimizer, total: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 1 + total // 3)),
    "partial": stepwise(
        lambda optimizer, total: lr_scheduler.LambdaLR(
            optimizer, partial(lambda step, end: 1 - step / end, end=total + 1)
        )
    ),
    "every second": stepwise(
        lambda optimizer, total: lr_scheduler.CosineAnnealingLR(optimizer, total // 2), frequency=2
    ),
}


@pytest.mark.parametrize("callbacks", [(), (Decays(),)], ids=["plain", "options changed on the way"])
@pytest.mark.parametrize("name", [*SCHEDULES, "plateau", "step"])
def test_with_the_same_settings_a_run_goes_on_bit_for_bit_and_nothing_is_said(name, callbacks, tmp_path):
    others = {
        "plateau": epochwise(
            lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5), monitor="score"
        ),
        "step": epochwise(lambda optimizer: lr_scheduler.StepLR(optimizer, 1, 0.5)),
    }
    make = partial(Module, partial(SGD, lr=0.1, momentum=0.9), {**SCHEDULES, **others}[name])
    whole = make()
    fit(tmp_path, whole, *callbacks, save=True)

    for batch in range(1, 2 * BATCHES):
        again = make()
        _, said = told(partial(fit, tmp_path, again, *callbacks, resume_from=tmp_path / f"{batch}.ckpt"))

        assert said == ""
        assert again.options == whole.options[batch:]
        assert all(torch.equal(*pair) for pair in zip(again.parameters(), whole.parameters(), strict=True))


# --- schedules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 4, 6, 8])
@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "none"])
def test_a_schedule_of_more_epochs_equals_that_schedule_from_where_it_is_gone_on_with(name, batch, tmp_path):
    fit(tmp_path, Module(scheduler=SCHEDULES[name]), save=True)
    fit(tmp_path, whole := Module(scheduler=SCHEDULES[name]), max_epochs=5)
    longer = Module(scheduler=SCHEDULES[name])
    path = tmp_path / ("end.ckpt" if batch == 8 else f"{batch}.ckpt")

    _, said = told(partial(fit, tmp_path, longer, resume_from=path, max_epochs=5))

    assert longer.rates == whole.rates[batch:]
    assert "goes on at step" in said
    assert [options.get("momentum") for options in longer.options] == [
        options.get("momentum") for options in whole.options[batch:]
    ]


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name not in ("none", "one_cycle")])
def test_another_rate_is_the_one_the_schedule_starts_from(name, tmp_path):
    fit(tmp_path, Module(scheduler=SCHEDULES[name]), save=True)
    fit(tmp_path, whole := Module(partial(SGD, lr=0.5, momentum=0.9), SCHEDULES[name]))
    faster = Module(partial(SGD, lr=0.5, momentum=0.9), SCHEDULES[name])

    _, said = told(partial(fit, tmp_path, faster, resume_from=tmp_path / "3.ckpt"))

    assert faster.rates == whole.rates[3:]
    assert "lr=0.5, no longer 0.1" in said or "base_lrs=[0.5], no longer [0.1]" in said or "goes on at step" in said


def test_a_schedule_by_epochs_goes_on_by_epochs(tmp_path):
    def make(gamma, lr=0.1):
        return Module(partial(SGD, lr=lr), epochwise(lambda optimizer: lr_scheduler.StepLR(optimizer, 1, gamma)))

    fit(tmp_path, make(0.5), save=True, max_epochs=3)
    for batch in (3, 4, 6, 8):
        again = make(0.25)
        _, said = told(partial(fit, tmp_path, again, resume_from=tmp_path / f"{batch}.ckpt", max_epochs=3))

        assert again.rates == [0.1 * 0.25 ** (update // 4) for update in range(batch, 12)]
        assert "gamma=0.25, no longer 0.5" in said


def test_a_schedule_of_another_class_interval_or_frequency_stands_where_it_would_stand(tmp_path):
    step = epochwise(lambda optimizer: lr_scheduler.StepLR(optimizer, 1, 0.5))
    exponential = {"scheduler": lr_scheduler.ExponentialLR, "interval": "step"}
    fit(tmp_path, Module(partial(SGD, lr=0.1), step), save=True)
    for scheduler in (
        lambda optimizer, trainer: {**exponential, "scheduler": lr_scheduler.ExponentialLR(optimizer, 0.9)},
        lambda optimizer, trainer: {"scheduler": lr_scheduler.StepLR(optimizer, 1, 0.5), "interval": "step"},
        epochwise(lambda optimizer: lr_scheduler.StepLR(optimizer, 1, 0.5), frequency=2),
    ):
        fit(tmp_path, whole := Module(partial(SGD, lr=0.1), scheduler), max_epochs=4)
        for batch in (2, 4, 7):
            again = Module(partial(SGD, lr=0.1), scheduler)
            run = partial(fit, tmp_path, again, resume_from=tmp_path / f"{batch}.ckpt", max_epochs=4)
            _, said = told(run)

            assert again.rates == whole.rates[batch:]
            assert "goes on at step" in said


def test_a_scheduler_that_is_new_begins_where_the_run_stands_and_one_that_is_gone_leaves_the_rate_given_now(tmp_path):
    scheduler = stepwise(lambda optimizer, total: lr_scheduler.ExponentialLR(optimizer, 0.5))
    fit(tmp_path, Module(partial(SGD, lr=0.1)), save=True)
    fit(tmp_path, whole := Module(partial(SGD, lr=0.1), scheduler))
    _, said = told(
        partial(fit, tmp_path, new := Module(partial(SGD, lr=0.1), scheduler), resume_from=tmp_path / "3.ckpt")
    )
    assert new.rates == whole.rates[3:]
    assert "ExponentialLR, which the checkpoint does not have, begins at step 3" in said

    fit(tmp_path, Module(partial(SGD, lr=0.1), scheduler), save=True)
    _, said = told(partial(fit, tmp_path, gone := Module(partial(SGD, lr=0.2)), resume_from=tmp_path / "3.ckpt"))
    assert gone.rates == [0.2] * 5
    assert "there is no scheduler any more" in said


@pytest.mark.parametrize("lr", [0.1, 0.4])
def test_a_plateau_scheduler_keeps_what_it_has_seen_under_the_settings_given_now(lr, tmp_path):
    def make(lr, factor, patience):
        plateau = epochwise(
            lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=patience, factor=factor),
            monitor="score",
        )
        return Module(partial(SGD, lr=lr), plateau, scores=[1.0, 2.0, 2.0, 2.0, 2.0])

    fit(tmp_path, make(0.1, 0.5, 0), save=True, max_epochs=2)
    again = make(lr, 0.1, 1)
    trainer, said = told(partial(fit, tmp_path, again, resume_from=tmp_path / "end.ckpt", max_epochs=5))

    scheduler = trainer.lr_scheduler_configs[0].scheduler
    assert (scheduler.factor, scheduler.patience, float(scheduler.best)) == (0.1, 1, 1.0)
    assert again.rates == pytest.approx([lr / 2] * 8 + [lr / 20] * 4)
    assert "factor=0.1, no longer 0.5, patience=1, no longer 0" in said


@pytest.mark.parametrize(
    ("scheduler", "options", "words"),
    [
        (stepwise(lambda optimizer, total: lr_scheduler.OneCycleLR(optimizer, 0.3, 5)), {}, "is over before"),
        (
            lambda optimizer, trainer: {"scheduler": lr_scheduler.OneCycleLR(optimizer, 0.3, 8), "interval": "step"},
            {"max_epochs": 4},
            "OneCycleLR has 8 steps, and stands at step 6",
        ),
    ],
    ids=["shorter", "of a fixed length"],
)
def test_a_schedule_that_ends_too_early_is_refused_before_training(scheduler, options, words, tmp_path):
    eight = stepwise(lambda optimizer, total: lr_scheduler.OneCycleLR(optimizer, 0.3, 8))
    fit(tmp_path, Module(scheduler=eight), save=True)

    with pytest.raises(ConfigurationError, match=words):
        fit(tmp_path, again := Module(scheduler=scheduler), resume_from=tmp_path / "6.ckpt", **options)

    assert again.rates == []


class Own:
    """A scheduler of somebody's own, which only its author knows how to step."""

    def __init__(self, optimizer, gamma):
        self.optimizer, self.gamma, self.count = optimizer, gamma, 0

    def step(self, epoch=None):
        self.count += 1

    def state_dict(self):
        return {"gamma": self.gamma, "count": self.count}

    def load_state_dict(self, state):
        self.gamma, self.count = state["gamma"], state["count"]


class Stepping(Module):
    def lr_scheduler_step(self, scheduler, metric):
        scheduler.step()


def test_a_schedule_whose_place_cannot_be_found_is_refused(tmp_path):
    def stepping(gamma):
        return Stepping(scheduler=stepwise(lambda optimizer, total: Own(optimizer, gamma)))

    class Two(Module):
        def __init__(self, gamma):
            super().__init__()
            self.gamma = gamma

        def configure_optimizers(self):
            optimizer = SGD(self.parameters(), lr=0.1)
            return [optimizer], [
                lr_scheduler.StepLR(optimizer, 1, self.gamma),
                lr_scheduler.ExponentialLR(optimizer, 0.9),
            ]

    for make in (stepping, Two):
        fit(tmp_path, make(0.5), save=True)
        fit(tmp_path, make(0.5), resume_from=tmp_path / "3.ckpt")
        with pytest.raises(ConfigurationError, match=r"settings of the scheduler .* where its schedule stands"):
            fit(tmp_path, make(0.25), resume_from=tmp_path / "3.ckpt")


class Backbone(Module):
    """Has a backbone, which a callback gives to the optimizer in the second epoch."""

    def __init__(self, scheduler):
        super().__init__(scheduler=scheduler)
        self.backbone = torch.nn.Linear(2, 2)

    def training_step(self, batch, batch_idx):
        self.rates.append([group["lr"] for group in self.trainer.optimizers[0].param_groups])
        return self.layer(self.backbone(batch[0])).square().mean()

    def configure_optimizers(self):
        optimizer = SGD(self.layer.parameters(), lr=0.1)
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(optimizer, self.trainer)}


def test_groups_that_a_callback_has_added_keep_their_rates_under_a_longer_schedule(tmp_path):
    line = stepwise(lr_scheduler.PolynomialLR)
    finetuning = partial(BackboneFinetuning, 1, backbone_initial_ratio_lr=0.1, should_align=False)
    fit(tmp_path, first := Backbone(line), finetuning(), save=True)
    fit(tmp_path, whole := Backbone(line), finetuning(), max_epochs=4)
    again = Backbone(line)

    _, said = told(partial(fit, tmp_path, again, finetuning(), resume_from=tmp_path / "6.ckpt", max_epochs=4))

    assert [rates[0] for rates in again.rates] == [rates[0] for rates in whole.rates[6:]]
    assert again.rates[0][1] == first.rates[6][1]
    assert "groups of parameters that were added since, from the 2. on, keep their rates" in said


# --- optimizers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("callbacks", [(), (Decays(),)], ids=["plain", "options changed on the way"])
@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (partial(SGD, lr=0.1), partial(SGD, lr=0.5), "SGD: lr=0.5, no longer 0.1"),
        (partial(SGD, lr=0.1), partial(SGD, lr=0.1, nesterov=True, momentum=0.5), "nesterov=True, no longer False"),
        (partial(AdamW, lr=0.1), partial(AdamW, lr=0.1, betas=(0.5, 0.9)), "betas=.0.5, 0.9., no longer .0.9, 0.999."),
        (partial(Adam, lr=0.1), partial(Adam, lr=0.1, eps=1e-3), "eps=0.001, no longer 1e-08"),
    ],
    ids=["lr", "momentum", "betas", "eps"],
)
def test_options_of_an_optimizer_that_are_given_now_count_and_the_others_go_on(before, now, words, callbacks, tmp_path):
    fit(tmp_path, first := Module(before), *callbacks, save=True)
    _, said = told(partial(fit, tmp_path, again := Module(now), resume_from=tmp_path / "4.ckpt"))

    given = {**now([torch.nn.Parameter(torch.zeros(1))]).defaults}
    old = before([torch.nn.Parameter(torch.zeros(1))]).defaults
    for key, value in again.options[0].items():
        assert value == (given[key] if given.get(key) != old.get(key) else first.options[3].get(key, value)), key
    assert re.search(words, said)
    held = torch.load(tmp_path / "4.ckpt", weights_only=True)["optimizer_states"][0]["state"]
    assert all("step" not in each or each["step"] == 4 for each in held.values())


def test_options_are_told_for_each_group_of_parameters(tmp_path):
    def make(first, second):
        def groups(parameters):
            weight, bias = parameters
            return SGD([{"params": [weight], "lr": first}, {"params": [bias], "lr": second}], lr=1.0)

        return Module(groups)

    fit(tmp_path, make(0.1, 0.2), save=True)
    trainer, said = told(partial(fit, tmp_path, make(0.1, 0.3), resume_from=tmp_path / "4.ckpt"))

    assert [group["lr"] for group in trainer.optimizers[0].param_groups] == [0.1, 0.3]
    assert "SGD[group 1]: lr=0.3, no longer 0.2" in said
    assert "group 0" not in said


def test_an_optimizer_of_another_class_begins_anew(tmp_path):
    fit(tmp_path, Module(partial(SGD, lr=0.1, momentum=0.9)), save=True)
    trainer, said = told(partial(fit, tmp_path, Module(partial(Adam, lr=0.2)), resume_from=tmp_path / "4.ckpt"))

    (optimizer,) = trainer.optimizers
    assert (optimizer.param_groups[0]["lr"], {int(each["step"]) for each in optimizer.state.values()}) == (0.2, {4})
    assert "Adam begins anew: the checkpoint has the state of SGD" in said


def test_another_number_of_optimizers_is_refused(tmp_path):
    class Two(Module):
        def training_step(self, batch, batch_idx, optimizer_idx):
            return self.layer(batch[0]).square().mean()

        def configure_optimizers(self):
            return [SGD([each], lr=0.1) for each in self.parameters()]

    fit(tmp_path, Module(), save=True)
    with pytest.raises(DamagedCheckpointError, match=r"the states of 1 optimizer\(s\), but .* returned 2"):
        fit(tmp_path, Two(), resume_from=tmp_path / "4.ckpt")


# --- a checkpoint that does not say how it was set up -----------------------------------------------------------


def forgetful(path):
    """Take out what Lightning does not write."""
    content = torch.load(path, weights_only=True)
    del content["leyden"]["settings"]
    torch.save(content, path)
    return path


@pytest.mark.parametrize("name", ["cosine", "one_cycle", "warmup", "polynomial", "sequential"])
def test_without_the_set_up_settings_of_schedules_are_read_from_their_states(name, tmp_path):
    fit(tmp_path, Module(scheduler=SCHEDULES[name]), save=True)
    fit(tmp_path, whole := Module(scheduler=SCHEDULES[name]), max_epochs=5)
    fit(tmp_path, same := Module(scheduler=SCHEDULES[name]))
    path = forgetful(tmp_path / "3.ckpt")

    _, said = told(partial(fit, tmp_path, again := Module(scheduler=SCHEDULES[name]), resume_from=path))
    _, said_of_longer = told(
        partial(fit, tmp_path, longer := Module(scheduler=SCHEDULES[name]), resume_from=path, max_epochs=5)
    )

    assert (again.rates, said) == (same.rates[3:], "")
    assert longer.rates == whole.rates[3:]
    assert "goes on at step 3" in said_of_longer


def test_without_the_set_up_options_of_an_optimizer_are_kept_and_that_is_said(tmp_path):
    fit(tmp_path, Module(partial(SGD, lr=0.1)), save=True)
    path = forgetful(tmp_path / "3.ckpt")

    _, said = told(partial(fit, tmp_path, again := Module(partial(SGD, lr=0.5)), resume_from=path))

    assert again.rates == [0.1] * 5
    assert "lr=0.1 of the checkpoint is kept, not 0.5" in said


# --- callbacks ---------------------------------------------------------------------------------------------------


def stopped(folder, **options):
    """A fit that early stopping ends after three epochs; returns where it was saved last."""
    saving = ModelCheckpoint(folder, save_last=True)
    options = {"patience": 2, **options}
    trainer = fit(folder, Module(scores=[1.0] * 9), EarlyStopping("score", **options), saving, max_epochs=9)
    assert trainer.current_epoch == 3
    return folder / "last.ckpt"


@pytest.mark.parametrize(
    ("callbacks", "epochs", "words"),
    [
        ((), 9, "EarlyStopping.* is not there any more"),
        ((partial(EarlyStopping, "score", patience=5),), 6, "patience=5, no longer 2"),
        ((partial(EarlyStopping, "score", patience=50),), 9, "training goes on"),
        ((partial(EarlyStopping, "other", mode="max", patience=2),), 9, "EarlyStopping.*other.*begins anew"),
        ((partial(EarlyStopping, "score", patience=2),), 3, ""),
        ((partial(EarlyStopping, "score", patience=1),), 3, "patience=1, no longer 2"),
    ],
    ids=["gone", "more patience", "much more", "another monitor", "the same", "less"],
)
def test_a_stop_of_early_stopping_holds_as_far_as_its_settings_now_ask_for_it(callbacks, epochs, words, tmp_path):
    path = stopped(tmp_path)

    run = partial(
        fit, tmp_path, Module(scores=[1.0] * 9), *(make() for make in callbacks), resume_from=path, max_epochs=9
    )
    trainer, said = told(run)

    assert trainer.current_epoch == epochs
    assert re.search(words, said) if words else said == ""


@pytest.mark.parametrize(
    ("then", "now", "scores", "goes_on"),
    [
        ({"stopping_threshold": 2.0}, {"stopping_threshold": 2.0}, [3.0, 1.0], False),
        ({"stopping_threshold": 2.0}, {"stopping_threshold": 0.5}, [3.0, 1.0], True),
        ({"stopping_threshold": 2.0}, {}, [3.0, 1.0], True),
        ({"divergence_threshold": 2.0}, {"divergence_threshold": 2.0}, [1.0, 3.0], False),
        ({"divergence_threshold": 2.0}, {}, [1.0, 3.0], True),
        ({}, {}, [1.0, float("nan")], False),
        ({}, {"check_finite": False}, [1.0, float("nan")], True),
    ],
    ids=str,
)
def test_a_stop_by_a_threshold_holds_as_long_as_the_threshold_does(then, now, scores, goes_on, tmp_path):
    saving = ModelCheckpoint(tmp_path, save_last=True)
    module = partial(Module, scores=scores)
    first = fit(tmp_path, module(), EarlyStopping("score", patience=9, **then), saving, max_epochs=6)
    stopping = EarlyStopping("score", patience=9, **now)

    run = partial(fit, tmp_path, module(), stopping, resume_from=tmp_path / "last.ckpt", max_epochs=6)
    trainer, said = told(run)

    assert (first.current_epoch, trainer.current_epoch) == (2, 6 if goes_on else 2)
    assert ("training goes on" in said) is goes_on


def test_a_stop_that_somebody_has_set_holds_and_the_log_says_who(tmp_path, caplog):
    class Stops(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = trainer.current_epoch == 0

    fit(tmp_path, Module(), Stops(), save=True)
    with caplog.at_level("INFO", "leyden"):
        trainer = fit(tmp_path, Module(), resume_from=tmp_path / "end.ckpt")

    assert trainer.current_epoch == 1
    assert "fit stopped in epoch 1: trainer.should_stop asked for it." in caplog.text


def files(folder):
    return sorted(path.name for path in folder.glob("*.ckpt"))


def ranking(folder, **options):
    return ModelCheckpoint(
        folder, **{"monitor": "score", "save_top_k": 3, "save_last": True, "filename": "{epoch}", **options}
    )


FALLING = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]


@pytest.mark.parametrize(
    ("options", "left", "words"),
    [
        ({}, ["epoch=3.ckpt", "epoch=4.ckpt", "epoch=5.ckpt"], ""),
        ({"save_top_k": 1}, ["epoch=5.ckpt"], r"save_top_k=1\): 2 of 3 files lose their place"),
        ({"save_top_k": 2}, ["epoch=4.ckpt", "epoch=5.ckpt"], r"1 of 3 files lose"),
        ({"save_top_k": 4}, ["epoch=2.ckpt", "epoch=3.ckpt", "epoch=4.ckpt", "epoch=5.ckpt"], ""),
        ({"save_top_k": -1}, [f"epoch={epoch}.ckpt" for epoch in range(1, 6)], ""),
        ({"save_top_k": 0}, [f"epoch={epoch}.ckpt" for epoch in range(1, 4)], r"leaves 3 of the checkpoint's alone"),
        ({"every_n_epochs": 2}, ["epoch=2.ckpt", "epoch=3.ckpt", "epoch=5.ckpt"], "goes on with the ranking"),
        ({"every_n_train_steps": 8}, ["epoch=2.ckpt", "epoch=3.ckpt", "epoch=5.ckpt"], "goes on with the ranking"),
        (
            {"monitor": "other", "save_top_k": 1},
            [f"epoch={epoch}.ckpt" for epoch in range(1, 5)],
            "3 files of the ranking before are left alone",
        ),
        (
            {"mode": "max", "save_top_k": 1},
            [f"epoch={epoch}.ckpt" for epoch in range(1, 5)],
            "3 files of the ranking before are left alone",
        ),
    ],
    ids=str,
)
def test_model_checkpoint_keeps_what_it_is_told_to_keep_now(options, left, words, tmp_path):
    module = partial(Module, scores=FALLING)
    fit(tmp_path, module(), ranking(tmp_path), max_epochs=4)
    saving = ranking(tmp_path, **options)
    path = tmp_path / "last.ckpt"
    _, said = told(partial(fit, tmp_path, module(), saving, resume_from=path, max_epochs=6))

    assert files(tmp_path) == sorted([*left, "last.ckpt"])
    assert re.search(words, said) if words else said == ""
    if saving.save_top_k > 0:
        assert {Path(each).name for each in saving.best_k_models} <= set(left)


@pytest.mark.parametrize(("epochs", "rate", "words"), [(1, 0.7, ""), (3, 0.5, "goes on with swa_lrs=0.5, not 0.7")])
def test_an_average_takes_the_rates_given_now_until_it_has_begun(epochs, rate, words, tmp_path):
    def averaging(lr):
        return StochasticWeightAveraging(lr, swa_epoch_start=2, annealing_epochs=1)

    module = partial(Module, partial(SGD, lr=0.1))
    fit(tmp_path, module(), averaging(0.5), save=True, max_epochs=epochs)
    # a fit that is over has given the average to the module: go on from its last batch
    path = tmp_path / f"{epochs * BATCHES}.ckpt"
    _, said = told(partial(fit, tmp_path, again := module(), averaging(0.7), resume_from=path, max_epochs=4))

    assert again.rates[-1] == pytest.approx(rate)
    assert words in said if words else said == ""


# --- data, precision, limits, random numbers --------------------------------------------------


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("data", [partial(loader, 4), partial(loader, 1), partial(loader, 2, samples=10)])
def test_another_batch_size_or_data_set_is_refused_in_the_middle_of_an_epoch_and_taken_at_its_end(
    data, shuffle, tmp_path
):
    fit(tmp_path, Module(), data=loader(shuffle=shuffle), save=True)
    seen = []
    with pytest.raises(ConfigurationError, match=r"in the middle of an epoch, after 2 batches, with .* or not at all"):
        fit(tmp_path, Module(seen=seen), data=data(shuffle=shuffle), resume_from=tmp_path / "2.ckpt")
    assert seen == []

    other = data(shuffle=shuffle)
    _, said = told(partial(fit, tmp_path, Module(seen=seen), data=other, resume_from=tmp_path / "4.ckpt"))

    assert sorted(seen) == sorted(other.dataset.tensors[0][:, 0].tolist())
    assert said == ""


def test_another_order_is_refused_in_the_middle_of_an_epoch(tmp_path):
    fit(tmp_path, Module(), data=loader(shuffle=True), save=True)

    with pytest.raises(ConfigurationError, match="the order of RandomSampler; now with samples in the order of Seq"):
        fit(tmp_path, Module(), data=loader(), resume_from=tmp_path / "2.ckpt")


def test_a_limit_of_batches_counts_in_the_middle_of_an_epoch_unless_it_is_behind(tmp_path):
    fit(tmp_path, Module(), save=True)
    again = Module()
    _, said = told(partial(fit, tmp_path, again, resume_from=tmp_path / "1.ckpt", limit_train_batches=3))
    assert len(again.rates) == 2 + 3
    assert "this epoch ends after 3 batches, no longer 4" in said

    with pytest.raises(ConfigurationError, match="after 3 batches, but an epoch now ends after 2"):
        fit(tmp_path, Module(), resume_from=tmp_path / "3.ckpt", limit_train_batches=2)


def test_another_accumulation_is_refused_within_a_window_and_taken_between_two(tmp_path):
    fit(tmp_path, Module(), accumulate_grad_batches=2, save=True)
    with pytest.raises(ConfigurationError, match="after 1 of 2 batches of an update"):
        fit(tmp_path, Module(), resume_from=tmp_path / "3.ckpt", accumulate_grad_batches=4)

    trainer, said = told(partial(fit, tmp_path, Module(), resume_from=tmp_path / "4.ckpt", accumulate_grad_batches=4))

    assert (trainer.global_step, said) == (3, "")


def test_a_schedule_of_accumulation_goes_on_within_a_window(tmp_path):
    scheduling = partial(GradientAccumulationScheduler, {0: 2, 1: 4})
    whole = fit(tmp_path, Module(), scheduling(), save=True)

    trainer, said = told(partial(fit, tmp_path, Module(), scheduling(), resume_from=tmp_path / "6.ckpt"))

    assert (trainer.global_step, said) == (whole.global_step, "")


@pytest.mark.parametrize(
    ("options", "words"), [({"max_epochs": 1}, "saved in epoch 2"), ({"max_steps": 5}, "saved in step 8")], ids=str
)
def test_limits_below_what_is_done_are_refused(options, words, tmp_path):
    fit(tmp_path, Module(), save=True)
    with pytest.raises(ConfigurationError, match=words):
        fit(tmp_path, Module(), resume_from=tmp_path / "end.ckpt", **options)


def test_another_precision_counts_and_is_told(tmp_path):
    fit(tmp_path, Module(), save=True)
    _, said = told(partial(fit, tmp_path, Module(), resume_from=tmp_path / "4.ckpt", precision="bf16-mixed"))

    assert "precision=bf16-mixed, no longer 32-true" in said


def test_another_seed_is_told_not_to_count(tmp_path, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    seed_everything(3, verbose=False)
    fit(tmp_path, Module(), save=True)
    _, silent = told(partial(fit, tmp_path, Module(), resume_from=tmp_path / "4.ckpt"))
    seed_everything(7, verbose=False)
    _, said = told(partial(fit, tmp_path, Module(), resume_from=tmp_path / "4.ckpt"))

    assert silent == ""
    assert "the random numbers are those of the checkpoint, and not of the seed 7" in said
