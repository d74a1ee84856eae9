"""The files that say how a run stands are read with limits, whatever is in them; a lost one does not end the run."""

import json
import os

import pytest

from leyden.errors import UnsafeFileError
from leyden.runs.listing import one
from leyden.runs.record import attempts, job, status
from leyden.runs.record.attempts import Attempt
from leyden.runs.record.job import NONE, JobRecord
from leyden.runs.record.state import Outcome, RunState
from leyden.runs.record.status import Status

DONE = Attempt(2, Outcome.FINISHED, host="here", from_step=10, to_step=40)
SENT_AWAY = Attempt(1, Outcome.REQUEUED, "preempted", from_step=0, to_step=10)


def gone(path):
    path.unlink(missing_ok=True)


def torn(path):
    path.write_text('{"status": "runn')


def folder(path):
    path.unlink(missing_ok=True)
    (path / "inside").mkdir(parents=True)


def pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def a_list(path):
    path.write_text("[1]")


def binary(path):
    path.write_bytes(b"\xff\xfe\x00")


def deep(path):
    path.write_text('{"status": ' + "[" * 100_000)


def huge(path):
    path.write_text('{"status": "running", "error": "' + "x" * 2**21 + '"}')


DAMAGES = [gone, torn, folder, pipe, a_list, binary, deep, huge]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_status_is_unknown_and_says_what_is_wrong_with_it(damage, tmp_path):
    status.create(tmp_path)
    damage(tmp_path / "status.json")

    found = status.read(tmp_path)

    assert found.state is RunState.UNKNOWN
    assert "status.json " in found.problem


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_status_is_replaced_by_the_next_one(damage, tmp_path):
    damage(tmp_path / "status.json")

    status.update(tmp_path, status=RunState.RUNNING, attempts=3)

    assert (status.read(tmp_path).state, status.read(tmp_path).attempts) == (RunState.RUNNING, 3)
    assert status.read(tmp_path).problem == ""


@pytest.mark.parametrize("damage", [gone, torn, folder])
def test_the_attempts_tell_what_a_lost_status_said(damage, tmp_path):
    attempts.append(tmp_path, SENT_AWAY)
    damage(tmp_path / "status.json")
    assert (status.read(tmp_path).state, status.read(tmp_path).attempts) == (RunState.UNKNOWN, 1)

    attempts.append(tmp_path, DONE)
    assert (status.read(tmp_path).state, status.read(tmp_path).attempts) == (RunState.FINISHED, 2)


WRONG = [None, 3, 1.5, True, "x", [], {}, ["running"], 2**70]


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_an_entry_of_the_wrong_type_is_left_out_and_never_raises(value, tmp_path):
    keys = "status created updated attempts started ended pid host ranks job resumed_from from_step epoch step".split()
    (tmp_path / "status.json").write_text(json.dumps(dict.fromkeys(keys, value)))
    (tmp_path / "job.json").write_text(json.dumps(dict.fromkeys(["launcher", "id", "restarts", "submitted"], value)))
    (tmp_path / "attempts.jsonl").write_text(json.dumps(dict.fromkeys(["attempt", "outcome", "to_step"], value)))

    said, record, lines = status.read(tmp_path), job.read(tmp_path), attempts.read(tmp_path)

    assert said.state is RunState.UNKNOWN
    assert type(said.attempts) is int
    assert isinstance(record.launcher, str)
    assert record.restarts is None or type(record.restarts) is int
    assert [each.outcome for each in lines] == [None]


def test_what_was_written_before_is_read_as_it_was_meant(tmp_path):
    (tmp_path / "status.json").write_text(
        '{"status": "interrupted", "created": "2026-01-01T00:00:00+00:00", "attempts": 2, "pid": 7, "host": "node1",'
        ' "resumed_from": "checkpoints/last.ckpt", "error": null, "reason": "cancelled", "epoch": 3, "step": 120}'
    )
    (tmp_path / "job.json").write_text('{"launcher": "slurm", "id": "12_3", "restarts": 10, "cancelled": "2026"}')
    (tmp_path / "attempts.jsonl").write_text(
        '{"attempt": 1, "job": "12_3", "started": null, "ended": null, "host": "node1", "from_step": 40,'
        ' "to_step": 120, "outcome": "requeued", "reason": "stopped by SIGUSR2"}\n'
    )

    said = status.read(tmp_path)
    record = job.read(tmp_path)

    assert said.state is RunState.INTERRUPTED
    assert (said.attempts, said.pid, said.host, said.error, said.reason) == (2, 7, "node1", "", "cancelled")
    assert said.position == "epoch 3, step 120"
    assert (record.slurm_id, record.restarts, record.stalled_restarts) == ("12_3", 10, None)
    assert attempts.read(tmp_path) == (
        Attempt(1, Outcome.REQUEUED, "stopped by SIGUSR2", "12_3", "node1", from_step=40, to_step=120),
    )


def test_what_is_written_is_what_was_written_before(tmp_path):
    attempts.append(tmp_path, Attempt(1, Outcome.FAILED, "no", host="here", from_step=None, to_step=3))
    job.write(tmp_path, JobRecord("local", "7_0", "/queue", "/log", submitted="now"))
    status.create(tmp_path)

    assert json.loads((tmp_path / "attempts.jsonl").read_text()) == {
        "attempt": 1, "job": None, "started": None, "ended": None, "host": "here", "from_step": None, "to_step": 3,
        "outcome": "failed", "reason": "no",
    }  # fmt: skip
    assert json.loads((tmp_path / "job.json").read_text()) == {
        "launcher": "local", "id": "7_0", "batch": "/queue", "log": "/log", "nodes": 1, "ranks": 1, "restarts": None,
        "stalled_restarts": None, "submitted": "now",
    }  # fmt: skip
    assert json.loads((tmp_path / "status.json").read_text()).items() >= {"status": "queued", "attempts": 0}.items()


def test_entries_of_other_versions_are_kept(tmp_path):
    (tmp_path / "status.json").write_text('{"status": "queued", "later": 7}')

    status.update(tmp_path, step=1)

    assert json.loads((tmp_path / "status.json").read_text())["later"] == 7


def test_the_entries_of_a_status_make_the_same_status_again():
    said = Status(RunState.DEAD, "2026", attempts=2, pid=3, step=0, error="no " * 10)

    assert Status.of(said.entries(100)) == said
    assert Status.of(said.entries(2)).error == "no"


def test_a_job_is_marked_as_cancelled_and_the_mark_taken_out_again(tmp_path):
    job.mark_cancelled(tmp_path, "me")
    assert not (tmp_path / "job.json").exists()

    job.write(tmp_path, JobRecord("slurm", "12"))
    job.mark_cancelled(tmp_path, "me")
    assert job.read(tmp_path).cancelled
    assert json.loads((tmp_path / "job.json").read_text())["cancelled_by"] == "me"

    job.mark_cancelled(tmp_path, None)
    assert not job.read(tmp_path).cancelled
    assert job.read(tmp_path / "absent") == NONE


def with_status(damage, run):
    run.mkdir()
    (run / "config.yaml").write_text("name: a\n")
    (run / "overrides.yaml").write_text("overrides: []\n")
    damage(run / "status.json")
    return run


def test_a_folder_in_the_place_of_the_status_is_refused_by_its_name(tmp_path):
    with pytest.raises(UnsafeFileError, match=r"status\.json is a folder"):
        one(with_status(folder, tmp_path / "run"), tmp_path)


@pytest.mark.parametrize("damage", [gone, torn])
def test_a_run_whose_status_is_lost_is_listed_and_says_so(damage, tmp_path):
    run = with_status(damage, tmp_path / "run")

    found = one(run, tmp_path)

    assert found.state is RunState.UNKNOWN
    assert "status.json" in found.facts["problem"]
