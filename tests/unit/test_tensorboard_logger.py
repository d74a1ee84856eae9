"""TensorBoardLogger writes what TensorBoard itself reads back, and a resume leaves no point twice."""

import pickle

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from leyden.errors import ConfigurationError
from leyden.loggers.dummy import DummyExperiment
from leyden.loggers.tensorboard import TensorBoardLogger
from leyden.module import LightningModule


class Linear(LightningModule):
    """A real module with an input to trace it on."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        self.example_input_array = torch.zeros(1, 3)

    def forward(self, x):
        return self.layer(x)


def flat(folder, **options):
    """A logger that writes directly to *folder*."""
    return TensorBoardLogger(folder, name="", version="", **options)


def events(folder):
    """What TensorBoard sees in *folder*, purged points left out."""
    return EventAccumulator(str(folder), purge_orphaned_data=True).Reload()


def points(folder, name):
    """Step and value of each point of one curve."""
    return [(event.step, event.value) for event in events(folder).Scalars(name)]


def test_each_metric_becomes_a_point_at_its_step(tmp_path):
    logger = flat(tmp_path, prefix="run")

    logger.log_metrics({"loss": 0.5, "acc": torch.tensor(0.25)}, 3)
    logger.log_metrics({"both": {"a": 1.0, "b": 2.0}}, 4)
    logger.finalize("success")

    assert points(tmp_path, "run-loss") == [(3, 0.5)]
    assert points(tmp_path, "run-acc") == [(3, 0.25)]
    assert points(tmp_path / "run-both_b", "run-both") == [(4, 2.0)]


def test_a_value_that_is_no_number_is_refused_by_name(tmp_path):
    logger = flat(tmp_path)

    with pytest.raises(ConfigurationError, match="metric 'bad' is no number but a Tensor"):
        logger.log_metrics({"bad": torch.zeros(2)}, 0)
    logger.finalize("failed")


def test_hyperparameters_stand_beside_the_metric_that_judges_them(tmp_path):
    logger = flat(tmp_path)

    logger.log_hyperparams({"model": {"width": 8, "act": torch.nn.ReLU}, "bs": [1, 2]}, {"hp/acc": 0.75})
    logger.finalize("success")

    content = events(tmp_path).SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"model/width" in content
    assert b"torch.nn.modules.activation.ReLU" in content
    assert points(tmp_path, "hp/acc") == [(0, 0.75)]
    assert yaml.safe_load((tmp_path / "hparams.yaml").read_text())["bs"] == [1, 2]


def test_hyperparameters_without_a_metric_get_the_placeholder_unless_told_otherwise(tmp_path):
    with_placeholder, without = flat(tmp_path / "with"), flat(tmp_path / "without", default_hp_metric=False)

    for logger in (with_placeholder, without):
        logger.log_hyperparams({"lr": 0.1})
        logger.finalize("success")

    assert points(tmp_path / "with", "hp_metric") == [(0, -1.0)]
    assert [entry.name for entry in (tmp_path / "without").iterdir()] == ["hparams.yaml"]


def test_the_graph_of_a_module_is_traced_on_its_example_input(tmp_path):
    logger = flat(tmp_path, log_graph=True)

    logger.log_graph(Linear())
    logger.finalize("success")

    assert any("layer" in node.name for node in events(tmp_path).Graph().node)


def test_a_module_without_an_example_input_is_named_in_a_warning(tmp_path):
    module = Linear()
    module.example_input_array = None

    with pytest.warns(UserWarning, match="cannot trace Linear: its example_input_array is a NoneType"):
        flat(tmp_path, log_graph=True).log_graph(module)

    assert list(tmp_path.iterdir()) == []


def test_the_graph_is_left_out_unless_asked_for(tmp_path):
    flat(tmp_path).log_graph(Linear())

    assert list(tmp_path.iterdir()) == []


def test_after_a_resume_no_point_behind_the_restored_step_is_shown(tmp_path):
    killed = flat(tmp_path)
    for step in range(5):
        killed.log_metrics({"loss": float(step)}, step)
    state = killed.state_dict()
    for step in range(5, 9):
        killed.log_metrics({"loss": -1.0}, step)
    killed.save()

    resumed = flat(tmp_path)
    resumed.load_state_dict(state)
    for step in range(5, 7):
        resumed.log_metrics({"loss": float(step)}, step)
    resumed.finalize("success")
    resumed.log_metrics({"test": 1.0}, 0)  # a test run after the fit, in a file of its own
    resumed.finalize("success")
    killed.finalize("failed")

    assert state == {"step": 4}
    assert points(tmp_path, "loss") == [(step, float(step)) for step in range(7)]
    assert points(tmp_path, "test") == [(0, 1.0)]


def test_folders_are_named_as_lightning_names_them(tmp_path):
    assert TensorBoardLogger(tmp_path, "exp", 2, sub_dir="a").log_dir == str(tmp_path / "exp" / "version_2" / "a")
    assert TensorBoardLogger(tmp_path, "", "tensorboard").log_dir == str(tmp_path / "tensorboard")
    assert TensorBoardLogger(tmp_path, "exp").log_dir == str(tmp_path / "exp" / "version_0")
    assert TensorBoardLogger(tmp_path, "exp").log_dir == str(tmp_path / "exp" / "version_1")


def test_a_rank_other_than_0_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    logger = TensorBoardLogger(tmp_path, "exp", log_graph=True)

    logger.log_metrics({"loss": 1.0}, 0)
    logger.log_hyperparams({"lr": 0.1})
    logger.log_graph(Linear())
    logger.finalize("success")

    assert list(tmp_path.iterdir()) == []
    assert isinstance(logger.experiment, DummyExperiment)


def test_a_logger_with_an_open_file_can_be_sent_to_another_process(tmp_path):
    logger = flat(tmp_path)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.save()

    copy = pickle.loads(pickle.dumps(logger))
    copy.log_metrics({"loss": 2.0}, 1)
    copy.finalize("success")
    logger.finalize("success")

    assert points(tmp_path, "loss") == [(0, 1.0), (1, 2.0)]
