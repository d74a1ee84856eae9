"""A person who needs a key for a run finds it nowhere on disk afterwards, whatever happened in between."""

import os
import subprocess
import sys

import pytest
import yaml

from tests.journeys.command import ENVIRONMENT, only_run

KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
CALLBACK = '''
import logging
import os
import warnings
from leyden import Callback


class Client(Callback):
    """Talks to a service, and is careless with its key."""

    def __init__(self, api_key, fail=False):
        self.api_key, self.fail = api_key, fail

    def on_train_start(self, trainer, pl_module):
        logging.getLogger("leyden.run").info("logged in with %s as https://me:hunter2@host", self.api_key)
        pl_module.save_hyperparameters({"api_key": self.api_key, "width": 3})
        print("key", len(self.api_key))

    def on_train_epoch_end(self, trainer, pl_module):
        if self.fail and not os.path.exists("repaired"):
            raise RuntimeError(f"403 for {self.api_key}")
'''
QUICK = ("trainer.max_epochs=1", "trainer.limit_train_batches=2", "experiment=service")


@pytest.fixture
def project(tmp_path):
    """A project with a callback that needs a key."""
    place = tmp_path / "experiments" / "service"
    place.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (place / "client.py").write_text(CALLBACK)
    (place / "experiment.yaml").write_text(
        "name: service\ncallbacks:\n  client:\n    _target_: experiments.service.client.Client\n"
        "    api_key: ${oc.env:SERVICE_API_KEY}\n"
    )
    return tmp_path


def run(folder, *words, **variables):
    done = subprocess.run(
        [sys.executable, "-m", "leyden", *words],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=250,
        env={**{name: value for name, value in ENVIRONMENT.items() if name != "SERVICE_API_KEY"}, **variables},
    )
    return done.returncode, done.stdout + done.stderr


def files_with(folder, *texts):
    """Return the files below *folder* that hold one of *texts*."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in paths for text in texts if text.encode() in path.read_bytes()]


def test_a_key_from_the_environment_is_used_and_written_nowhere(project):
    code, said = run(project, "train", *QUICK, SERVICE_API_KEY=KEY)
    directory = only_run(project, "service")
    config = yaml.safe_load((directory / "config.yaml").read_text())

    assert code == 0, said
    assert "key 40" in said
    assert config["callbacks"]["client"]["api_key"] == "${oc.env:SERVICE_API_KEY}"
    assert "logged in with <secret> as https://<secret>@host" in (directory / "logs" / "rank0.log").read_text()
    assert list((directory / "checkpoints").rglob("*.ckpt"))
    assert files_with(project / "runs", KEY, "hunter2@") == []


def test_a_failure_that_repeats_the_key_does_not_write_it(project):
    code, said = run(project, "train", *QUICK, "+callbacks.client.fail=true", SERVICE_API_KEY=KEY)
    directory = only_run(project, "service")

    assert code == 1, said
    assert "403 for <secret>" in (directory / "status.json").read_text()
    assert "403 for <secret>" in (directory / "logs" / "rank0.log").read_text()
    assert files_with(project / "runs", KEY) == []


def test_a_run_is_executed_again_where_the_key_is_and_refused_where_it_is_not(project):
    run(project, "train", *QUICK, "+callbacks.client.fail=true", SERVICE_API_KEY=KEY)
    directory = only_run(project, "service")
    (project / "repaired").touch()

    without, said = run(project, "run", str(directory))
    with_key, finished = run(project, "run", str(directory), SERVICE_API_KEY=KEY)

    assert without == 2
    assert "refers to the environment variable SERVICE_API_KEY, which is not set here" in said
    assert with_key == 0, finished
    assert files_with(project / "runs", KEY) == []


@pytest.mark.parametrize("sweep", [(), ("-m", "seed=1,2")])
def test_a_key_typed_out_is_refused_and_nothing_is_made(project, sweep):
    code, said = run(project, "train", *sweep, *QUICK, f"callbacks.client.api_key={KEY}", SERVICE_API_KEY=KEY)

    assert code == 2
    assert "callbacks.client.api_key" in said
    assert "It is the value of the environment variable SERVICE_API_KEY" in said
    assert "callbacks.client.api_key='${oc.env:SERVICE_API_KEY}'" in said
    assert KEY not in said
    assert not os.path.exists(project / "runs")


def test_a_sweep_with_a_reference_writes_no_key(project):
    code, said = run(project, "train", "-m", *QUICK, "seed=1,2", SERVICE_API_KEY=KEY)

    assert code == 0, said
    assert len(list((project / "runs" / "multirun").rglob("result.json"))) == 2
    assert files_with(project / "runs", KEY) == []


def test_a_run_with_a_password_in_the_address_of_mlflow_is_resumed_and_writes_it_nowhere(project):
    address = f"sqlite:///file:{project / 'mlflow.db'}?uri=true&token=s3cretw0rd42"  # SQLite leaves the token alone
    variables = {"SERVICE_API_KEY": KEY, "MLFLOW_TRACKING_URI": address}
    run(project, "train", *QUICK, "logger=mlflow", "+callbacks.client.fail=true", **variables)
    directory = only_run(project, "service")
    (project / "repaired").touch()

    without, said = run(project, "run", str(directory), SERVICE_API_KEY=KEY)
    with_it, finished = run(project, "run", str(directory), **variables)

    assert (
        yaml.safe_load((directory / "config.yaml").read_text())["logger"]["mlflow"]["tracking_uri"]
        == "${oc.env:MLFLOW_TRACKING_URI}"
    )
    assert without == 2
    assert "refers to the environment variable MLFLOW_TRACKING_URI, which is not set here" in said
    assert with_it == 0, finished
    assert files_with(project, KEY, "s3cretw0rd42") == []
    assert (project / "mlflow.db").stat().st_size > 0
