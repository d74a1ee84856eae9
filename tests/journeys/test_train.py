"""The main job as a person meets it: train, look at what was left behind, evaluate, predict, sweep, fail."""

import json

import pytest
import torch
import yaml

from tests.journeys.command import leyden, only_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder, run directory and output of one short run."""
    folder = tmp_path_factory.mktemp("trained")
    said = leyden(folder, "train", "trainer.max_epochs=3", "seed=7")
    return folder, only_run(folder), said


def test_training_prints_its_results_and_the_directory(trained):
    _, run, said = trained

    assert "test_acc" in said
    assert said.rstrip().endswith(f"run directory  runs/digits_mlp/{run.name}")


def test_the_directory_holds_everything_about_the_run(trained):
    _, run, _ = trained
    names = {path.name for path in run.iterdir()}
    config = yaml.safe_load((run / "config.yaml").read_text())
    status = json.loads((run / "status.json").read_text())
    result = json.loads((run / "result.json").read_text())

    assert {
        "config.yaml",
        "overrides.yaml",
        "status.json",
        "result.json",
        "metrics.csv",
        "checkpoints",
        "logs",
    } <= names
    assert "${" not in (run / "config.yaml").read_text()
    assert (config["seed"], config["trainer"]["max_epochs"]) == (7, 3)
    assert yaml.safe_load((run / "overrides.yaml").read_text())["overrides"] == ["trainer.max_epochs=3", "seed=7"]
    assert (status["status"], status["attempts"], status["epoch"]) == ("finished", 1, 3)
    assert result["metrics"]["test_acc"] > 0.5
    assert "epoch 2, step" in (run / "logs" / "rank0.log").read_text()


def test_evaluating_the_directory_gives_the_numbers_of_the_run(trained):
    folder, run, _ = trained
    accuracy = json.loads((run / "result.json").read_text())["metrics"]["test_acc"]
    before = sorted(path.stat().st_mtime_ns for path in run.rglob("*"))

    said = leyden(folder, "evaluate", str(run), "data.batch_size=50")

    assert f"test_acc     {accuracy:.4g}" in said
    assert sorted(path.stat().st_mtime_ns for path in run.rglob("*")) == before


def test_predicting_with_a_checkpoint_keeps_one_output_a_batch(trained):
    folder, run, _ = trained

    said = leyden(folder, "predict", str(run / "checkpoints" / "last.ckpt"), "--output", "scores.pt")

    outputs = torch.load(folder / "scores.pt", weights_only=True)
    assert sum(len(output) for output in outputs) == 359  # the held-out fifth of 1797
    assert f"{len(outputs)} batches of predictions" in said
    assert "exists already" in leyden(folder, "predict", str(run), "--output", "scores.pt", code=2)


def test_the_same_seed_gives_the_same_result(trained):
    folder, run, _ = trained

    leyden(folder, "train", "trainer.max_epochs=3", "seed=7", "name=again")

    (again,) = (folder / "runs" / "again").iterdir()
    assert (again / "metrics.csv").read_text() == (run / "metrics.csv").read_text()


def test_a_grid_makes_one_directory_a_job(tmp_path):
    leyden(tmp_path, "train", "-m", "seed=1,2", "trainer.max_epochs=1", "logger=csv")

    (sweep,) = (tmp_path / "runs" / "multirun").iterdir()
    statuses = [json.loads((sweep / job / "status.json").read_text())["status"] for job in ("0", "1")]
    seeds = [yaml.safe_load((sweep / job / "config.yaml").read_text())["seed"] for job in ("0", "1")]
    assert statuses == ["finished", "finished"]
    assert seeds == [1, 2]


@pytest.mark.parametrize("preset", ["fast", "overfit", "limit", "profile", "anomaly"])
def test_every_debug_preset_runs(preset, tmp_path):
    said = leyden(tmp_path, "train", f"debug={preset}", *(["trainer.max_epochs=2"] if preset != "fast" else []))

    assert "run directory" in said
    assert ("run_training_batch" in said) == (preset == "profile")


def test_an_error_in_user_code_is_recorded_with_its_cause(tmp_path):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "broken.py").write_text(
        "import leyden as L\n"
        "from leyden.models import MLP\n\n\n"
        "class Broken(MLP):\n"
        "    def training_step(self, batch, batch_idx):\n"
        "        if self.global_step == 3:\n"
        "            raise ZeroDivisionError('the third step')\n"
        "        return super().training_step(batch, batch_idx)\n"
    )
    (tmp_path / "conf" / "model" / "broken.yaml").write_text("_target_: broken.Broken\n")

    said = leyden(tmp_path, "train", "model=broken", code=1)

    run = only_run(tmp_path)
    status = json.loads((run / "status.json").read_text())
    assert status["status"] == "failed"
    assert status["error"] == "ZeroDivisionError: the third step"
    assert "line 8, in training_step" in (run / "logs" / "rank0.log").read_text()
    assert "ZeroDivisionError: the third step" in said


def test_unknown_commands_are_refused_with_the_closest_one(tmp_path):
    assert "Did you mean: leyden train" in leyden(tmp_path, "trian", code=2)
    assert "usage: leyden COMMAND" in leyden(tmp_path, "--help")
    assert leyden(tmp_path, "--version").startswith("leyden ")


def test_what_is_no_run_is_refused(tmp_path):
    assert "lies in no run directory" in leyden(tmp_path, "evaluate", ".", code=2)
    assert "does not exist" in leyden(tmp_path, "predict", "nothing.ckpt", code=2)
    assert "holds no config.yaml" in leyden(tmp_path, "run", ".", code=2)
