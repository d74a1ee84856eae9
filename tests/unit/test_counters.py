"""Counters count what their option says: updates of the whole fit, checks, epochs; and a score is that of its step."""

from __future__ import annotations

import itertools
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from leyden import Callback, LightningModule, Trainer
from leyden.callbacks import EarlyStopping, EarlyStoppingReason, ModelCheckpoint
from leyden.errors import ConfigurationError
from leyden.testing import RecordingLogger


def loader(batches=4):
    return DataLoader(TensorDataset(torch.arange(2.0 * batches).reshape(batches, 2) / batches), batch_size=1)


def trainer_of(folder, *callbacks, **options):
    """A quiet trainer on the CPU."""
    return Trainer(
        **{
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": any(isinstance(each, ModelCheckpoint) for each in callbacks),
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "default_root_dir": folder,
            "callbacks": list(callbacks),
            **options,
        }
    )


class Steps(LightningModule):
    """Logs a score for the step that is validated, and another for each batch that is trained."""

    def __init__(self, scheduler=None, scores=lambda step: float(step * 7 % 11)):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.scheduler, self.scores, self.validated = scheduler, scores, []

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch[0]).square().mean()
        self.log("train_score", float(self.scores(self.global_step + 1)))
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("score", float(self.scores(self.global_step)))

    def on_validation_end(self):
        if not self.trainer.sanity_checking:
            self.validated.append(self.global_step)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1e-4)
        return {"optimizer": optimizer, **({"lr_scheduler": self.scheduler(optimizer)} if self.scheduler else {})}


def ranked(callback):
    """Scores by the step in the name."""
    return {
        int(Path(path).stem.partition("step=")[2].partition("-")[0]): float(score)
        for path, score in callback.best_k_models.items()
    }


# --- saves beside validations ----------------------------------------------------------------------


TRIGGERS = [{"every_n_train_steps": every} for every in (1, 2, 3, 4, 6)] + [{"train_time_interval": timedelta(0)}]
VALIDATIONS = [
    {"val_check_interval": 1},
    {"val_check_interval": 2},
    {"val_check_interval": 0.25},
    {"val_check_interval": 1.0},
    {"val_check_interval": 3, "check_val_every_n_epoch": None},
    {"val_check_interval": 4, "check_val_every_n_epoch": None},
    {"check_val_every_n_epoch": 2},
    {"val_check_interval": timedelta(0)},
    {"val_check_interval": 3, "accumulate_grad_batches": 2},
]


@pytest.mark.filterwarnings("ignore:ModelCheckpoint.* saves at steps at which no validation runs")
@pytest.mark.parametrize(("trigger", "validation"), list(itertools.product(TRIGGERS, VALIDATIONS)), ids=str)
def test_a_file_has_the_score_of_the_validation_of_its_step_wherever_there_is_one(trigger, validation, tmp_path):
    saving = ModelCheckpoint(tmp_path, monitor="score", save_top_k=-1, filename="{step}-{score:.0f}", **trigger)
    module = Steps()

    trainer_of(tmp_path, saving, max_epochs=3, **validation).fit(module, loader(), loader(1))

    scores = ranked(saving)
    own = {step: module.scores(step) for step in scores if step in module.validated}
    before = {
        step: module.scores(max(each for each in module.validated if each < step)) for step in scores if step not in own
    }
    assert scores == own | before
    assert own or not set(scores) & set(module.validated)
    assert Path(saving.best_model_path).stem.startswith(f"step={min(scores, key=scores.__getitem__)}-")
    for path in tmp_path.glob("step=*.ckpt"):
        held = torch.load(path, weights_only=True)
        assert float(held["leyden"]["metrics"]["callback"]["score"]) == scores[held["global_step"]]
        assert path.stem == f"step={held['global_step']}-score={scores[held['global_step']]:.0f}"


@pytest.mark.parametrize("monitor", ["score", "train_score", None])
@pytest.mark.parametrize("interval", [1, 2, 0.5])
def test_a_run_resumed_from_a_file_of_a_validated_step_decides_and_saves_as_the_whole_one(monitor, interval, tmp_path):
    def fit(folder, resume_from=None):
        torch.manual_seed(0)
        options = {"save_top_k": -1, "save_last": True, "filename": "{step}", "every_n_train_steps": 2}
        options["enable_version_counter"] = False
        saving = ModelCheckpoint(folder, monitor=monitor, **options)
        stopping = EarlyStopping("score", patience=100)
        module = Steps()
        trainer = trainer_of(folder, saving, stopping, max_epochs=2, val_check_interval=interval)
        trainer.fit(module, loader(), loader(1), ckpt_path=resume_from)
        return module, saving, stopping

    whole, saving, stopping = fit(tmp_path)
    scores = ranked(saving)
    for step in range(2, 8, 2):
        module, again, stopped = fit(tmp_path, tmp_path / f"step={step}.ckpt")
        redone = [step] if monitor is None else []  # saved before its validation, as nothing of the file depends on it

        assert module.validated == redone + [each for each in whole.validated if each > step]
        assert (ranked(again), again.best_model_path) == (scores, saving.best_model_path)
        assert (stopped.wait_count, stopped.best_score) == (stopping.wait_count, stopping.best_score)
        assert all(torch.equal(*pair) for pair in zip(module.parameters(), whole.parameters(), strict=True))
    last, newest = (torch.load(tmp_path / name, weights_only=True) for name in ("last.ckpt", "step=8.ckpt"))
    assert last["leyden"]["progress"] | {"seconds": 0} == newest["leyden"]["progress"] | {"seconds": 0}


@pytest.mark.parametrize(
    ("monitor", "options", "saved"),
    [
        ("step", {"every_n_train_steps": 2}, [6, 8]),
        ("step", {"every_n_train_steps": 3}, [3, 6]),
        ("step", {"train_time_interval": timedelta(0)}, [7, 8]),
        ("epoch", {"every_n_train_steps": 3}, [3, 6]),
    ],
    ids=str,
)
@pytest.mark.parametrize("validates", [True, False])
def test_the_newest_files_are_kept_by_step_or_epoch(monitor, options, saved, validates, tmp_path):
    saving = ModelCheckpoint(tmp_path, monitor=monitor, mode="max", save_top_k=2, **options)

    trainer_of(tmp_path, saving, max_epochs=2).fit(Steps(), loader(), loader(1) if validates else None)

    assert sorted(torch.load(path, weights_only=True)["global_step"] for path in tmp_path.glob("*.ckpt")) == saved


def test_a_file_that_no_validation_belongs_to_is_said_to_be_ranked_by_the_one_before(tmp_path):
    saving = ModelCheckpoint(tmp_path, monitor="score", every_n_train_steps=3, save_top_k=-1, filename="{step}")

    with pytest.warns(UserWarning, match="saves at steps at which no validation runs"):
        trainer_of(tmp_path, saving, max_epochs=3).fit(Steps(), loader(), loader(1))


def test_a_save_does_not_wait_for_a_validation_of_no_batches(tmp_path):
    saving = ModelCheckpoint(tmp_path, monitor="train_score", every_n_train_steps=2, save_top_k=-1, filename="{step}")

    trainer_of(tmp_path, saving, max_epochs=1).fit(Steps(), loader(), loader(0))

    assert sorted(ranked(saving)) == [2, 4]


def test_a_key_that_is_never_logged_without_a_validation_is_said(tmp_path):
    saving = ModelCheckpoint(tmp_path, monitor="nothing", every_n_train_steps=2)

    with pytest.warns(UserWarning, match="monitor='nothing'"):
        trainer_of(tmp_path, saving, max_epochs=1).fit(Steps(), loader())


# --- an int is so many, a float is so much of the whole -----------------------------------------------


@pytest.mark.parametrize(
    ("options", "validated"),
    [
        ({"val_check_interval": 1}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"val_check_interval": 1.0}, [4, 8]),
        ({"val_check_interval": None}, [4, 8]),
        ({"val_check_interval": 1, "check_val_every_n_epoch": None}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"val_check_interval": 1, "check_val_every_n_epoch": 2}, [5, 6, 7, 8]),
        ({"check_val_every_n_epoch": 2}, [8]),
        ({"val_check_interval": 1, "limit_train_batches": 1}, [1, 2]),
    ],
    ids=str,
)
def test_checkpoints_and_early_stopping_look_at_every_validation(options, validated, tmp_path):
    saving = ModelCheckpoint(tmp_path, monitor="score", save_top_k=-1, filename="{step}")
    seen = []

    class Stopping(EarlyStopping):
        def _check(self, trainer):
            seen.append(trainer.global_step)
            super()._check(trainer)

    module = Steps()
    trainer_of(tmp_path, saving, Stopping("score", patience=99), max_epochs=2, **options).fit(
        module, loader(), loader(1)
    )

    assert module.validated == validated
    assert ranked(saving) == {step: module.scores(step) for step in validated}
    assert seen == validated


@pytest.mark.parametrize("limit", ["limit_train_batches", "limit_val_batches", "overfit_batches"])
@pytest.mark.parametrize(("value", "batches"), [(1, 1), (1.0, 4)])
def test_one_batch_is_not_the_whole_of_them(limit, value, batches, tmp_path):
    trainer = trainer_of(tmp_path, max_epochs=1, **{limit: value})
    trainer.fit(Steps(), loader(), loader())

    counted = trainer.num_val_batches[0] if limit == "limit_val_batches" else trainer.num_training_batches
    assert counted == batches


@pytest.mark.parametrize(
    "options", [{"check_val_every_n_epoch": 2}, {"val_check_interval": timedelta(hours=1)}], ids=str
)
def test_where_nothing_is_validated_epochs_are_saved_and_judged_at_their_end(options, tmp_path):
    saving = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{step}")
    stopping = EarlyStopping("train_score", patience=1)
    trainer = trainer_of(tmp_path, saving, stopping, max_epochs=5, **options)

    trainer.fit(Steps(scores=lambda step: 1.0), loader())

    assert trainer.current_epoch == 2
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["step=4.ckpt", "step=8.ckpt"]


# --- schedulers ---------------------------------------------------------------------------------------


def halving(interval, frequency):
    return lambda optimizer: {
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5),
        "interval": interval,
        "frequency": frequency,
    }


class Places(Callback):
    """Notes after which update, or epoch, a scheduler has been stepped."""

    def __init__(self):
        self.stepped, self.before = [], 0

    def look(self, trainer, place):
        (config,) = trainer.lr_scheduler_configs
        if config.scheduler.last_epoch != self.before:
            self.stepped.append(place)
        self.before = config.scheduler.last_epoch

    def on_train_start(self, trainer, pl_module):
        self.before = trainer.lr_scheduler_configs[0].scheduler.last_epoch

    def on_train_batch_end(self, trainer, *_):
        self.look(trainer, trainer.global_step)


@pytest.mark.parametrize("frequency", [1, 2, 3, 5, 7])
@pytest.mark.parametrize(("batches", "accumulated"), [(3, 1), (4, 2), (5, 2), (6, 4)])
def test_a_frequency_counts_updates_over_the_whole_fit(frequency, batches, accumulated, tmp_path):
    places = Places()
    trainer = trainer_of(tmp_path, places, max_epochs=4, accumulate_grad_batches=accumulated)

    trainer.fit(Steps(halving("step", frequency)), loader(batches))

    updates = 4 * -(-batches // accumulated)
    assert trainer.global_step == updates
    assert places.stepped == [step for step in range(1, updates + 1) if step % frequency == 0]


@pytest.mark.parametrize("frequency", [2, 3, 5])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_frequency_goes_on_counting_on_resume(frequency, accumulated, tmp_path):
    class Saves(Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.save_checkpoint(tmp_path / f"{trainer.fit_loop.total_batch_idx}.ckpt")

    options = {"max_epochs": 2, "accumulate_grad_batches": accumulated}
    whole = trainer_of(tmp_path, Saves(), **options)
    whole.fit(Steps(halving("step", frequency)), loader(5))
    for batch in range(9):
        again = trainer_of(tmp_path, **options)
        again.fit(Steps(halving("step", frequency)), loader(5), ckpt_path=tmp_path / f"{batch}.ckpt")

        ends = [each.lr_scheduler_configs[0].scheduler.last_epoch for each in (whole, again)]
        assert ends[0] == ends[1] == whole.global_step // frequency


@pytest.mark.parametrize("frequency", [1, 2, 3])
def test_a_frequency_of_epochs_counts_epochs(frequency, tmp_path):
    trainer = trainer_of(tmp_path, max_epochs=5)
    trainer.fit(Steps(halving("epoch", frequency)), loader(2))

    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 5 // frequency


def test_a_batch_that_is_refused_is_no_update_for_a_scheduler(tmp_path):
    class Refuses(Steps):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == 2 else None

    trainer = trainer_of(tmp_path, max_epochs=2)
    trainer.fit(Refuses(halving("step", 2)), loader())

    assert (trainer.global_step, trainer.lr_scheduler_configs[0].scheduler.last_epoch) == (4, 2)


def plateau(monitor, interval, strict=True):
    return lambda optimizer: {
        "scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5),
        "monitor": monitor,
        "interval": interval,
        "strict": strict,
    }


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("interval", "options", "steps"),
    [
        ("step", {}, 5),  # the first validation follows update 4, then each of the 4 others reads it
        ("step", {"val_check_interval": 2}, 7),
        ("epoch", {"check_val_every_n_epoch": 2}, 1),
        ("step", {"val_check_interval": 5, "check_val_every_n_epoch": None}, 4),
    ],
    ids=str,
)
def test_a_plateau_scheduler_waits_for_the_first_validation(interval, options, steps, strict, tmp_path):
    trainer = trainer_of(tmp_path, max_epochs=2, **options)
    trainer.fit(Steps(plateau("score", interval, strict)), loader(), loader(1))

    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == steps


@pytest.mark.parametrize(
    ("interval", "options"),
    [("step", {}), ("epoch", {}), ("epoch", {"check_val_every_n_epoch": 2}), ("epoch", {"limit_val_batches": 0})],
    ids=str,
)
def test_what_no_validation_has_logged_is_an_error_once_one_has_run_or_none_will(interval, options, tmp_path):
    module = Steps(plateau("scoer", interval))

    with pytest.raises(ConfigurationError, match="'scoer', which was not logged"):
        trainer_of(tmp_path, max_epochs=2, **options).fit(module, loader(), loader(1))

    assert len(module.validated) == (0 if "limit_val_batches" in options else 1)


def test_a_second_fit_waits_for_its_own_first_validation(tmp_path):
    trainer = trainer_of(tmp_path, max_epochs=1)
    trainer.fit(Steps(), loader(), loader(1))
    trainer.fit_loop.max_epochs = 2

    trainer.fit(Steps(plateau("score", "step")), loader(), loader(1))

    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch >= 1


# --- stops before they are allowed ------------------------------------------------------------------


def stopped_after(scores, stopping, folder, **options):
    """Epochs and updates of a fit in which the validation after epoch ``n`` logs ``scores[n - 1]``."""
    module = Steps(scores=lambda step: scores[max(0, step // 4 - 1)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*asked for a stop, but")
        trainer = trainer_of(folder, stopping, max_epochs=len(scores), **options)
        trainer.fit(module, loader(), loader(1))
    return trainer.current_epoch, trainer.global_step


IMPROVES = [1.0, 2.0, 3.0, 0.9, 0.8, 0.7, 0.6, 0.5]
RISES = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
FALLS_BACK = [1.0, 0.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("least", [{"min_epochs": 6}, {"min_steps": 24}, {"min_epochs": 6, "min_steps": 3}], ids=str)
@pytest.mark.parametrize(
    ("scores", "options", "epochs"),
    [
        (IMPROVES, {"patience": 2}, 8),
        (RISES, {"patience": 2}, 6),
        ([*IMPROVES[:5], 9.0, 9.0, 9.0], {"patience": 2}, 7),  # runs out once more, after the sixth epoch
        (FALLS_BACK, {"patience": 9, "stopping_threshold": 0.5}, 8),
        ([1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], {"patience": 9, "divergence_threshold": 5.0}, 8),
        ([1.0, float("nan"), *[0.5] * 6], {"patience": 9}, 8),
        ([1.0, *[float("nan")] * 7], {"patience": 9}, 6),
    ],
    ids=str,
)
def test_the_latest_check_decides_once_training_may_stop(scores, options, epochs, least, tmp_path):
    stopping = EarlyStopping("score", **options)

    assert stopped_after(scores, stopping, tmp_path, **least) == (epochs, 4 * epochs)
    assert (stopping.stopped_epoch > 0) == (epochs < 8)
    assert (stopping.stopping_reason is EarlyStoppingReason.NOT_STOPPED) == (epochs == 8)


def test_patience_that_ran_out_stops_as_soon_as_training_may(tmp_path):
    assert stopped_after(RISES, EarlyStopping("score", patience=2), tmp_path, min_steps=18) == (5, 18)


def test_who_takes_a_stop_back_takes_back_none_of_others(tmp_path):
    class Insists(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                trainer.should_stop = True

    for others in ([Insists()], [EarlyStopping("train_score", patience=1, min_delta=100.0)]):
        module = Steps(scores=lambda step: IMPROVES[max(0, step // 4 - 1)])
        stopping = EarlyStopping("score", patience=2)
        trainer = trainer_of(tmp_path, stopping, *others, max_epochs=8, min_epochs=5)
        with pytest.warns(UserWarning, match="asked for a stop, but min_epochs=5"):
            trainer.fit(module, loader(), loader(1))

        assert (trainer.current_epoch, trainer.should_stop, stopping.stopped_epoch) == (5, True, 0)


@pytest.mark.parametrize("scores", [IMPROVES, RISES], ids=["improves", "rises"])
def test_a_resumed_run_takes_a_stop_back_as_the_whole_one_does(scores, tmp_path):
    def fit(resume_from=None):
        stopping = EarlyStopping("score", patience=2)
        saving = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}", enable_version_counter=False)
        module = Steps(scores=lambda step: scores[max(0, step // 4 - 1)])
        trainer = trainer_of(tmp_path, stopping, saving, max_epochs=8, min_epochs=6)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*asked for a stop, but")
            trainer.fit(module, loader(), loader(1), ckpt_path=resume_from)
        return trainer.current_epoch, stopping.wait_count, stopping.stopped_epoch

    whole = fit()

    assert [fit(tmp_path / f"epoch={epoch}.ckpt") for epoch in range(5)] == [whole] * 5


def test_a_check_before_the_first_validation_is_no_error(tmp_path):
    stopping = EarlyStopping("score", check_on_train_epoch_end=True)

    trainer_of(tmp_path, stopping, max_epochs=3, check_val_every_n_epoch=2).fit(Steps(), loader(), loader(1))

    assert stopping.best_score == Steps().scores(8)


# --- steps that the module makes itself ---------------------------------------------------------------


class Manual(Steps):
    """Steps its optimizers itself, in one of several ways."""

    def __init__(self, way, optimizers=1):
        super().__init__()
        self.automatic_optimization = False
        self.way, self.count, self.kept = way, optimizers, []
        self.layers = torch.nn.ModuleList(torch.nn.Linear(2, 1) for _ in range(optimizers))

    def training_step(self, batch, batch_idx):
        loss = sum(layer(batch[0]).square().mean() for layer in self.layers)
        ours = self.optimizers() if self.count > 1 else [self.optimizers()]
        for each in ours:
            each.zero_grad()
        self.manual_backward(loss)
        for index, each in enumerate(ours):
            {
                "wrapped": each.step,
                "kept": self.kept[index].step,
                "bare": self.trainer.optimizers[index].step,
                "inside": each.optimizer.step,
            }[self.way]()

    def configure_optimizers(self):
        self.kept = [torch.optim.SGD(layer.parameters(), lr=1e-3) for layer in self.layers]
        return list(self.kept)


@pytest.mark.parametrize("way", ["wrapped", "kept", "bare", "inside"])
@pytest.mark.parametrize("optimizers", [1, 2])
def test_in_manual_optimisation_every_step_is_counted_whoever_makes_it(way, optimizers, tmp_path):
    saving = ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1, filename="{step}")
    trainer = trainer_of(tmp_path, saving, max_epochs=2)

    trainer.fit(module := Manual(way, optimizers), loader(3))

    assert trainer.global_step == 6 * optimizers
    assert sorted(torch.load(path, weights_only=True)["global_step"] for path in tmp_path.glob("*.ckpt")) == (
        [3, 6] if optimizers == 1 else [4, 6, 10, 12]
    )
    assert not any(each._optimizer_step_post_hooks for each in module.kept)


def test_a_limit_of_steps_ends_a_fit_whose_module_steps_a_bare_optimizer(tmp_path):
    trainer = trainer_of(tmp_path, max_epochs=9, max_steps=4)
    trainer.fit(Manual("kept"), loader(3))

    assert (trainer.global_step, trainer.fit_loop.total_batch_idx) == (4, 3)


def test_a_resumed_run_saves_after_the_same_steps_of_several_optimizers(tmp_path):
    def fit(resume_from=None):
        saving = ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1, filename="{step}")
        trainer_of(tmp_path, saving, max_epochs=2).fit(Manual("kept", 2), loader(3), ckpt_path=resume_from)
        return sorted(path.name for path in tmp_path.glob("*.ckpt"))

    whole = fit()
    (tmp_path / "step=10.ckpt").unlink()
    (tmp_path / "step=12.ckpt").unlink()

    assert fit(tmp_path / "step=6.ckpt") == whole == ["step=10.ckpt", "step=12.ckpt", "step=4.ckpt", "step=6.ckpt"]


def test_steps_that_nobody_can_count_are_said(tmp_path):
    class Hidden(Manual):
        def configure_optimizers(self):
            super().configure_optimizers()
            return torch.optim.SGD(self.layer.parameters(), lr=1e-3)

    with pytest.warns(UserWarning, match="Hidden is trained in manual optimisation, .* global_step stays 0"):
        trainer_of(tmp_path, max_epochs=1).fit(Hidden("kept"), loader(3))


def test_rows_and_limits_count_updates_and_not_batches(tmp_path):
    logger = RecordingLogger()
    trainer = trainer_of(
        tmp_path, max_epochs=9, max_steps=5, accumulate_grad_batches=3, logger=logger, log_every_n_steps=2
    )

    trainer.fit(Steps(), loader(7))

    assert (trainer.global_step, trainer.fit_loop.total_batch_idx) == (5, 12)
    assert [step for step, row in logger.rows if "train_score" in row] == [1, 3]
