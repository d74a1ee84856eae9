"""The rarer callbacks do the same under Leyden and under Lightning."""

from __future__ import annotations

import inspect

import lightning.pytorch.accelerators.cpu as their_cpu
import pytest
import torch
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm as TheirTqdm
from torch.utils.data import DataLoader, TensorDataset
from twins import LEYDEN, LIGHTNING, describe, fit, loader, quiet, recorder, regression, rows_of, silence

import leyden.callbacks
from leyden.callbacks.lambda_callback import HOOKS
from leyden.callbacks.tqdm_bar import Tqdm
from leyden.errors import ConfigurationError

assert leyden.callbacks  # Lightning's package imports its own by itself


def both(run):
    """Return what *run* gives under each library."""
    with silence():
        return run(LEYDEN), run(LIGHTNING)


# --- gradient accumulation ---------------------------------------------------------------------


@pytest.mark.parametrize("scheduling", [{0: 2}, {1: 2, 2: 3}, {0: 6, 1: 1, 5: 9}])
def test_windows_change_with_the_epoch(tmp_path, scheduling):
    def case(library, Base):
        return Base

    def scheduler(library):
        return [library.callbacks.GradientAccumulationScheduler(dict(scheduling))]

    ours, theirs = (
        fit(library, tmp_path, case, max_epochs=3, more_callbacks=scheduler) for library in (LEYDEN, LIGHTNING)
    )

    assert ours.weights == theirs.weights
    assert ours.outputs == theirs.outputs
    assert ours.places == theirs.places
    assert ours.rows == theirs.rows


@pytest.mark.parametrize("epoch", range(6))
def test_a_schedule_is_read_alike(epoch):
    ours, theirs = both(
        lambda library: library.callbacks.GradientAccumulationScheduler({1: 4, 3: 2}).get_accumulate_grad_batches(epoch)
    )

    assert ours == theirs


# --- timer -------------------------------------------------------------------------------------


def timed(library, tmp_path, interval, minutes):
    """Train until a timer, whose clock the batches drive, says stop."""

    class Driven(library.callbacks.Timer):
        spent = 0

        def time_elapsed(self, stage="train"):
            return 60.0 * self.spent

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.spent += 1

    timer = Driven({"minutes": minutes}, interval=interval, verbose=False)
    trainer = quiet(library, tmp_path, max_epochs=3, callbacks=[timer])
    trainer.fit(regression(library)())
    state = timer.state_dict()["time_elapsed"]
    return trainer.global_step, trainer.current_epoch, bool(trainer.should_stop), sorted(state), timer.time_remaining()


@pytest.mark.parametrize("interval", ["step", "epoch"])
@pytest.mark.parametrize("minutes", [0, 1, 6, 7, 99])
def test_a_timer_stops_at_the_same_batch(tmp_path, interval, minutes):
    ours, theirs = both(lambda library: timed(library, tmp_path, interval, minutes))

    assert ours == theirs


@pytest.mark.parametrize("duration", ["1:2", "00:00:00", "00:00:61:00", "1 day"])
def test_the_same_durations_are_read(duration):
    def seconds(library):
        try:
            return library.callbacks.Timer(duration).time_remaining()
        except (ConfigurationError, LIGHTNING.utilities.exceptions.MisconfigurationException):
            return None

    ours, theirs = both(seconds)

    assert ours == theirs


@pytest.mark.parametrize("who", ["timer", "module"])
def test_a_stop_before_training_begins_is_obeyed(tmp_path, who):
    def heard(library):
        class Stopping(regression(library)):
            def on_fit_start(self):
                self.trainer.should_stop = self.trainer.should_stop or who == "module"

        calls = []
        callbacks = [recorder(library, "cb", library.Callback, calls)()]
        if who == "timer":
            callbacks.append(library.callbacks.Timer({"seconds": 0}, verbose=False))
        trainer = quiet(library, tmp_path, max_epochs=1, callbacks=callbacks)
        trainer.fit(Stopping())
        return trainer.global_step, trainer.should_stop, [str(call) for call in calls]

    ours, theirs = both(heard)

    assert ours == theirs
    assert ours[0] == 0


# --- predictions ---------------------------------------------------------------------------------


def written(library, tmp_path, interval, loaders):
    """Predict, and return every call of a writer."""
    calls = []

    class Writer(library.callbacks.BasePredictionWriter):
        def write_on_batch_end(self, trainer, pl_module, prediction, batch_indices, batch, batch_idx, dataloader_idx):
            calls.append(describe(["batch", prediction, batch_indices, batch, batch_idx, dataloader_idx]))

        def write_on_epoch_end(self, trainer, pl_module, predictions, batch_indices):
            calls.append(describe(["epoch", predictions, batch_indices]))

    torch.manual_seed(0)
    module = regression(library)()
    trainer = quiet(library, tmp_path, callbacks=[Writer(interval)], limit_predict_batches=3)
    returned = trainer.predict(module, loaders(), return_predictions=interval == "batch")
    return calls, describe(returned)


def shuffled():
    return loader(4, seed=5, shuffle=True)


@pytest.mark.parametrize("interval", ["batch", "epoch", "batch_and_epoch"])
@pytest.mark.parametrize(
    "loaders",
    [
        loader,
        shuffled,
        lambda: [loader(2), shuffled()],
        lambda: DataLoader(TensorDataset(torch.arange(20.0).reshape(5, 4)), batch_size=2, num_workers=1),
    ],
    ids=["in order", "shuffled", "two", "a worker"],
)
def test_a_writer_gets_the_same_predictions_and_indices(tmp_path, interval, loaders):
    ours, theirs = both(lambda library: written(library, tmp_path, interval, loaders))

    assert ours == theirs


# --- checkpoints -----------------------------------------------------------------------------------


def test_a_broken_fit_leaves_the_same_file(tmp_path):
    def left(library):
        class Breaking(regression(library)):
            def training_step(self, batch, batch_idx):
                if self.global_step == 4:
                    raise ArithmeticError
                return super().training_step(batch, batch_idx)

        folder = tmp_path / library.__name__
        trainer = quiet(
            library,
            tmp_path,
            max_epochs=2,
            enable_checkpointing=True,
            callbacks=[library.callbacks.OnExceptionCheckpoint(folder, "broken")],
        )
        with pytest.raises(ArithmeticError):
            trainer.fit(Breaking())
        return [(path.name, torch.load(path, weights_only=True)["global_step"]) for path in folder.iterdir()]

    ours, theirs = both(left)

    assert ours == theirs == [("broken.ckpt", 4)]


# --- statistics --------------------------------------------------------------------------------------


class Counting(their_cpu.CPUAccelerator):
    """Lightning's CPU, which can tell its statistics without psutil."""

    def get_device_stats(self, device):
        return dict.fromkeys((their_cpu._CPU_VM_PERCENT, their_cpu._CPU_PERCENT, their_cpu._CPU_SWAP_PERCENT), 1.0)


@pytest.mark.parametrize("options", [{}, {"log_every_n_steps": 3}, {"accumulate_grad_batches": 2}], ids=str)
def test_statistics_of_the_device_have_the_same_names_in_the_same_rows(tmp_path, options):
    def logged(library):
        rows = rows_of(library)
        accelerator = Counting() if library is LIGHTNING else "cpu"
        callback = library.callbacks.DeviceStatsMonitor(cpu_stats=True)
        options_of_all = {"accelerator": accelerator, "logger": rows, "callbacks": [callback], "max_epochs": 2}
        options_of_all |= {"num_sanity_val_steps": 0, "log_every_n_steps": 1, **options}
        trainer = quiet(library, tmp_path, **options_of_all)
        trainer.fit(regression(library)())
        trainer.test(trainer.lightning_module, verbose=False)
        return [(step, sorted(row)) for step, row in rows.rows if any("DeviceStats" in name for name in row)]

    ours, theirs = both(logged)

    assert ours == theirs
    assert ours


@pytest.mark.parametrize("options", [{}, {"log_every_n_steps": 3}, {"accumulate_grad_batches": 2}], ids=str)
def test_throughput_has_the_same_names_and_counts(tmp_path, options):
    def logged(library):
        class Counted(regression(library)):
            flops_per_batch = 1000

        rows = rows_of(library)
        callback = library.callbacks.ThroughputMonitor(
            lambda batch: batch[0].shape[0], lambda batch: batch[0].numel(), window_size=3, separator="-"
        )
        options_of_all = {"logger": rows, "callbacks": [callback], "max_epochs": 2, "num_sanity_val_steps": 2}
        trainer = quiet(library, tmp_path, **{**options_of_all, "log_every_n_steps": 1, **options})
        trainer.fit(Counted())
        trainer.test(trainer.lightning_module, verbose=False)
        trainer.predict(trainer.lightning_module)
        found = [(step, row) for step, row in rows.rows if any(name.endswith("-batches") for name in row)]
        return [
            (
                step if "train-batches" in row else None,  # the axis of evaluations is one of the differences
                {name: None if name.endswith(("time", "_per_sec")) else value for name, value in row.items()},
            )
            for step, row in found
        ]

    ours, theirs = both(logged)

    assert ours == theirs
    assert any("train-device-items_per_sec" in row for _, row in ours)


# --- functions and bars ----------------------------------------------------------------------------------


def test_a_lambda_callback_takes_the_same_names():
    theirs = inspect.signature(LIGHTNING.callbacks.LambdaCallback).parameters

    assert set(theirs) == set(HOOKS)


def test_every_function_of_a_lambda_callback_hears_the_same(tmp_path):
    def heard(library):
        calls = []

        def noting(name):
            return lambda trainer, module, *args, **kwargs: calls.append(
                (name, [] if "checkpoint" in name else describe([*args, *kwargs.values()]))
            )

        names = [name for name in HOOKS if name != "on_exception"]
        callback = library.callbacks.LambdaCallback(**{name: noting(name) for name in names})
        torch.manual_seed(0)
        quiet(library, tmp_path, max_epochs=1, callbacks=[callback]).fit(regression(library)())
        return calls

    ours, theirs = both(heard)

    assert ours == theirs


@pytest.mark.parametrize("number", [0, 7, 123456, 0.5, 0.25, 1.0, 12.3456, 1e-7, "4", "0.25", "abc", "nan"], ids=repr)
def test_a_bar_writes_numbers_alike(number):
    assert Tqdm.format_num(number) == TheirTqdm.format_num(number)


def test_a_bar_has_the_same_public_names():
    ours, theirs = both(lambda library: {name for name in dir(library.callbacks.TQDMProgressBar) if name[0] != "_"})

    assert theirs - ours == set()
