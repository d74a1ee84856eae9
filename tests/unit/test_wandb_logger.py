"""WandbLogger keeps one run per experiment, finishes what it opened, and W&B records all it was given.

The runs are real, in W&B's offline mode; what they recorded is read back from their transaction logs.
"""

import json
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
from wandb.proto import wandb_internal_pb2 as protocol

from leyden.callback import Checkpoint
from leyden.errors import ConfigurationError
from leyden.loggers.dummy import DummyExperiment
from leyden.loggers.wandb import WandbLogger

QUIET = wandb.Settings(silent=True, console="off", x_disable_stats=True, save_code=False)


def logger_in(folder, **options):
    """A logger of an offline run that prints nothing."""
    return WandbLogger(save_dir=folder, settings=QUIET, **({"mode": "offline"} | options))


@pytest.fixture(autouse=True)
def _no_run_is_left_open():
    yield
    wandb.finish()


def chunks(path):
    """Records in a transaction log: blocks of 32 KiB, each chunk after 7 bytes of checksum, length and kind."""
    data, position, record = Path(path).read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield protocol.Record.FromString(record)
            record = b""


class Recorded:
    """What one run folder recorded."""

    def __init__(self, folder):
        self.rows, self.config, self.axes, self.artifacts = [], {}, {}, []
        self.exit_code = self.id = self.project = None
        for record in chunks(next(Path(folder).glob("run-*.wandb"))):
            if record.HasField("run"):
                self.id, self.project = record.run.run_id, record.run.project
                self._add_config(record.run.config)
            elif record.HasField("config"):
                self._add_config(record.config)
            elif record.HasField("history"):
                self.rows.append(_items(record.history.item))
            elif record.HasField("metric"):
                self.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
            elif record.HasField("artifact"):
                self.artifacts.append(record.artifact)
            elif record.HasField("request") and record.request.HasField("log_artifact"):
                self.artifacts.append(record.request.log_artifact.artifact)
            elif record.HasField("exit"):
                self.exit_code = record.exit.exit_code

    def _add_config(self, config):
        self.config |= _items(config.update)

    def column(self, name):
        """Step and value of every row that has this name."""
        return [(row["trainer/global_step"], row[name]) for row in self.rows if name in row]


def _items(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def runs(folder):
    """All runs recorded in *folder*, oldest first."""
    wandb.teardown()  # finish() returns before the last records are on disk
    return [Recorded(path) for path in sorted((Path(folder) / "wandb").glob("offline-run-*"))]


FIT_THEN_TEST = """
import sys, wandb
from leyden.loggers.wandb import WandbLogger

logger = WandbLogger(project="jar", prefix="p", settings=wandb.Settings(silent=True, console="off"), offline=True)
logger.attach(sys.argv[1])
logger.log_hyperparams({"lr": 0.1, "model": {"width": 8, "act": dict}})
logger.log_metrics({"loss": 0.1 + 0.2}, 0)
logger.log_metrics({"loss": 0.25}, 7)
logger.finalize("success")
logger.log_metrics({"test/acc": 0.75}, 8)
logger.finalize("success")
"""


def test_fit_and_test_in_one_script_make_one_finished_run_with_config_rows_and_axis(tmp_path):
    subprocess.run([sys.executable, "-c", FIT_THEN_TEST, str(tmp_path)], check=True)

    (run,) = runs(tmp_path)
    assert run.project == "jar"
    assert run.column("p-loss") == [(0, 0.1 + 0.2), (7, 0.25)]
    assert run.column("p-test/acc") == [(8, 0.75)]
    assert run.config["lr"] == 0.1
    assert run.config["model"] == {"width": 8, "act": "builtins.dict"}
    assert run.axes["*"] == "trainer/global_step"
    assert run.exit_code == 0


FORK = """
import multiprocessing, sys, wandb
from leyden.loggers.wandb import WandbLogger

def log():
    logger = WandbLogger(save_dir=sys.argv[1], settings=wandb.Settings(silent=True, console="off"), offline=True)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.finalize("success")

child = multiprocessing.get_context("fork").Process(target=log)
child.start()
child.join()
"""


def test_a_run_in_a_forked_child_is_finished_when_the_child_ends(tmp_path):
    subprocess.run([sys.executable, "-c", FORK, str(tmp_path)], check=True)

    (run,) = runs(tmp_path)
    assert run.column("loss") == [(0, 1.0)]
    assert run.exit_code == 0


def test_the_next_logger_of_a_process_gets_a_run_of_its_own(tmp_path):
    first, second = logger_in(tmp_path / "first", id="mine"), logger_in(tmp_path / "second")  # QUIET is shared

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for logger, value in ((first, 1.0), (second, 2.0)):
            logger.log_metrics({"loss": value}, 0)
            logger.finalize("success")
    second.close()

    assert second.version not in (None, first.version)
    assert [run.column("loss") for run in runs(tmp_path / "first")] == [[(0, 1.0)]]
    assert [run.column("loss") for run in runs(tmp_path / "second")] == [[(0, 2.0)]]


def test_a_failed_run_is_finished_as_failed_and_goes_on_under_its_id(tmp_path):
    logger = logger_in(tmp_path)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.finalize("failed")
    assert wandb.run is None

    logger.log_metrics({"loss": 2.0}, 1)
    logger.close()

    failed, again = runs(tmp_path)
    assert (failed.exit_code, again.exit_code) == (1, 0)
    assert failed.id == again.id == logger.version


def test_a_resumed_run_goes_on_under_the_id_in_the_checkpoint(tmp_path):
    killed = logger_in(tmp_path / "a")
    assert killed.state_dict() == {}
    killed.log_metrics({"loss": 1.0}, 0)
    state = killed.state_dict()
    killed.close()

    resumed, chosen = logger_in(tmp_path / "b"), logger_in(tmp_path / "c", id="chosen")
    resumed.load_state_dict(state)
    resumed.log_metrics({"loss": 2.0}, 1)
    resumed.close()
    with pytest.warns(UserWarning, match="this logger writes to 'chosen'"):
        chosen.load_state_dict(state)

    assert [run.id for run in runs(tmp_path / "b")] == [state["id"]]
    assert chosen.version == "chosen"


def test_a_run_of_the_caller_is_used_and_never_finished(tmp_path):
    tmp_path.joinpath("own").mkdir()
    own = wandb.init(mode="offline", dir=tmp_path / "own", settings=QUIET)
    handed, found = logger_in(tmp_path, experiment=own), logger_in(tmp_path)

    handed.log_metrics({"handed": 1.0}, 0)
    handed.finalize("failed")
    with pytest.warns(UserWarning, match=f"continues the W&B run '{own.id}', which is already open"):
        found.log_metrics({"found": 2.0}, 1)
    found.finalize("failed")

    assert wandb.run is own
    own.finish()
    (run,) = runs(tmp_path / "own")
    assert (run.column("handed"), run.column("found")) == ([(0, 1.0)], [(1, 2.0)])
    assert not (tmp_path / "wandb").exists()


def test_a_copy_in_another_process_continues_the_run(tmp_path):
    logger = logger_in(tmp_path)

    copy = pickle.loads(pickle.dumps(logger))
    copy.log_metrics({"loss": 1.0}, 0)
    copy.close()
    logger.log_metrics({"loss": 2.0}, 1)
    logger.close()

    first, second = runs(tmp_path)
    assert first.id == second.id == logger.version


def test_tables_media_and_watched_gradients_are_rows_like_any_other(tmp_path):
    logger, model = logger_in(tmp_path), torch.nn.Linear(2, 1)

    logger.log_text("texts", columns=["a", "b"], data=[["x", "y"]], step=3)
    logger.log_image("images", [np.zeros((4, 4, 3), np.uint8)] * 2, step=4, caption=["one", "two"])
    logger.watch(model, log_freq=1, log_graph=False)
    model(torch.ones(1, 2)).sum().backward()
    logger.unwatch(model)
    logger.log_metrics({"loss": 1.0}, 5)
    logger.close()

    (run,) = runs(tmp_path)
    assert run.column("texts/ncols") == [(3, 2)]
    assert run.column("images/captions") == [(4, ["one", "two"])]
    assert any(name.startswith("gradients/") for row in run.rows for name in row)


class Saved(Checkpoint):
    """A checkpoint callback as `ModelCheckpoint` looks from outside, with real files."""

    def __init__(self, folder, save_top_k=1):
        self.save_top_k, self.monitor, self.mode = save_top_k, "val/loss", "min"
        self.best_model_path, self.last_model_path = str(folder / "best.ckpt"), str(folder / "last.ckpt")
        self.best_model_score, self.current_score = torch.tensor(0.5), torch.tensor(0.75)
        self.best_k_models = {self.best_model_path: self.best_model_score}
        for path in (self.best_model_path, self.last_model_path):
            torch.save({"weights": torch.zeros(3)}, path)


def uploads(folder):
    """Name, aliases and original file of each artifact of the only run in *folder*."""
    (run,) = runs(folder)
    return [
        (artifact.name, sorted(artifact.aliases), json.loads(artifact.metadata)["original_filename"])
        for artifact in run.artifacts
    ]


@pytest.mark.parametrize(
    ("log_model", "top_k", "during"), [(True, 1, False), (True, -1, True), ("all", 1, True), (False, -1, None)]
)
def test_checkpoints_are_uploaded_once_and_when_log_model_says(tmp_path, log_model, top_k, during):
    callback = Saved(tmp_path, top_k)
    logger = logger_in(tmp_path, log_model=log_model, checkpoint_name="net")
    logger.log_metrics({"loss": 1.0}, 0)

    for _ in range(2):
        logger.after_save_checkpoint(callback)
    if during:
        torch.save({}, callback.last_model_path)  # what is gone by the end must have been taken before
        Path(callback.best_model_path).unlink()
    logger.finalize("success")
    logger.finalize("success")
    logger.close()

    best, last = ("net", ["best", "latest"], "best.ckpt"), ("net", ["latest"], "last.ckpt")
    assert sorted(uploads(tmp_path)) == ([] if during is None else [best, last])


def test_settings_that_contradict_each_other_are_refused_at_once():
    with pytest.raises(ConfigurationError, match="log_model='all' together with offline=True"):
        WandbLogger(offline=True, log_model="all")


def test_one_caption_for_two_images_is_refused(tmp_path):
    logger = logger_in(tmp_path)

    with pytest.raises(ValueError, match="'x' has 2 entries, but 'caption' has 1"):
        logger.log_image("x", [1, 2], caption=["one"])
    with pytest.raises(TypeError, match="'x' must be logged as a list, one entry per audio; got str"):
        logger.log_audio("x", "sound.wav")


def test_project_and_folder_fall_back_as_in_lightning(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    monkeypatch.delenv("WANDB_DIR", raising=False)
    plain = WandbLogger()
    monkeypatch.setenv("WANDB_PROJECT", "from_environment")

    plain.attach(str(tmp_path))

    assert (plain.name, plain.save_dir, plain.version) == ("lightning_logs", str(tmp_path), None)
    assert WandbLogger().name == "from_environment"
    assert WandbLogger(project="chosen").name == "chosen"
    assert WandbLogger(dir=tmp_path / "d", version="v").save_dir == str(tmp_path / "d")
    assert WandbLogger(version="v").version == WandbLogger(id="v").version == "v"


def test_a_rank_other_than_0_opens_no_run(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    logger = logger_in(tmp_path)

    logger.log_metrics({"loss": 1.0}, 0)
    logger.log_hyperparams({"lr": 0.1})
    logger.log_text("t", columns=["a"], data=[["x"]])
    logger.watch(torch.nn.Linear(1, 1))
    logger.finalize("success")

    assert wandb.run is None
    assert isinstance(logger.experiment, DummyExperiment)
    assert list(tmp_path.iterdir()) == []
