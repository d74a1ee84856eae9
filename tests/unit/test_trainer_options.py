"""A wrong option is one clear error, an old spelling one clear warning, before anything is touched."""

from __future__ import annotations

import os
import warnings
from datetime import timedelta

import pytest
import torch

import leyden as L
from leyden.callbacks import ModelCheckpoint, ModelSummary
from leyden.options import LEGACY
from leyden.precisions import TruePrecision
from leyden.testing import RecordingLogger, TinyData, TinyModule

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
WHOLE = "expected a whole number from"
LIMIT = "expected a number of batches (an int from 0 on) or a fraction of them (a float from 0.0 to 1.0)."

WRONG = [
    ("fast_dev_run", -1, f"{WHOLE} 0 on, True or False."),
    ("fast_dev_run", 1.5, f"{WHOLE} 0 on, True or False."),
    ("fast_dev_run", "yes", f"{WHOLE} 0 on, True or False."),
    ("max_epochs", -2, f"{WHOLE} -1 on, or -1 for no limit."),
    ("max_epochs", 1.0, f"{WHOLE} -1 on"),
    ("max_epochs", True, f"{WHOLE} -1 on"),
    ("max_epochs", "3", f"{WHOLE} -1 on"),
    ("min_epochs", -1, f"{WHOLE} 0 on."),
    ("max_steps", -2, f"{WHOLE} -1 on, or -1 for no limit."),
    ("max_steps", None, f"{WHOLE} -1 on"),
    ("min_steps", -1, f"{WHOLE} 0 on."),
    ("max_time", "tomorrow", "expected 'DD:HH:MM:SS' (such as '00:12:00:00' for twelve hours), a timedelta, or a dict"),
    ("max_time", "12:00:00", "expected 'DD:HH:MM:SS'"),
    ("max_time", {"moons": 1}, "expected 'DD:HH:MM:SS'"),
    ("max_time", 60, "expected 'DD:HH:MM:SS'"),
    ("limit_train_batches", -1, LIMIT),
    ("limit_train_batches", 1.5, LIMIT),
    ("limit_train_batches", True, LIMIT),
    ("limit_train_batches", "all", LIMIT),
    ("limit_val_batches", -0.1, LIMIT),
    ("limit_test_batches", 2.0, LIMIT),
    ("limit_predict_batches", [1], LIMIT),
    ("overfit_batches", 1.01, LIMIT),
    ("val_check_interval", 0, "expected a number of batches (an int from 1 on) or a fraction of an epoch"),
    ("val_check_interval", 0.0, "(a float above 0.0, up to 1.0)"),
    ("val_check_interval", 1.5, "(a float above 0.0, up to 1.0)"),
    ("val_check_interval", True, "expected a number of batches"),
    ("val_check_interval", "12:00:00", "expected 'DD:HH:MM:SS'"),
    ("val_check_interval", {"moons": 1}, "expected 'DD:HH:MM:SS'"),
    ("val_check_interval", timedelta(seconds=-1), "expected a duration from 0 on"),
    ("check_val_every_n_epoch", 0, f"{WHOLE} 1 on."),
    ("num_sanity_val_steps", -2, f"{WHOLE} -1 on, or -1 for all."),
    ("log_every_n_steps", 0, f"{WHOLE} 1 on."),
    ("accumulate_grad_batches", 0, f"{WHOLE} 1 on."),
    ("accumulate_grad_batches", {0: 2}, f"{WHOLE} 1 on."),
    ("gradient_clip_val", -1.0, "expected a number from 0 on, or None."),
    ("gradient_clip_val", "0.5", "expected a number from 0 on, or None."),
    ("gradient_clip_val", float("nan"), "expected a number from 0 on, or None."),
    ("gradient_clip_algorithm", "cosine", "expected one of None, 'norm', 'value'."),
    ("deterministic", "yes", "expected one of None, True, False, 'warn'."),
    ("deterministic", 1, "expected one of None, True, False, 'warn'."),
    ("benchmark", "on", "expected one of None, True, False."),
    ("detect_anomaly", "False", "expected one of True, False."),
    ("inference_mode", "False", "expected one of True, False."),
    ("use_distributed_sampler", None, "expected one of True, False."),
    ("sync_batchnorm", 1, "expected one of True, False."),
    ("barebones", "no", "expected one of True, False."),
    ("enable_autolog_hparams", "no", "expected one of True, False."),
    ("enable_checkpointing", "no", "expected one of None, True, False."),
    ("enable_progress_bar", 0, "expected one of None, True, False."),
    ("enable_model_summary", "no", "expected one of None, True, False."),
    ("reload_dataloaders_every_n_epochs", -1, f"{WHOLE} 0 on."),
    ("num_nodes", 0, f"{WHOLE} 1 on."),
    ("devices", 0, "on CPUs: expected 'auto' or -1 for one process, or how many processes to train with, 1 or more."),
    ("devices", -2, "how many processes to train with, 1 or more."),
    ("devices", "two", "how many processes to train with"),
    ("devices", [3], "how many processes to train with"),
    ("devices", [0, 0], "how many processes to train with"),
    ("strategy", "dpp", "Did you mean 'ddp'?"),
    ("strategy", 3, "expected a name or a Strategy. Known: auto, single_device, ddp,"),
    ("precision", "8-true", "'8-true'"),
    ("profiler", "stethoscope", "expected 'simple', 'advanced', 'pytorch', a Profiler or None."),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG, ids=[f"{name}={value!r}" for name, value, _ in WRONG])
def test_a_wrong_value_is_refused_with_what_was_expected(name, value, words):
    with pytest.raises(L.ConfigurationError) as caught:
        L.Trainer(**{**QUIET, name: value})

    assert words in str(caught.value)
    assert f"{name}={value!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "logger",
            "csv",
            "Trainer(logger=...) was given 'c' of type str. Expected a Logger, a list of them, True or False.",
        ),
        ("logger", 3, "Trainer(logger=...) was given 3 of type int."),
        ("callbacks", 3, "Trainer(callbacks=...) was given 3 of type int. Expected instances of leyden.Callback."),
        ("callbacks", [ModelCheckpoint], "of type type. Expected instances of leyden.Callback."),
        (
            "plugins",
            "ddp",
            "Trainer(plugins=...) was given 'ddp' of type str. Expected a Precision, an AsyncCheckpointIO or 'async_",
        ),
    ],
)
def test_an_object_of_another_kind_is_refused(name, value, words):
    with pytest.raises(L.ConfigurationError) as caught:
        L.Trainer(**{**QUIET, name: value})

    assert words in str(caught.value)


@pytest.mark.parametrize("value", [-1, 0, 5])
def test_a_limit_of_epochs_is_kept(value):
    assert L.Trainer(**QUIET, max_epochs=value).max_epochs == value


@pytest.mark.parametrize(
    ("options", "epochs"),
    [({}, 1000), ({"max_steps": 5}, -1), ({"max_time": "00:01:00:00"}, -1), ({"max_epochs": 2, "max_steps": 5}, 2)],
    ids=str,
)
def test_a_fit_without_any_limit_has_one_of_1000_epochs(options, epochs):
    assert L.Trainer(**QUIET, **options).max_epochs == epochs


@pytest.mark.parametrize(
    "value", ["01:02:03:04", timedelta(days=1, hours=2, minutes=3, seconds=4), {"hours": 26, "seconds": 184}]
)
def test_a_time_can_be_told_in_three_ways(value):
    assert L.Trainer(**QUIET, max_time=value).max_time == timedelta(days=1, hours=2, minutes=3, seconds=4)


def test_an_unknown_option_is_refused_with_the_closest_one():
    with pytest.raises(L.ConfigurationError) as caught:
        L.Trainer(max_epoch=3)

    assert (
        str(caught.value) == "Trainer takes no argument 'max_epoch' (given as max_epoch=3). Did you mean 'max_epochs'?"
    )


def test_an_option_like_no_other_is_refused_with_all_there_are():
    with pytest.raises(L.ConfigurationError, match=r"'zzz'.*It takes: accelerator, accumulate_grad_batches, "):
        L.Trainer(zzz=3)


def test_a_model_given_to_the_constructor_is_refused():
    with pytest.raises(L.ConfigurationError, match=r"(?s)Trainer takes arguments by name only.* pass the model to fit"):
        L.Trainer(TinyModule())


@pytest.mark.parametrize(
    ("option", "callback"), [("enable_checkpointing", ModelCheckpoint()), ("enable_model_summary", ModelSummary())]
)
def test_a_callback_and_its_absence_cannot_both_be_asked_for(option, callback):
    with pytest.raises(L.ConfigurationError) as caught:
        L.Trainer(**QUIET, callbacks=[callback])

    name = type(callback).__name__
    assert (
        str(caught.value)
        == f"Trainer({option}=False) was given together with the callback {name}. Drop one of the two."
    )


def test_two_precisions_are_one_too_many():
    with pytest.raises(L.ConfigurationError, match="two precisions"):
        L.Trainer(**QUIET, precision="64-true", plugins=[TruePrecision("64-true", torch.float64)])


def test_a_precision_may_be_given_as_a_plugin():
    trainer = L.Trainer(**QUIET, plugins=[TruePrecision("64-true", torch.float64)])

    assert trainer.precision == "64-true"


def test_a_wrong_option_leaves_no_files(tmp_path):
    with pytest.raises(L.ConfigurationError):
        L.Trainer(default_root_dir=tmp_path, max_epochs="many")

    assert os.listdir(tmp_path) == []


# --- barebones --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        {"logger": True},
        {"enable_checkpointing": True},
        {"enable_progress_bar": True},
        {"enable_model_summary": True},
        {"num_sanity_val_steps": 1},
        {"log_every_n_steps": 1},
        {"fast_dev_run": True},
        {"profiler": "simple"},
        {"detect_anomaly": True},
    ],
    ids=str,
)
def test_barebones_refuses_what_costs(option):
    ((name, value),) = option.items()

    with pytest.raises(L.ConfigurationError) as caught:
        L.Trainer(barebones=True, **option)

    assert str(caught.value) == (
        f"Trainer(barebones=True, {name}={value!r}): barebones switches off everything that costs, to measure the bare "
        f"loop. Leave out {name}, or barebones."
    )


def test_barebones_logs_nothing_and_gives_log_back_afterwards():
    module, trainer = TinyModule(), L.Trainer(accelerator="cpu", barebones=True, max_epochs=1)

    trainer.fit(module, TinyData())

    assert trainer.callback_metrics == {}
    assert not {"log", "log_dict"} & vars(module).keys()


# --- old spellings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "spelling", "attribute", "value"),
    [
        ({"gpus": 0}, "accelerator='cpu'", "num_devices", 1),
        ({"num_processes": 1}, "accelerator='cpu', devices=1", "num_devices", 1),
        ({"checkpoint_callback": False}, "enable_checkpointing=False", "checkpoint_callbacks", []),
        ({"progress_bar_refresh_rate": 0}, "enable_progress_bar=False", "progress_bar_callback", None),
        (
            {"progress_bar_refresh_rate": 20},
            "enable_progress_bar=..., or callbacks=[RichProgressBar(refresh_rate=...)]",
            "max_epochs",
            1000,
        ),
        ({"weights_summary": None}, "enable_model_summary=False", "max_epochs", 1000),
        ({"terminate_on_nan": True}, "detect_anomaly=True", "detect_anomaly", True),
        ({"distributed_backend": None}, "strategy='auto'", "world_size", 1),
        ({"replace_sampler_ddp": False}, "use_distributed_sampler=False", "use_distributed_sampler", False),
        ({"max_nb_epochs": 3}, "max_epochs=3", "max_epochs", 3),
        ({"min_nb_epochs": 3}, "min_epochs=3", "min_epochs", 3),
        ({"train_percent_check": 0.5}, "limit_train_batches=0.5", "limit_train_batches", 0.5),
        ({"val_percent_check": 0.5}, "limit_val_batches=0.5", "limit_val_batches", 0.5),
        ({"test_percent_check": 0.5}, "limit_test_batches=0.5", "limit_test_batches", 0.5),
        ({"overfit_pct": 0.5}, "overfit_batches=0.5", "overfit_batches", 0.5),
        (
            {"reload_dataloaders_every_epoch": True},
            "reload_dataloaders_every_n_epochs=1",
            "reload_dataloaders_every_n_epochs",
            1,
        ),
    ],
    ids=str,
)
def test_an_old_spelling_works_and_warns_once_with_the_new_one(option, spelling, attribute, value):
    ((name, old),) = option.items()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainers = [L.Trainer(logger=False, **option) for _ in range(2)]

    assert [str(each.message) for each in caught if each.category is DeprecationWarning] == [
        f"Trainer({name}={old!r}) is an old spelling: use Trainer({spelling})."
    ]
    assert getattr(trainers[1], attribute) == value


def test_every_old_spelling_is_tested():
    marks = test_an_old_spelling_works_and_warns_once_with_the_new_one.pytestmark
    tested = {name for mark in marks for option, *_ in mark.args[1] for name in option}

    assert tested == set(LEGACY)


def test_a_new_spelling_wins_over_an_old_one():
    with pytest.warns(DeprecationWarning, match="max_nb_epochs=3"):
        trainer = L.Trainer(**QUIET, max_epochs=5, max_nb_epochs=3)

    assert trainer.max_epochs == 5


def test_an_accelerator_that_is_not_there_is_refused_in_the_old_spelling_too():
    with (
        pytest.warns(DeprecationWarning, match=r"use Trainer\(accelerator='gpu', devices=\[99\]\)"),
        pytest.raises(L.ConfigurationError, match=r"torch finds no such device here|there are \d+ devices"),
    ):
        L.Trainer(gpus=[99])


@pytest.mark.parametrize(
    "option", ["amp_backend", "flush_logs_every_n_steps", "move_metrics_to_cpu", "process_position"]
)
def test_an_option_without_effect_warns(option):
    with pytest.warns(DeprecationWarning, match=rf"Trainer\({option}=1\) no longer has any effect: leave it out\."):
        L.Trainer(**QUIET, **{option: 1})


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("resume_from_checkpoint", "Pass the path to fit: trainer.fit(model, ckpt_path=...)."),
        ("auto_lr_find", "Choose the learning rate in the config or with a sweep."),
        ("auto_scale_batch_size", "Choose the batch size in the config."),
        ("track_grad_norm", "Log it in on_before_optimizer_step."),
        ("tpu_cores", "TPUs are not supported."),
        ("stochastic_weight_avg", "Use torch.optim.swa_utils in your module."),
    ],
)
def test_an_option_that_is_gone_is_refused_with_what_to_do(option, remedy):
    with pytest.raises(L.ConfigurationError) as caught:
        L.Trainer(**QUIET, **{option: 1})

    assert str(caught.value) == f"Trainer({option}=1) is gone. {remedy}"


# --- hooks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "remedy"),
    [
        ("training_epoch_end", "use it in on_train_epoch_end(self)."),
        ("validation_epoch_end", "use it in on_validation_epoch_end(self)."),
        ("test_epoch_end", "use it in on_test_epoch_end(self)."),
        ("training_step_end", "Move its body to the end of training_step."),
        ("on_epoch_end", "Use on_train_epoch_end, on_validation_epoch_end or on_test_epoch_end."),
        ("on_pretrain_routine_start", "Use on_fit_start."),
        ("on_hpc_save", "Use on_save_checkpoint."),
        ("tbptt_split_batch", "Use manual optimisation"),
    ],
)
def test_a_removed_hook_of_a_module_is_refused_with_what_to_do(hook, remedy):
    module = type("Old", (TinyModule,), {hook: lambda self, *args: None})()

    with pytest.raises(L.ConfigurationError) as caught:
        L.Trainer(**QUIET, max_epochs=1).fit(module, TinyData())

    assert f"Old.{hook} is a hook that no longer exists, so it would never be called." in str(caught.value)
    assert f"defined at: {__file__}:" in str(caught.value)
    assert remedy in str(caught.value)


class CallsItself(TinyModule):
    """Has a method with the name of a removed hook, and calls it."""

    called = 0

    def on_epoch_end(self):
        self.called += 1

    def on_train_epoch_end(self):
        self.on_epoch_end()


def test_a_method_with_the_name_of_a_removed_hook_that_its_class_calls_is_no_dead_code():
    module = CallsItself()

    L.Trainer(**QUIET, max_epochs=2).fit(module, TinyData())

    assert module.called == 2


@pytest.mark.parametrize("hook", ["on_epoch_start", "on_batch_end", "on_init_end", "on_keyboard_interrupt"])
def test_a_removed_hook_of_a_callback_is_refused(hook):
    callback = type("Old", (L.Callback,), {hook: lambda self, *args: None})()

    with pytest.raises(L.ConfigurationError, match=rf"Old\.{hook} is a hook that no longer exists"):
        L.Trainer(**QUIET, callbacks=callback)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("on_train_bach_end", "on_train_batch_end"),
        ("on_validation_epoch_ends", "on_validation_epoch_end"),
        ("on_save_checkpoints", "on_save_checkpoint"),
        ("on_before_optimiser_step", "on_before_optimizer_step"),
        ("on_afer_backward", "on_after_backward"),
    ],
)
def test_a_misspelt_hook_is_refused_with_the_right_spelling(wrong, right):
    module = type("Typo", (TinyModule,), {wrong: lambda self, *args: None})()

    with pytest.raises(L.ConfigurationError) as caught:
        L.Trainer(**QUIET, max_epochs=1).fit(module, TinyData())

    assert f"Typo.{wrong} is not a hook, so it would never be called." in str(caught.value)
    assert f"Did you mean {right!r}?" in str(caught.value)
    assert "If it is a method of your own, rename it without the 'on_' prefix." in str(caught.value)


def test_a_misspelt_hook_of_a_callback_is_refused_when_the_trainer_is_made():
    callback = type("Typo", (L.Callback,), {"on_train_bach_end": lambda self, *args: None})()

    with pytest.raises(L.ConfigurationError, match="Did you mean 'on_train_batch_end'"):
        L.Trainer(**QUIET, callbacks=callback)


def test_a_method_that_resembles_no_hook_is_a_method():
    class Named(TinyModule):
        def on_the_way(self):
            return 1

    trainer = L.Trainer(**QUIET, max_epochs=1)

    trainer.fit(Named(), TinyData())

    assert trainer.global_step == 2


# --- what a stage needs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "step"), [("fit", "training_step"), ("validate", "validation_step"), ("test", "test_step")]
)
def test_a_stage_without_its_step_is_refused(stage, step):
    module = type("Lacks", (TinyModule,), {step: getattr(L.LightningModule, step)})()

    with pytest.raises(L.ConfigurationError) as caught:
        getattr(L.Trainer(**QUIET), stage)(module, TinyData())

    assert str(caught.value) == f"Lacks has no {step}, so that {stage}() has nothing to do. Define it."


@pytest.mark.parametrize(
    ("stage", "kind"), [("fit", "train"), ("validate", "val"), ("test", "test"), ("predict", "predict")]
)
def test_a_stage_without_data_is_refused(stage, kind):
    with pytest.raises(L.ConfigurationError) as caught:
        getattr(L.Trainer(**QUIET), stage)(TinyModule())

    assert str(caught.value) == (
        f"{stage}() has no data: no loader was passed, and neither the data module nor TinyModule has a "
        f"{kind}_dataloader. Pass a loader or a data module, or define it."
    )


def test_a_model_that_is_no_module_is_refused():
    with pytest.raises(
        L.ConfigurationError, match=r"fit\(\) needs a LightningModule; got .*Derive the model from leyden"
    ):
        L.Trainer(**QUIET).fit(torch.nn.Linear(1, 1))


def test_loaders_and_a_data_module_at_once_are_refused():
    with pytest.raises(L.ConfigurationError, match="loaders and a data module were given at the same time"):
        L.Trainer(**QUIET).fit(TinyModule(), TinyData().train_dataloader(), datamodule=TinyData())


def test_a_refused_stage_has_touched_nothing():
    logger, module = RecordingLogger(), TinyModule()
    trainer = L.Trainer(**{**QUIET, "logger": logger})

    with pytest.raises(L.ConfigurationError):
        trainer.fit(module)

    assert (logger.rows, logger.statuses, trainer.state.fn) == ([], [], None)
