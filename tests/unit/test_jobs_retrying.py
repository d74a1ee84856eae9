"""Only what did not finish is started again, and with the options that it had."""

import json
import os
import time

import pytest

from leyden.errors import ConfigurationError
from leyden.launch.jobs.cancelling import cancellable
from leyden.launch.jobs.launchers import FILE, again, keep
from leyden.launch.jobs.listing import Job
from leyden.launch.jobs.retrying import refusal, retry
from leyden.launch.status import Standing
from leyden.runs.lock import executing
from leyden.runs.record.files import read
from leyden.runs.record.job import JobRecord
from leyden.runs.record.liveness import alive
from leyden.runs.record.state import RunState
from tests.run_directories import make


def job(path, state, **record):
    """Return a job in a state; *record* goes to its job.json."""
    run = make(path / f"{state}-{time.monotonic_ns()}")
    if record:
        (run.path / "job.json").write_text(json.dumps(record))
    return Job("run", read(run.path), Standing(RunState(state)), None, time.time())


@pytest.mark.parametrize(
    ("state", "plain", "failed", "unfinished", "named"),
    [
        ("finished", False, False, False, False),
        ("running", False, False, False, False),
        ("silent", False, False, False, False),
        ("interrupted", True, True, True, True),
        ("dead", True, True, True, True),
        ("failed", False, True, True, True),
        ("queued", False, False, True, True),
    ],
)
def test_what_is_started_again(state, plain, failed, unfinished, named, tmp_path):
    given = job(tmp_path, state)

    assert (refusal(given, False) is None) is plain
    assert (refusal(given, False, failed=True) is None) is failed
    assert (refusal(given, False, unfinished=True) is None) is unfinished
    assert (refusal(given, True) is None) is named


def test_what_waits_with_a_launcher_is_left_alone_even_by_name(tmp_path):
    assert refusal(job(tmp_path, "queued", launcher="local", id="1_0"), True, True, True) == "waits already"


def test_what_may_wait_at_a_cluster_that_does_not_answer_is_left_alone(tmp_path):
    given = job(tmp_path, "interrupted", launcher="slurm", id="12_3")

    assert "may wait there" in refusal(given, True, answered=False)
    assert refusal(given, True, answered=True) is None


def test_a_cluster_is_asked_for_the_same_once_more_but_not_to_wait_or_to_come_after_others(tmp_path):
    keep(tmp_path, "slurm", {"partition": "gpu", "nodes": 2, "wait": True, "dependency": "afterok:1"})

    launcher = again(JobRecord("slurm", "12_3", str(tmp_path)), [tmp_path / "run"], ["friend"])

    assert (launcher.options.partition, launcher.options.nodes) == ("gpu", 2)
    assert (launcher.options.wait, launcher.options.dependency, launcher.trusted) == (False, None, ("friend",))


def test_options_of_another_launch_of_ones_own_are_not_taken(tmp_path):
    batch = tmp_path / "mine" / "slurm"
    batch.mkdir(parents=True)
    keep(batch, "slurm", {"setup": ["module load cuda"]})

    with pytest.raises(ConfigurationError, match="was not written by a launch of yours"):
        again(JobRecord("slurm", "12_3", str(batch)), [tmp_path / "stranger" / "run"])


def test_options_of_another_version_are_refused_with_the_file(tmp_path):
    keep(tmp_path, "slurm", {"partitoin": "gpu"})

    with pytest.raises(ConfigurationError, match=FILE):
        again(JobRecord("slurm", "12_3", str(tmp_path)), [tmp_path / "run"])


@pytest.mark.parametrize(
    "record", [JobRecord(), JobRecord("slurm", "12_3"), JobRecord("slurm", "12_3", "/nowhere"), JobRecord("x")]
)
def test_without_anything_kept_there_is_no_launcher(record, tmp_path):
    assert again(record, [tmp_path / "run"]) is None


def test_a_queue_of_this_machine_has_the_slots_it_had(tmp_path):
    content = {"options": {"slots": 3, "gpus_per_job": None}, "directories": [], "devices": {}}
    (tmp_path / "queue.json").write_text(json.dumps(content))

    assert again(JobRecord("local", "1_0", str(tmp_path)), [tmp_path / "run"]).options.slots == 3
    assert again(JobRecord("local", "1_0", str(tmp_path / "gone")), [tmp_path / "run"]).options.slots is None


def test_how_a_run_without_a_launcher_is_started_is_said(tmp_path):
    given = job(tmp_path, "dead")

    (outcome,) = retry([given])

    assert outcome.failed
    assert f"leyden run {given.path.name}" in outcome.did


def test_only_a_process_that_holds_the_run_is_ever_meant(tmp_path):
    run = make(tmp_path / "run")
    moment = {"host": os.uname().nodename, "pid": os.getpid(), "started": "2100-01-01T00:00:00+00:00"}
    run.update(status="running", **moment)

    assert alive(os.getpid(), None)
    assert executing(run.path) is None
    with run.locked():
        assert executing(run.path) == os.getpid()
    run.update(host="far")
    assert executing(run.path) is None


def test_what_nobody_will_begin_cannot_be_cancelled(tmp_path):
    assert not cancellable(job(tmp_path, "queued"))
    assert cancellable(job(tmp_path, "queued", launcher="slurm", id="1"))
    assert not cancellable(job(tmp_path, "finished"))
