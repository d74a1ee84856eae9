"""A run stops before its time is up, and hears what it was told before it listened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from leyden.callback import Callback
from leyden.errors import Interrupted
from leyden.launch.surviving import Deadline
from leyden.launch.surviving.slurm_job import moment
from leyden.processes import signals
from leyden.testing import TinyData, TinyModule
from leyden.trainer import Trainer

QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


class Slow(Callback):
    """Every batch takes a tenth of a second."""

    def on_train_batch_start(self, *args):
        time.sleep(0.1)


def stopped(tmp_path, deadline):
    """Train until the deadline asks to stop; return the trainer and what it was stopped by."""
    trainer = Trainer(max_epochs=100, default_root_dir=tmp_path, callbacks=[Slow(), deadline], **QUIET)
    with pytest.raises(Interrupted) as caught:
        trainer.fit(TinyModule(), datamodule=TinyData())
    return trainer, caught.value


def test_a_run_saves_as_long_before_its_end_as_saving_and_a_step_take(tmp_path):
    deadline = Deadline(time.time() + 3.0, spare=1.0)

    trainer, stop = stopped(tmp_path, deadline)

    assert stop.signum == signal.SIGXCPU
    assert os.path.isfile(stop.checkpoint)
    assert 1.0 + 0.1 < deadline.margin(trainer) < 2.9
    assert 0 < trainer.global_step < 30


def test_until_something_was_saved_the_size_of_the_model_stands_in(tmp_path):
    deadline = Deadline(time.time() + 3600.0, spare=0.0)
    trainer = Trainer(
        max_epochs=1, default_root_dir=tmp_path, callbacks=[deadline], enable_checkpointing=False, **QUIET
    )
    module = TinyModule()

    trainer.fit(module, datamodule=TinyData())

    assert trainer.slowest_save == 0.0
    held = sum(parameter.numel() * 4 for parameter in module.parameters())
    assert deadline.margin(trainer) == pytest.approx(deadline._stretch + 2 * 3 * held / 50e6)


def test_a_signal_that_came_too_early_stops_the_run_at_once(tmp_path):
    program = (
        "import os, signal, sys\n"
        "from leyden.processes import signals\n"
        "signals.note_job_signals()\n"
        "os.kill(os.getpid(), signal.SIGUSR2)\n"
        "from leyden.errors import Interrupted\n"
        "from leyden.testing import TinyData, TinyModule\n"
        "from leyden.trainer import Trainer\n"
        f"trainer = Trainer(max_epochs=3, default_root_dir={str(tmp_path)!r}, **{QUIET!r})\n"
        "try:\n"
        "    trainer.fit(TinyModule(), datamodule=TinyData())\n"
        "except Interrupted as stop:\n"
        "    sys.exit(100 * trainer.global_step + stop.signum)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "SLURM_JOB_ID": "1"}, check=False, timeout=120
    )

    assert done.returncode == signal.SIGUSR2


def test_outside_of_slurm_no_signal_is_taken_from_the_program():
    before = signal.getsignal(signal.SIGUSR2)

    signals.note_job_signals()

    assert signal.getsignal(signal.SIGUSR2) is before
    assert signals.noted() is None


def test_a_moment_of_slurm_is_read_or_is_none():
    assert moment("2026-11-22T14:39:16") == time.mktime((2026, 11, 22, 14, 39, 16, 0, 0, -1))
    assert [moment(text) for text in ("", "Unknown", "N/A", "None", "soon")] == [None] * 5
