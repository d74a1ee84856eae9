"""MLFlowLogger keeps one run per experiment, and MLflow has recorded all it was given.

The runs are real, in MLflow's local database; what they recorded is read back by a client of its own.
"""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import torch
import yaml

from leyden import ConfigurationError, Trainer
from leyden.callbacks import ModelCheckpoint
from leyden.loggers import MLFlowLogger
from leyden.loggers.dummy import DummyExperiment
from leyden.testing import TinyData, TinyModule

# MLflow's own tables are declared in a way that new versions of SQLAlchemy warn about.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database with MLflow's tables: making them takes seconds."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty, tmp_path):
    """The address of a database of this test's own."""
    shutil.copy(empty, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def recorded(store, logger):
    """What MLflow has recorded of the run."""
    return mlflow.MlflowClient(store).get_run(logger.run_id)


def history(store, logger, name):
    """Pairs of step and value of one metric."""
    return [(each.step, each.value) for each in mlflow.MlflowClient(store).get_metric_history(logger.run_id, name)]


def artifacts(store, logger, folder=None):
    """Paths of the files of the run, in all folders."""
    client, found = mlflow.MlflowClient(store), []
    for each in client.list_artifacts(logger.run_id, folder):
        found += artifacts(store, logger, each.path) if each.is_dir else [each.path]
    return sorted(found)


def trainer_with(*loggers, **options):
    """A quiet trainer of two batches and one epoch."""
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    return Trainer(logger=list(loggers), accelerator="cpu", **({**quiet, "max_epochs": 1} | options))


# --- before anything is logged -------------------------------------------------------------


def test_building_a_logger_imports_no_mlflow_and_writes_nothing():
    program = "import sys; from leyden.loggers import MLFlowLogger; MLFlowLogger(); assert 'mlflow' not in sys.modules"

    subprocess.run([sys.executable, "-c", program], check=True)

    assert list(Path().iterdir()) == []


def test_without_mlflow_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # how Python marks a module that cannot be imported

    with pytest.raises(ConfigurationError, match=r'needs MLflow, .* pip install "leyden\[mlflow\]"'):
        MLFlowLogger()


def test_one_logger_does_not_decide_where_the_next_one_writes(store):
    MLFlowLogger(tracking_uri=store).log_metrics({"loss": 1.0})

    assert MLFlowLogger(save_dir="mine").save_dir == "mine"


def test_a_folder_is_refused_unless_mlflow_is_told_to_allow_it(monkeypatch):
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)

    with pytest.raises(ConfigurationError, match=r"'file:\./mlruns', a folder.*tracking_uri='sqlite:///mlflow.db'"):
        MLFlowLogger().log_metrics({"loss": 1.0})

    assert list(Path().iterdir()) == []


def test_a_folder_can_still_be_written_where_it_is_allowed(monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    logger = MLFlowLogger(save_dir="records")

    logger.log_metrics({"loss": 1.5}, step=3)

    assert Path("records", logger.experiment_id, logger.run_id, "metrics", "loss").read_text().split()[1:] == [
        "1.5",
        "3",
    ]
    assert logger.save_dir == "records"


def test_the_environment_says_where_unless_the_logger_does(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    logger = MLFlowLogger()

    logger.log_metrics({"loss": 1.0})

    assert history(store, logger, "loss") == [(0, 1.0)]
    assert logger.save_dir is None


def test_the_trainer_lends_its_folder_to_a_logger_without_one(tmp_path):
    logger = MLFlowLogger(save_dir=None)

    logger.attach(str(tmp_path))

    assert logger.save_dir == str(tmp_path / "mlruns")


def test_ranks_other_than_0_log_nowhere(store, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    logger = MLFlowLogger("other", tracking_uri=store)

    logger.log_metrics({"loss": 1.0})
    logger.log_hyperparams({"lr": 0.1})
    logger.finalize("success")

    assert isinstance(logger.experiment, DummyExperiment)
    assert mlflow.MlflowClient(store).get_experiment_by_name("other") is None


# --- the run -----------------------------------------------------------------------------------


def test_a_run_has_its_name_its_tags_and_its_experiment(store):
    logger = MLFlowLogger("digits", "first", tracking_uri=store, tags={"team": "a"}, artifact_location="files")

    run = recorded(store, logger)

    assert run.info.run_name == "first"
    assert run.data.tags["team"] == "a"
    experiment = mlflow.MlflowClient(store).get_experiment_by_name("digits")
    assert (logger.name, logger.version) == (experiment.experiment_id, run.info.run_id)
    assert experiment.artifact_location.endswith("files")


def test_two_loggers_of_one_experiment_are_two_runs_of_it(store):
    first, second = (MLFlowLogger("digits", tracking_uri=store) for _ in range(2))

    assert first.experiment_id == second.experiment_id
    assert first.run_id != second.run_id


def test_a_deleted_experiment_is_not_written_to(store):
    client = mlflow.MlflowClient(store)
    client.delete_experiment(client.create_experiment("digits"))

    with pytest.raises(ConfigurationError, match=r"'digits'.*it was deleted"):
        MLFlowLogger("digits", tracking_uri=store).log_metrics({"loss": 1.0})


def test_what_the_user_logs_through_mlflow_itself_goes_to_the_same_place(store):
    logger = MLFlowLogger(tracking_uri=store)

    _ = logger.experiment

    assert mlflow.get_tracking_uri() == store


@pytest.mark.parametrize(("status", "expected"), [("success", "FINISHED"), ("failed", "FAILED")])
def test_the_end_of_a_stage_is_the_status_of_the_run(store, status, expected):
    logger = MLFlowLogger(tracking_uri=store)
    logger.log_metrics({"loss": 1.0})

    logger.finalize(status)

    assert recorded(store, logger).info.status == expected


def test_a_run_can_be_continued_by_its_id(store):
    first = MLFlowLogger(tracking_uri=store)
    first.log_metrics({"loss": 1.0}, step=0)
    first.finalize("success")

    second = MLFlowLogger(tracking_uri=store, run_id=first.run_id)
    second.log_metrics({"loss": 0.5}, step=1)

    assert history(store, first, "loss") == [(0, 1.0), (1, 0.5)]
    assert recorded(store, second).info.status == "RUNNING"


def test_a_checkpoint_brings_its_run_back(store):
    first = MLFlowLogger(tracking_uri=store)
    first.log_metrics({"loss": 1.0})

    second, chosen = MLFlowLogger(tracking_uri=store), MLFlowLogger(tracking_uri=store, run_id="mine")
    second.load_state_dict(first.state_dict())
    chosen.load_state_dict(first.state_dict())

    assert second.run_id == first.run_id
    assert chosen.state_dict() == {"run_id": "mine"}


def test_a_copy_in_another_process_continues_the_run(store):
    logger = MLFlowLogger(tracking_uri=store)
    logger.log_metrics({"loss": 1.0})

    copy = pickle.loads(pickle.dumps(logger))

    assert copy.run_id == logger.run_id


# --- what is logged ------------------------------------------------------------------------------


def test_rows_are_exact_and_stand_at_their_steps(store):
    logger = MLFlowLogger(tracking_uri=store, prefix="a")

    logger.log_metrics({"loss": 0.1, "count": torch.tensor(3)}, step=7)
    logger.log_metrics({"loss": 0.30000000000000004}, step=9)

    assert history(store, logger, "a-loss") == [(7, 0.1), (9, 0.30000000000000004)]
    assert history(store, logger, "a-count") == [(7, 3.0)]


def test_a_value_that_is_no_number_is_refused(store):
    with pytest.raises(ConfigurationError, match="metric 'loss' is no number"):
        MLFlowLogger(tracking_uri=store).log_metrics({"loss": "low"})


def test_characters_that_mlflow_refuses_are_left_out_with_a_warning(store):
    logger = MLFlowLogger(tracking_uri=store)

    with pytest.warns(UserWarning, match=r"'acc@\[1\]' is logged as 'acc1'"):
        logger.log_metrics({"acc@[1]": 0.5})

    assert history(store, logger, "acc1") == [(0, 0.5)]


def test_waiting_for_mlflow_can_be_put_off_to_the_end(store):
    logger = MLFlowLogger(tracking_uri=store, synchronous=False)

    for step in range(20):
        logger.log_metrics({"loss": 1.0 / (step + 1)}, step=step)
    logger.finalize("success")

    assert sorted(history(store, logger, "loss")) == [(step, 1.0 / (step + 1)) for step in range(20)]


def test_hyperparameters_are_flat_text(store):
    logger = MLFlowLogger(tracking_uri=store)

    logger.log_hyperparams({"lr": 0.1, "model": {"width": 8, "act": torch.nn.ReLU}, "long": "x" * 1000})

    params = recorded(store, logger).data.params
    assert params.pop("long") == "x" * 500
    assert params == {"lr": "0.1", "model/width": "8", "model/act": "torch.nn.modules.activation.ReLU"}


def test_more_hyperparameters_than_one_request_takes_are_all_recorded(store):
    logger = MLFlowLogger(tracking_uri=store)

    logger.log_hyperparams({f"p{index}": index for index in range(201)})

    assert len(recorded(store, logger).data.params) == 201


def test_a_hyperparameter_keeps_its_first_value_and_the_second_is_warned_about(store):
    first = MLFlowLogger(tracking_uri=store)
    first.log_hyperparams({"lr": 0.1})
    second = MLFlowLogger(tracking_uri=store, run_id=first.run_id)

    second.log_hyperparams({"lr": 0.1, "new": 1})
    with pytest.warns(UserWarning, match="'lr' is now '0.2'.*has recorded '0.1'"):
        second.log_hyperparams({"lr": 0.2})

    assert recorded(store, second).data.params == {"lr": "0.1", "new": "1"}


# --- in a trainer --------------------------------------------------------------------------------


class Logging(TinyModule):
    """Logs its loss and has a hyper-parameter."""

    def __init__(self, width=4):
        super().__init__()
        self.save_hyperparameters()

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("loss", loss)
        return loss

    def test_step(self, batch, batch_idx):
        self.log("tested", 1.0)


def test_a_fit_and_its_test_are_one_run(store):
    logger = MLFlowLogger(tracking_uri=store)
    trainer, module = trainer_with(logger, log_every_n_steps=1), Logging()

    trainer.fit(module, TinyData())
    trainer.test(module, TinyData(), verbose=False)

    run = recorded(store, logger)
    assert [step for step, _ in history(store, logger, "loss")] == [0, 1]
    assert run.data.metrics["tested"] == 1.0
    assert run.data.params == {"width": "4"}
    assert run.info.status == "FINISHED"


def test_a_fit_that_fails_is_a_failed_run(store):
    class Breaks(Logging):
        def on_train_end(self):
            raise RuntimeError("broken")

    logger = MLFlowLogger(tracking_uri=store)

    with pytest.raises(RuntimeError, match="broken"):
        trainer_with(logger).fit(Breaks(), TinyData())

    assert recorded(store, logger).info.status == "FAILED"


@pytest.mark.parametrize(
    ("options", "kept", "expected"),
    [
        ({"log_model": False}, 1, []),
        ({"log_model": True}, 1, ["epoch=1-step=4"]),
        ({"log_model": True}, -1, ["epoch=0-step=2", "epoch=1-step=4"]),
        ({"log_model": "all"}, 1, ["epoch=0-step=2", "epoch=1-step=4"]),
        ({"log_model": True, "checkpoint_path_prefix": "saved"}, 1, ["saved/epoch=1-step=4"]),
    ],
    ids=["none", "at the end", "all are kept", "as they are written", "in a folder"],
)
def test_checkpoints_become_artifacts(store, tmp_path, options, kept, expected):
    logger = MLFlowLogger(tracking_uri=store, artifact_location=str(tmp_path / "files"), **options)
    saving = ModelCheckpoint(tmp_path / "checkpoints", save_top_k=kept)

    trainer_with(logger, callbacks=[saving], enable_checkpointing=True, max_epochs=2).fit(Logging(), TinyData())

    beside = ("aliases.txt", "metadata.yaml")
    names = [sorted((f"{Path(each).name}.ckpt", *beside)) for each in expected]
    assert artifacts(store, logger) == [
        f"{each}/{name}" for each, files in zip(expected, names, strict=True) for name in files
    ]


def test_an_artifact_says_what_it_is(store, tmp_path):
    logger = MLFlowLogger(tracking_uri=store, artifact_location=str(tmp_path / "files"), log_model=True)
    saving = ModelCheckpoint(tmp_path / "checkpoints", monitor="loss")

    trainer_with(logger, callbacks=[saving], enable_checkpointing=True).fit(Logging(), TinyData())

    folder = Path(
        mlflow.artifacts.download_artifacts(run_id=logger.run_id, artifact_path="epoch=0-step=2", tracking_uri=store)
    )
    described = yaml.safe_load((folder / "metadata.yaml").read_text())
    assert described["original_filename"] == "epoch=0-step=2.ckpt"
    assert described["score"] == pytest.approx(saving.best_model_score.item())
    assert described["ModelCheckpoint"]["monitor"] == "loss"
    assert (folder / "aliases.txt").read_text() == "['latest', 'best']"
    assert (folder / "epoch=0-step=2.ckpt").read_bytes() == Path(saving.best_model_path).read_bytes()
