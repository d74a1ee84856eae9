"""A profiler names and counts what a run does, writes where it is told to, and costs nothing where there is none."""

from __future__ import annotations

import json
import pickle
import pstats

import pytest
import torch

from leyden import Callback, ConfigurationError, Trainer
from leyden.profilers import AdvancedProfiler, PassThroughProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from leyden.testing import TinyData, TinyModule

STEP = "[TinyModule] training_step"


def trainer_with(profiler, **options):
    """A quiet trainer of two batches and one epoch."""
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger"), False)
    return Trainer(profiler=profiler, accelerator="cpu", **({**quiet, "max_epochs": 1} | options))


class Blocks(TinyModule):
    """Measures a block of its own."""

    def training_step(self, batch, batch_idx):
        with self.trainer.profiler.profile("my block") as name:
            self.heard = name
            return super().training_step(batch, batch_idx)


class ByShortStep(TinyModule):
    """Has steps that take less than the engine offers, and more."""

    def validation_step(self, batch):
        return None

    def test_step(self, batch, batch_idx, dataloader_idx=0):
        self.loaders = {*getattr(self, "loaders", ()), dataloader_idx}


class Recorder(Profiler):
    """Written as Lightning's documentation says: the three methods of the contract, and no constructor."""

    def __init__(self):
        super().__init__(dirpath="somewhere", filename=None)
        self.heard = []

    def start(self, action_name):
        self.heard.append(action_name)

    def stop(self, action_name):
        self.heard.append(f"/{action_name}")


# --- no profiler -----------------------------------------------------------------------------


def test_a_module_may_profile_a_block_although_nobody_asked_for_a_profiler():
    trainer, module = trainer_with(None), Blocks()

    trainer.fit(module, TinyData())

    assert isinstance(trainer.profiler, PassThroughProfiler)
    assert module.heard == "my block"


def test_without_a_profiler_the_engine_holds_none():
    seen = []

    class Look(Callback):
        def on_train_start(self, trainer, pl_module):
            seen.append(trainer._session.profiler)

    trainer_with(None, callbacks=Look()).fit(TinyModule(), TinyData())

    assert seen == [None]


# --- the contract ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"), [("simple", SimpleProfiler), ("advanced", AdvancedProfiler), ("pytorch", PyTorchProfiler)]
)
def test_a_profiler_is_chosen_by_its_name(name, kind):
    assert type(trainer_with(name).profiler) is kind


def test_a_profiler_of_the_user_hears_actions_open_and_close_like_brackets():
    profiler = Recorder()

    trainer_with(profiler).fit(TinyModule(), TinyData())

    running = []
    for name in profiler.heard:
        if name.startswith("/"):
            assert running.pop() == name[1:]
        else:
            running.append(name)
    assert running == []
    assert profiler.heard.count(STEP) == 2
    assert profiler.heard.index("run_training_batch") < profiler.heard.index(STEP)


def test_a_measured_step_takes_what_it_took_before():
    module = ByShortStep()
    trainer = trainer_with("simple")

    trainer.validate(module, TinyData(), verbose=False)
    trainer.test(module, [TinyData().val_dataloader(), TinyData().val_dataloader()], verbose=False)

    assert module.loaders == {0, 1}


def test_every_kind_of_step_is_measured():
    profiler = SimpleProfiler()
    trainer = trainer_with(profiler, num_sanity_val_steps=0)

    trainer.fit(TinyModule(), TinyData())
    trainer.test(TinyModule(), TinyData(), verbose=False)
    trainer.predict(TinyModule(), TinyData())

    steps = {name for name in profiler.recorded_durations if name.endswith("_step")}
    assert steps == {f"[TinyModule] {kind}_step" for kind in ("training", "validation", "test", "predict")}


def test_waiting_for_data_is_an_action():
    profiler = SimpleProfiler()

    trainer_with(profiler).fit(TinyModule(), TinyData())

    assert len(profiler.recorded_durations["train_dataloader_next"]) == 3  # two batches, and the end


@pytest.mark.parametrize("kind", [SimpleProfiler, AdvancedProfiler, PyTorchProfiler, PassThroughProfiler])
def test_a_profiler_that_was_used_can_be_pickled(kind):
    profiler = kind()
    trainer_with(profiler).fit(TinyModule(), TinyData())

    copy = pickle.loads(pickle.dumps(profiler))

    assert type(copy) is kind


# --- reports -------------------------------------------------------------------------------------


def test_a_report_is_printed_at_the_end_of_a_stage(capsys):
    trainer_with("simple").fit(Blocks(), TinyData())

    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == ["Action", "Mean", "ms", "Total", "s", "Calls", "%"]
    row = next(line for line in printed.splitlines() if line.startswith("my block"))
    assert row.split()[4] == "2"


def test_a_report_with_a_filename_goes_to_the_folder_of_the_logs_instead(tmp_path, capsys):
    trainer = trainer_with(SimpleProfiler(filename="times"), default_root_dir=tmp_path)

    trainer.fit(TinyModule(), TinyData())
    trainer.validate(TinyModule(), TinyData(), verbose=False)

    assert {path.name for path in tmp_path.iterdir()} == {"fit-times.txt", "validate-times.txt"}
    assert STEP in (tmp_path / "fit-times.txt").read_text()
    assert "Action" not in capsys.readouterr().out


def test_a_report_of_a_stage_that_failed_is_given_too(capsys):
    class Breaks(TinyModule):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        trainer_with("simple").fit(Breaks(), TinyData())

    assert "[Breaks] training_step" in capsys.readouterr().out


# --- simple --------------------------------------------------------------------------------------


def test_the_short_table_has_neither_calls_nor_shares():
    profiler = SimpleProfiler(extended=False)
    with profiler.profile("work"):
        pass

    head, _, row = profiler.summary().splitlines()

    assert head.split() == ["Action", "Mean", "ms", "Total", "s"]
    assert len(row.split()) == 3


def test_an_action_inside_itself_is_measured_twice():
    profiler = SimpleProfiler()
    with profiler.profile("work"), profiler.profile("work"):
        pass

    inner, outer = profiler.recorded_durations["work"]

    assert inner <= outer


@pytest.mark.parametrize("kind", [SimpleProfiler, AdvancedProfiler])
def test_an_action_that_never_started_cannot_be_stopped(kind):
    with pytest.raises(ConfigurationError, match="'work' was stopped, but it is not running"):
        kind().stop("work")


# --- advanced --------------------------------------------------------------------------------------


def slow():
    """Be found in a profile."""
    return sorted(range(1000))


def fast():
    """Be found in a profile."""
    return sum(range(10))


def test_the_advanced_report_names_the_functions_of_each_action():
    profiler = AdvancedProfiler()
    with profiler.profile("first"):
        slow()
    with profiler.profile("second"):
        fast()

    first, second = (part for part in profiler.summary().split("Profile of ") if part)

    assert "(slow)" in first
    assert "(fast)" not in first
    assert "(fast)" in second


def test_an_action_goes_on_after_the_one_inside_of_it():
    profiler = AdvancedProfiler()
    with profiler.profile("outer"):
        with profiler.profile("inner"):
            slow()
        fast()

    parts = {part.splitlines()[0]: part for part in profiler.summary().split("Profile of ") if part}

    assert "(fast)" in parts["outer"]
    assert "(slow)" not in parts["outer"]
    assert "(slow)" in parts["inner"]


def test_the_advanced_report_can_be_cut_short():
    profiler = AdvancedProfiler(line_count_restriction=1)
    with profiler.profile("work"):
        slow()

    assert "due to restriction <1>" in profiler.summary()


def test_raw_statistics_can_be_kept_for_a_viewer(tmp_path):
    trainer = trainer_with(AdvancedProfiler(filename="raw", dump_stats=True), default_root_dir=tmp_path)

    trainer.fit(TinyModule(), TinyData())

    stats = pstats.Stats(str(tmp_path / "fit-raw-[TinyModule]_training_step.prof"))
    assert any(function == "training_step" for _, _, function in stats.stats)


def test_the_advanced_profiler_forgets_a_stage_that_is_over(capsys):
    trainer = trainer_with("advanced")
    trainer.fit(TinyModule(), TinyData())
    capsys.readouterr()

    trainer.validate(TinyModule(), TinyData(), verbose=False)

    assert "training_step" not in capsys.readouterr().out


# --- pytorch ---------------------------------------------------------------------------------------


def traces(folder):
    """Names of the events in every trace in *folder*."""
    found = sorted(folder.glob("*.pt.trace.json"), key=lambda path: path.stat().st_mtime_ns)
    return [[event.get("name", "") for event in json.loads(path.read_text())["traceEvents"]] for path in found]


def batches(count):
    """A loader of so many batches ``(2, 3)``."""
    return torch.utils.data.DataLoader(torch.ones(2 * count, 3), batch_size=2)


class Inner(TinyModule):
    """A loss from a layer, whatever the data."""

    def training_step(self, batch, batch_idx):
        return self.layer(torch.ones(1, self.layer.in_features)).sum()


def test_a_trace_holds_operators_hooks_and_submodules_by_name(tmp_path):
    trainer_with("pytorch", default_root_dir=tmp_path).fit(Inner(), batches(8))

    (names,) = traces(tmp_path)
    assert {"aten::linear", "[Inner] training_step", "Linear: layer", "run_training_batch"} <= set(names)


def test_the_default_schedule_records_three_batches(tmp_path):
    trainer_with("pytorch", default_root_dir=tmp_path).fit(Inner(), batches(8))

    (names,) = traces(tmp_path)
    assert names.count("[Inner] training_step") == 3


def test_a_stage_too_short_for_the_schedule_is_recorded_as_a_whole(tmp_path):
    trainer_with("pytorch", default_root_dir=tmp_path).fit(Inner(), batches(2))

    (names,) = traces(tmp_path)
    assert names.count("[Inner] training_step") == 2


def test_a_schedule_of_the_user_is_followed(tmp_path):
    schedule = torch.profiler.schedule(wait=0, warmup=1, active=2, repeat=2)
    profiler = PyTorchProfiler(dirpath=tmp_path, filename="mine", schedule=schedule)

    trainer_with(profiler).fit(Inner(), batches(8))

    assert [names.count("[Inner] training_step") for names in traces(tmp_path)] == [2, 2]
    assert "aten::linear" in (tmp_path / "fit-mine.txt").read_text()


def test_a_trace_handler_of_the_user_takes_the_place_of_the_file(tmp_path):
    got = []
    profiler = PyTorchProfiler(dirpath=tmp_path, on_trace_ready=lambda recorded: got.append(recorded.step_num))

    trainer_with(profiler).fit(Inner(), batches(8))

    assert len(got) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_trace_handler_that_fails_ends_the_fit_and_not_the_process(tmp_path):
    def fail(recorded):
        raise OSError("disk full")

    schedule = torch.profiler.schedule(wait=0, warmup=1, active=1)
    profiler = PyTorchProfiler(dirpath=tmp_path, schedule=schedule, on_trace_ready=fail)

    with pytest.raises(OSError, match="disk full"):
        trainer_with(profiler).fit(Inner(), batches(8))

    assert not torch.autograd._profiler_enabled()


def test_no_trace_is_written_unless_wanted(tmp_path, capsys):
    profiler = PyTorchProfiler(dirpath=tmp_path, export_to_chrome=False, record_module_names=False)

    trainer_with(profiler).fit(Inner(), batches(2))

    assert list(tmp_path.iterdir()) == []
    assert "Linear: layer" not in capsys.readouterr().out


def test_the_recording_takes_its_labels_off_the_module():
    module = Inner()

    trainer_with("pytorch").fit(module, batches(8))

    assert not module.layer._forward_hooks
    assert not module.layer._forward_pre_hooks


def test_stages_other_than_fit_are_recorded_by_their_steps(tmp_path):
    trainer_with("pytorch", default_root_dir=tmp_path).predict(TinyModule(), TinyData())

    (names,) = traces(tmp_path)
    assert "[TinyModule] predict_step" in names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"emit_nvtx": True}, "emit_nvtx=True"),
        ({"schedule": lambda step: None}, "expected a function from the number of a batch to a ProfilerAction"),
        ({"schedule": 3}, "schedule=3"),
        ({"record_shape": True}, "'record_shape' in profiler_kwargs"),
        ({"table_kwargs": {"sort_by": "count"}}, "'sort_by' in table_kwargs"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        PyTorchProfiler(**options)
