"""CSVLogger keeps every number exactly, never shares a folder, and survives kill -9."""

import csv
import json
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from leyden.errors import ConfigurationError
from leyden.loggers.csv import CSVLogger
from leyden.loggers.dummy import DummyExperiment


def flat(folder, **options):
    """A logger that writes directly to *folder*, as conf/logger/csv.yaml builds it."""
    return CSVLogger(folder, name="", version="", **options)


def table(folder):
    """Rows of metrics.csv as dicts of text."""
    with open(Path(folder) / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_float_reads_back_as_the_very_same_float(tmp_path):
    values = [0.1 + 0.2, 1e-310, -0.0, float("inf"), np.float32(0.1).item(), 12345678901234567.0]
    logger = flat(tmp_path)

    for step, value in enumerate(values):
        logger.log_metrics({"loss": value}, step)
    logger.finalize("success")

    assert [float(row["loss"]).hex() for row in table(tmp_path)] == [value.hex() for value in values]


def test_scalars_of_torch_and_numpy_are_written_as_plain_numbers(tmp_path):
    logger = flat(tmp_path)

    logger.log_metrics({"a": torch.tensor(2), "b": np.float64(0.1), "c": True, "d": torch.tensor([0.5])}, 0)
    logger.save()

    assert table(tmp_path) == [{"step": "0", "a": "2", "b": "0.1", "c": "1", "d": "0.5"}]


@pytest.mark.parametrize("value", [torch.zeros(2), "0.5", None, {"a": 1.0}])
def test_a_value_that_is_no_number_is_refused_by_name(tmp_path, value):
    logger = flat(tmp_path)

    with pytest.raises(ConfigurationError, match="metric 'train/bad' is no number but a"):
        logger.log_metrics({"train/bad": value}, 0)


def test_building_a_logger_touches_nothing(tmp_path):
    logger = CSVLogger(tmp_path / "new")

    logger.save()
    logger.finalize("success")

    assert logger.state_dict() == {"rows": 0}
    assert not (tmp_path / "new").exists()


def test_a_column_that_turns_up_late_is_added_at_the_end_and_leaves_earlier_rows_untouched(tmp_path):
    logger = flat(tmp_path, flush_logs_every_n_steps=1)
    logger.log_metrics({"z": 0.1, "epoch": 0}, 0)

    logger.log_metrics({"a,b": 1, "epoch": 0}, 1)

    assert (tmp_path / "metrics.csv").read_text() == 'step,z,epoch,"a,b"\n0,0.1,0,\n1,,0,1\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.csv"]


def test_rows_are_written_whenever_a_multiple_of_the_interval_is_passed(tmp_path):
    logger = flat(tmp_path, flush_logs_every_n_steps=10)
    logger.log_metrics({"loss": 1.0}, 6)
    assert not (tmp_path / "metrics.csv").exists()

    logger.log_metrics({"loss": 1.0}, 13)

    assert [row["step"] for row in table(tmp_path)] == ["6", "13"]


def test_a_row_without_a_step_is_numbered(tmp_path):
    logger = flat(tmp_path, prefix="run")

    logger.log_metrics({"loss": 1.0})
    logger.log_metrics({"loss": 2.0})
    logger.save()

    assert table(tmp_path) == [{"step": "0", "run-loss": "1.0"}, {"step": "1", "run-loss": "2.0"}]


def test_rows_of_a_test_run_follow_those_of_the_fit(tmp_path):
    logger = flat(tmp_path)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.finalize("success")

    logger.log_metrics({"test/loss": 2.0}, 0)
    logger.finalize("success")

    assert table(tmp_path) == [
        {"step": "0", "loss": "1.0", "test/loss": ""},
        {"step": "0", "loss": "", "test/loss": "2.0"},
    ]


def test_a_fresh_start_replaces_the_rows_of_an_earlier_run_and_says_so(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,old\n0,1.0\n")
    logger = flat(tmp_path)
    logger.log_metrics({"loss": 2.0}, 0)

    with pytest.warns(UserWarning, match=r"metrics\.csv is from an earlier run and is replaced"):
        logger.save()

    assert table(tmp_path) == [{"step": "0", "loss": "2.0"}]


def test_folders_are_named_as_lightning_names_them(tmp_path):
    assert CSVLogger(tmp_path, "exp", 3).log_dir == str(tmp_path / "exp" / "version_3")
    assert CSVLogger(tmp_path, "exp", "best").log_dir == str(tmp_path / "exp" / "best")
    assert CSVLogger(tmp_path, None, "best").log_dir == str(tmp_path / "best")
    assert flat(tmp_path).log_dir == str(tmp_path)


def test_a_trainer_lends_its_folder_only_to_a_logger_without_one(tmp_path):
    homeless, settled = CSVLogger(), CSVLogger(tmp_path / "mine")

    homeless.attach(str(tmp_path / "trainer"))
    settled.attach(str(tmp_path / "trainer"))

    assert homeless.root_dir == str(tmp_path / "trainer" / "lightning_logs")
    assert settled.save_dir == str(tmp_path / "mine")


def test_a_logger_without_any_folder_says_what_to_do():
    with pytest.raises(ConfigurationError, match=r"Pass save_dir=\.\.\., or hand the logger to Trainer"):
        CSVLogger().log_metrics({"loss": 1.0}, 0)


def test_runs_started_at_once_never_share_a_version(tmp_path):
    (tmp_path / "exp" / "version_4").mkdir(parents=True)
    loggers = [CSVLogger(tmp_path, "exp") for _ in range(16)]

    with ThreadPoolExecutor(16) as pool:
        versions = list(pool.map(lambda logger: logger.version, loggers))

    assert sorted(versions) == list(range(5, 21))
    assert loggers[0].version == versions[0]


def test_hyperparameters_are_plain_yaml_whatever_they_were(tmp_path):
    logger = CSVLogger(tmp_path, "", "")

    logger.log_hyperparams({"lr": 0.1, "sizes": (1, 2), "path": Path("data"), "act": torch.nn.ReLU})
    logger.log_hyperparams({"layer": torch.nn.ReLU(), "f": flat, "n": np.int64(3), "t": torch.tensor(0.5)})

    assert yaml.safe_load((tmp_path / "hparams.yaml").read_text()) == {
        "lr": 0.1,
        "sizes": [1, 2],
        "path": "data",
        "act": "torch.nn.modules.activation.ReLU",
        "layer": "ReLU()",
        "f": f"{__name__}.flat",
        "n": 3,
        "t": 0.5,
    }


def test_the_state_counts_only_rows_that_are_in_the_file(tmp_path):
    logger = flat(tmp_path)
    logger.log_metrics({"loss": 1.0}, 0)

    state = logger.state_dict()

    assert state == {"rows": 1}
    assert len(table(tmp_path)) == 1


def test_a_resumed_run_writes_the_same_file_as_one_that_never_stopped(tmp_path):
    rows = [{"loss": 1 / (step + 1)} | ({"val": step / 3} if step % 3 == 2 else {}) for step in range(10)]
    for folder in ("whole", "stopped"):
        (tmp_path / folder).mkdir()
    whole, first = flat(tmp_path / "whole"), flat(tmp_path / "stopped", flush_logs_every_n_steps=1)
    for step, row in enumerate(rows):
        whole.log_metrics(row, step)
    for step, row in enumerate(rows[:2]):
        first.log_metrics(row, step)
    state = first.state_dict()
    for step, row in enumerate(rows[2:7], start=2):
        first.log_metrics(row, step)
    with open(tmp_path / "stopped" / "metrics.csv", "a") as file:
        file.write("7,0.1")  # torn in the middle of a number

    resumed = flat(tmp_path / "stopped")
    resumed.load_state_dict(state)
    for step, row in enumerate(rows[2:], start=2):
        resumed.log_metrics(row, step)
    for logger in (whole, resumed):
        logger.finalize("success")

    assert (tmp_path / "stopped" / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


@pytest.mark.parametrize("content", ["", "step,lo"])
def test_a_file_killed_before_its_header_was_whole_is_started_anew(tmp_path, content):
    (tmp_path / "metrics.csv").write_text(content)
    logger = flat(tmp_path)

    with pytest.warns(UserWarning, match="5 are lost"):
        logger.load_state_dict({"rows": 5})
    logger.log_metrics({"loss": 1.0}, 5)
    logger.save()

    assert table(tmp_path) == [{"step": "5", "loss": "1.0"}]


def test_a_torn_row_is_dropped_even_where_the_state_counts_it(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,loss\n0,1.0\n1,0.")
    logger = flat(tmp_path)

    with pytest.warns(UserWarning, match="1 are lost"):
        logger.load_state_dict({"rows": 2})

    assert table(tmp_path) == [{"step": "0", "loss": "1.0"}]
    assert logger.state_dict() == {"rows": 1}


@pytest.mark.parametrize("cut", ["a row", "all but the header", "the file"])
def test_rows_that_a_file_has_lost_are_told_before_the_run_goes_on(cut, tmp_path):
    first = flat(tmp_path)
    first.log_hyperparams({"lr": 0.1})
    for step in range(4):
        first.log_metrics({"loss": float(step)}, step)
    state, path = first.state_dict(), tmp_path / "metrics.csv"
    lines = path.read_text().splitlines(keepends=True)
    left = {"a row": 3, "all but the header": 0, "the file": 0}[cut]
    path.unlink()
    if cut != "the file":
        path.write_text("".join(lines[: left + 1]))

    logger = flat(tmp_path)
    with pytest.warns(UserWarning, match=rf"holds {left} of the 4 rows .* {4 - left} are lost"):
        logger.load_state_dict(state)
    logger.log_metrics({"loss": 4.0}, 4)
    logger.save()

    assert [row["step"] for row in table(tmp_path)] == [*map(str, range(left)), "4"]


def test_a_run_that_begins_in_a_folder_of_its_own_from_anothers_checkpoint_misses_no_row(tmp_path):
    flat(tmp_path).load_state_dict({"rows": 5})


def test_resuming_in_a_new_folder_starts_a_new_file(tmp_path):
    logger = CSVLogger(tmp_path, "exp")

    logger.load_state_dict({"rows": 5})
    assert list(tmp_path.iterdir()) == []
    logger.log_metrics({"loss": 1.0}, 5)
    logger.save()

    assert len(table(tmp_path / "exp" / "version_0")) == 1
    assert logger.state_dict() == {"rows": 1}


WRITE_UNTIL_KILLED = """
import itertools, json, sys
from leyden.loggers.csv import CSVLogger

folder = sys.argv[1]
logger = CSVLogger(folder, name="", version="", flush_logs_every_n_steps=1)
for step in itertools.count():
    logger.log_metrics({f"metric_{i}": step / 7 + i for i in range(200)}, step)
    if step == 49:
        with open(f"{folder}/state.json", "w") as file:
            json.dump(logger.state_dict(), file)
"""


def test_after_kill_9_the_run_goes_on_from_its_checkpoint_without_a_row_twice(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path)])
    target = tmp_path / "metrics.csv"
    while child.poll() is None and not (target.exists() and target.read_bytes().count(b"\n") > 80):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert target.read_bytes().count(b"\n") > 80

    resumed = flat(tmp_path)
    resumed.load_state_dict(json.loads((tmp_path / "state.json").read_text()))
    for step in range(50, 60):
        resumed.log_metrics({f"metric_{i}": step / 7 + i for i in range(200)}, step)
    resumed.finalize("success")

    assert [row["step"] for row in table(tmp_path)] == [str(step) for step in range(60)]
    assert all(
        float(row[f"metric_{i}"]) == step / 7 + i for step, row in enumerate(table(tmp_path)) for i in (0, 99, 199)
    )


def test_a_rank_other_than_0_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    logger = CSVLogger(tmp_path, "exp")

    logger.log_metrics({"loss": 1.0}, 0)
    logger.log_hyperparams({"lr": 0.1})
    logger.load_state_dict({"rows": 1})
    logger.finalize("success")

    assert list(tmp_path.iterdir()) == []
    assert logger.version is None
    assert isinstance(logger.experiment, DummyExperiment)


def test_a_copy_in_another_process_goes_on_in_the_same_file(tmp_path):
    logger = flat(tmp_path)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.save()

    copy = pickle.loads(pickle.dumps(logger))
    copy.log_metrics({"loss": 2.0}, 1)
    copy.save()

    assert [row["loss"] for row in table(tmp_path)] == ["1.0", "2.0"]
