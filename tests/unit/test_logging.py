"""`self.log` accepts what makes sense, says why it refuses the rest, and sends each value where it belongs."""

from __future__ import annotations

import re
import warnings

import pytest
import torch
import torchmetrics
from torch.utils.data import DataLoader, TensorDataset

import leyden as L
from leyden.testing import RecordingLogger, TinyData, TinyModule


def trainer_with(logger=False, **options):
    return L.Trainer(
        **{
            "accelerator": "cpu",
            "max_epochs": 1,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            "logger": logger,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            **options,
        }
    )


def logging_in(hook, *args, **kwargs):
    """Return a module that logs once, in *hook*."""

    def logs(self, *given, **named):
        self.log(*args, **kwargs)
        return getattr(TinyModule, hook)(self, *given, **named)

    return type("Logs", (TinyModule,), {hook: logs})()


def refusal(module, data=None, **options):
    """Return the words with which a fit of *module* is refused."""
    with pytest.raises(L.ConfigurationError) as caught:
        trainer_with(**options).fit(module, data or TinyData())
    return str(caught.value)


def rows_of(module, data=None, **options):
    """Return the rows of a fit of *module*."""
    logger = RecordingLogger()
    trainer_with(logger, **options).fit(module, data or TinyData())
    return logger


# --- values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": 1.0, "b": 2.0}, "'name' was logged with a dict of 2 values. Use self.log_dict(...)"),
        ("text", "'name' was logged with a value of type str: 'text'. Expected a number, a one-element tensor or a"),
        (None, "'name' was logged with a value of type NoneType: None."),
        ([1.0], "'name' was logged with a value of type list: [1.0]."),
        (torch.ones(2, 3), "'name' was logged with a tensor of shape (2, 3). Expected one element: reduce it first"),
        (torch.ones(0), "'name' was logged with a tensor of shape (0,)."),
    ],
)
def test_a_value_that_is_no_number_is_refused(value, words):
    assert words in refusal(logging_in("training_step", "name", value))


@pytest.mark.parametrize(
    "value", [1, 1.0, True, torch.tensor(1.0), torch.ones(1, 1), torch.tensor(1, dtype=torch.int8)]
)
def test_a_value_that_is_one_number_is_logged(value):
    logger = rows_of(logging_in("on_train_epoch_end", "name", value))

    assert logger.column("name") == [(1, 1.0)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.float32])
def test_a_value_is_kept_in_32_bits_or_more(dtype):
    trainer = trainer_with()

    trainer.fit(logging_in("on_train_epoch_end", "name", torch.ones((), dtype=dtype)), TinyData())

    assert trainer.callback_metrics["name"].dtype == torch.float32


def test_a_double_stays_one():
    trainer = trainer_with()

    trainer.fit(logging_in("on_train_epoch_end", "name", torch.ones((), dtype=torch.float64)), TinyData())

    assert trainer.callback_metrics["name"].dtype == torch.float64


def test_a_logged_tensor_may_be_changed_afterwards():
    class Changes(TinyModule):
        def training_step(self, batch, batch_idx):
            value = torch.tensor(1.0)
            self.log("name", value, on_step=True, on_epoch=True)
            value += 1
            return super().training_step(batch, batch_idx)

    logger = rows_of(Changes())

    assert [value for _, value in logger.column("name_step") + logger.column("name_epoch")] == [1.0, 1.0, 1.0]


def test_a_logged_loss_keeps_no_graph():
    trainer = trainer_with()

    trainer.fit(TinyModule(), TinyData())

    assert not trainer.callback_metrics["train_loss"].requires_grad


# --- arguments ------------------------------------------------------------------------------------------


def test_a_value_for_no_level_is_refused():
    words = refusal(logging_in("training_step", "name", 1.0, on_step=False, on_epoch=False))

    assert (
        words
        == "self.log(on_step=False, on_epoch=False) inside training_step would log nothing. Switch on at least one."
    )


@pytest.mark.parametrize("hook", ["on_train_epoch_end", "on_train_start", "on_validation_epoch_start"])
def test_a_value_of_a_step_is_refused_where_there_is_no_step(hook):
    words = refusal(logging_in(hook, "name", 1.0, on_step=True))

    assert words == (
        f"self.log(on_step=True, on_epoch=True) cannot be called inside {hook}, which sees no step. "
        "Leave both out, or pass on_step=False, on_epoch=True."
    )


@pytest.mark.parametrize("reduction", ["median", torch.median, 3])
def test_an_unknown_reduction_is_refused(reduction):
    words = refusal(logging_in("training_step", "name", 1.0, on_epoch=True, reduce_fx=reduction))

    assert words.startswith(f"reduce_fx={reduction!r} of 'name' is not known. Expected one of: mean, sum, min, max.")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "self.log() was given the name ''. Expected a non-empty string."),
        (3, "self.log() was given the name 3. Expected a non-empty string."),
        ("a/dataloader_idx_1", "but /dataloader_idx_<i> is added by the engine. Leave it out."),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(name, words):
    assert words in refusal(logging_in("training_step", name, 1.0))


def test_a_name_logged_twice_with_other_arguments_is_refused():
    class Twice(TinyModule):
        def training_step(self, batch, batch_idx):
            self.log("name", 1.0, on_epoch=True)
            self.log("name", 1.0, on_epoch=False)

    assert refusal(Twice()) == (
        "'name' was logged twice in training_step with different arguments. "
        "Log it once, or give the second one a name of its own."
    )


def test_two_spellings_of_one_reduction_are_no_difference():
    class Twice(TinyModule):
        def training_step(self, batch, batch_idx):
            for reduction in (max, "max", torch.max):
                self.log("name", float(batch_idx), on_step=False, on_epoch=True, reduce_fx=reduction)
            return super().training_step(batch, batch_idx)

    assert rows_of(Twice()).column("name") == [(1, 1.0)]


# --- places -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hook",
    "prepare_data setup configure_model configure_optimizers on_fit_start on_before_batch_transfer "
    "transfer_batch_to_device on_after_batch_transfer on_validation_model_eval on_validation_end lr_scheduler_step "
    "on_train_end on_fit_end teardown".split(),
)
def test_logging_where_no_step_or_epoch_runs_is_refused(hook):
    words = refusal(logging_in(hook, "name", 1.0))

    assert re.match(
        r"self\.log\(\) cannot be called inside \w+: its value would belong to no step and no epoch\.", words
    )
    assert words.endswith("Log in a step or in an epoch hook, or write to self.logger directly.")


@pytest.mark.parametrize("hook", ["predict_step", "on_predict_start", "on_predict_batch_end", "on_predict_epoch_end"])
def test_logging_while_predicting_is_refused(hook):
    with pytest.raises(L.ConfigurationError, match=rf"self\.log\(\) cannot be called inside {hook}"):
        trainer_with().predict(logging_in(hook, "name", 1.0), TinyData())


def test_logging_outside_of_a_run_warns_and_does_nothing():
    module = TinyModule()

    with pytest.warns(UserWarning, match=r"self\.log\(\) was called outside of a run and did nothing: .*TinyModule"):
        module.log("name", 1.0)


def test_logging_after_a_run_warns_and_does_nothing():
    module, trainer = TinyModule(), trainer_with()
    trainer.fit(module, TinyData())

    with pytest.warns(UserWarning, match="outside of a run"):
        module.log("name", 1.0)

    assert "name" not in trainer.callback_metrics


def test_a_callback_outside_of_a_run_cannot_log():
    with pytest.raises(RuntimeError, match=r"Callback\.log\('name', \.\.\.\) was called outside of a run"):
        L.Callback().log("name", 1.0)


# --- levels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "rows"),
    [
        ("training_step", [0, 1]),
        ("on_train_batch_start", [0, 1]),
        ("on_before_backward", [0, 1]),
        ("on_before_optimizer_step", [0, 1]),
        ("on_train_batch_end", [0, 1]),
        ("on_train_start", [1]),
        ("on_train_epoch_start", [1]),
        ("on_train_epoch_end", [1]),
        ("validation_step", [1]),
        ("on_validation_batch_start", [1]),
        ("on_validation_epoch_end", [1]),
    ],
)
def test_each_hook_has_its_level(hook, rows):
    logger = rows_of(logging_in(hook, "name", 1.0))

    assert [step for step, _ in logger.column("name")] == rows


def test_a_value_of_both_levels_has_two_names_in_rows_and_three_for_callbacks():
    class Both(TinyModule):
        def training_step(self, batch, batch_idx):
            self.log("name", float(batch_idx), on_step=True, on_epoch=True, prog_bar=True)
            return super().training_step(batch, batch_idx)

        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.during = {name: float(value) for name, value in self.trainer.callback_metrics.items()}

    module, logger = Both(), RecordingLogger()
    trainer = trainer_with(logger)

    trainer.fit(module, TinyData())

    assert logger.column("name_step") == [(0, 0.0), (1, 1.0)]
    assert logger.column("name_epoch") == [(1, 0.5)]
    assert module.during["name"] == module.during["name_step"] == 1.0
    assert trainer.callback_metrics["name"] == trainer.callback_metrics["name_epoch"] == 0.5
    assert set(trainer.progress_bar_metrics) == {"name_step", "name_epoch"}


def test_values_of_evaluation_steps_are_for_loggers_only():
    class Steps(TinyModule):
        def validation_step(self, batch, batch_idx):
            self.log("name", 1.0, on_step=True, on_epoch=True)

    logger = RecordingLogger()
    trainer = trainer_with(logger)

    trainer.fit(Steps(), TinyData())

    assert logger.column("name_step") == [(1, 1.0)]
    assert set(trainer.callback_metrics) == {"train_loss", "name", "name_epoch"}


@pytest.mark.parametrize(("reduction", "expected"), [("mean", 1.5), ("sum", 6.0), ("min", 0.0), ("max", 3.0)])
def test_an_epoch_is_reduced_as_asked(reduction, expected):
    class Reduces(TinyModule):
        def training_step(self, batch, batch_idx):
            self.log("name", float(batch_idx), on_step=False, on_epoch=True, reduce_fx=reduction)
            return super().training_step(batch, batch_idx)

    assert rows_of(Reduces(), TinyData(train=4)).column("name") == [(3, expected)]


def test_one_name_from_two_hooks_is_two_values():
    class Two(TinyModule):
        def training_step(self, batch, batch_idx):
            self.log("name", float(batch_idx))
            return super().training_step(batch, batch_idx)

        def on_train_epoch_end(self):
            self.log("name", 7.0)

    assert rows_of(Two()).column("name") == [(0, 0.0), (1, 1.0), (1, 7.0)]


def test_a_value_hidden_from_loggers_can_still_be_monitored():
    logger = RecordingLogger()
    trainer = trainer_with(logger)

    trainer.fit(logging_in("on_train_epoch_end", "name", 1.0, logger=False), TinyData())

    assert logger.column("name") == []
    assert trainer.callback_metrics["name"] == 1.0


def test_a_value_called_step_moves_the_row():
    class Moves(TinyModule):
        def on_train_epoch_end(self):
            self.log("step", 100.0)
            self.log("name", 1.0)

    assert rows_of(Moves()).column("name") == [(100, 1.0)]


def test_rows_are_written_every_n_steps_and_values_in_between_are_not():
    logger = rows_of(TinyModule(), TinyData(train=6), log_every_n_steps=3)

    assert [step for step, _ in logger.column("train_loss")] == [2, 5]


# --- batch sizes -----------------------------------------------------------------------------------------


class Index(TinyModule):
    """Log the batch's index, averaged over the epoch."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def training_step(self, batch, batch_idx):
        self.log("name", float(batch_idx), on_step=False, on_epoch=True, **self.options)
        return self.layer(torch.ones(1, 2)).sum()


def batches(*trees):
    """A loader that gives *trees*, whatever they are."""
    return DataLoader(list(trees), batch_size=None, collate_fn=lambda tree: tree)


def test_a_mean_is_weighted_by_the_batch_size():
    trainer = trainer_with()

    trainer.fit(Index(), DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=3))

    assert trainer.callback_metrics["name"] == 0.25


def test_a_given_batch_size_wins_over_the_one_found():
    trainer = trainer_with()

    trainer.fit(Index(batch_size=5), DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=3))

    assert trainer.callback_metrics["name"] == 0.5


@pytest.mark.parametrize("content", [1, "text", ["two", "texts"]])
def test_a_batch_without_a_tensor_has_no_size(content):
    with pytest.raises(L.ConfigurationError) as caught:
        trainer_with().fit(Index(), batches({"content": content}))

    assert str(caught.value) == (
        "no batch size was found for 'name': the batch (a dict) holds no tensor. "
        "Pass it: self.log(..., batch_size=...)."
    )


def test_a_batch_size_that_is_given_need_not_be_found():
    trainer = trainer_with()

    trainer.fit(Index(batch_size=1), batches({"text": "a"}))

    assert trainer.callback_metrics["name"] == 0.0


def test_tensors_of_different_sizes_make_the_batch_size_ambiguous():
    with pytest.warns(UserWarning, match="batch size is ambiguous, as the tensors of the batch differ .* took 2"):
        trainer_with().fit(Index(), batches([torch.ones(2, 2), torch.ones(3)]))


def test_the_batch_size_is_not_looked_for_where_it_does_not_matter():
    class Steps(Index):
        def training_step(self, batch, batch_idx):
            self.log("step_only", 1.0)
            self.log("largest", 1.0, on_step=False, on_epoch=True, reduce_fx="max")
            return self.layer(torch.ones(1, 2)).sum()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer_with().fit(Steps(), batches([torch.ones(2, 2), torch.ones(3)], {"text": "a"}))


# --- several loaders ---------------------------------------------------------------------------------------


class TwoLoaders(TinyModule):
    """Log the index of the loader, under one name and under names of its own."""

    def val_dataloader(self):
        return [TinyData().val_dataloader() for _ in range(2)]

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("name", float(dataloader_idx))
        self.log(f"own_{dataloader_idx}", float(dataloader_idx), add_dataloader_idx=False)

    def on_validation_epoch_end(self):
        self.log("shared", 3.0)


def test_several_loaders_are_told_apart_by_their_index():
    found = trainer_with().validate(TwoLoaders(), verbose=False)

    assert found == [
        {"name/dataloader_idx_0": 0.0, "own_0": 0.0, "shared": 3.0},
        {"name/dataloader_idx_1": 1.0, "own_1": 1.0, "shared": 3.0},
    ]


def test_one_name_for_several_loaders_without_an_index_keeps_the_last():
    class Clash(TwoLoaders):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            self.log("name", float(dataloader_idx), add_dataloader_idx=False)

    trainer = trainer_with()

    trainer.validate(Clash(), verbose=False)

    assert trainer.callback_metrics["name"] == 1.0


# --- metric objects ----------------------------------------------------------------------------------------


class Counts(TinyModule):
    """Log a metric object: the sum of the batch indices."""

    def __init__(self):
        super().__init__()
        self.count = torchmetrics.SumMetric()

    def training_step(self, batch, batch_idx):
        self.count(batch_idx)
        self.log("count", self.count, on_step=True, on_epoch=True)
        return super().training_step(batch, batch_idx)


def test_a_metric_object_gives_the_value_of_the_step_and_the_total_of_the_epoch():
    logger = rows_of(Counts(), TinyData(train=3))

    assert logger.column("count_step") == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert logger.column("count_epoch") == [(2, 3.0)]


def test_a_metric_object_is_reset_after_the_epoch():
    logger = rows_of(Counts(), TinyData(train=3), max_epochs=2)

    assert logger.column("count_epoch") == [(2, 3.0), (5, 3.0)]


def test_a_metric_object_that_computes_several_values_is_refused():
    class Several(torchmetrics.SumMetric):
        def compute(self):
            return {"a": super().compute()}

    module = Counts()
    module.count = Several()

    assert (
        "compute() of the metric logged as 'count' returned dict; a logged metric must compute one tensor."
        in refusal(module)
    )


def test_a_collection_of_metrics_is_logged_under_the_names_of_its_members():
    class Collects(TinyModule):
        def __init__(self):
            super().__init__()
            self.both = torchmetrics.MetricCollection(
                {"sum": torchmetrics.SumMetric(), "mean": torchmetrics.MeanMetric()}, prefix="index_"
            )

        def training_step(self, batch, batch_idx):
            self.both(torch.tensor(float(batch_idx)))
            self.log_dict(self.both, on_step=False, on_epoch=True)
            return super().training_step(batch, batch_idx)

    logger = rows_of(Collects())

    assert logger.column("index_sum") == [(1, 1.0)]
    assert logger.column("index_mean") == [(1, 0.5)]


# --- cost ---------------------------------------------------------------------------------------------------


def test_nothing_is_read_from_the_device_before_a_row_is_due():
    class Unreadable(torch.Tensor):
        """A tensor that cannot be turned into a number."""

        def item(self):
            raise AssertionError("read too early")

        __float__ = __bool__ = __int__ = tolist = item

    class Logs(TinyModule):
        def training_step(self, batch, batch_idx):
            self.log("name", torch.tensor(1.0).as_subclass(Unreadable), on_step=True, on_epoch=True, prog_bar=True)
            return super().training_step(batch, batch_idx)

    logger = RecordingLogger()

    with pytest.raises(AssertionError, match="read too early"):
        trainer_with(logger, log_every_n_steps=3).fit(Logs(), TinyData(train=4))

    assert logger.rows == []
