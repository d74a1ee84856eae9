"""How a job stands: its files first, and SLURM where it knows better."""

import json
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from leyden.launch.slurm_queries import SlurmJob
from leyden.launch.status import GONE, run_status
from leyden.runs.record.files import read
from tests.run_directories import make

HERE = socket.gethostname()


def ago(duration=0):
    return (datetime.now(UTC) - timedelta(seconds=duration)).isoformat(timespec="seconds")


def files(path, status, job=None, attempts=()):
    """A run directory, read; *job* is its job.json."""
    run = make(path / "run")
    (run.path / "status.json").write_text(json.dumps({"created": ago(100), **status}))
    if job is not None:
        (run.path / "job.json").write_text(json.dumps(job))
    if attempts:
        (run.path / "attempts.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in attempts))
    return read(run.path)


def at_slurm(path, status, **changes):
    return files(path, status, {"launcher": "slurm", "id": "12_3", "submitted": ago(90), **changes})


def said(found, state=None, answered=True, **changes):
    """Return the word and the reason, given what SLURM says."""
    job = None if state is None else SlurmJob("12_3", state, **changes)
    stands = run_status(found, job, answered, time.time())
    return stands.state, stands.reason


def far():
    """Return the status of a run on another machine that was heard of just now: not when this file was imported."""
    return {"status": "running", "host": "far", "pid": 1, "started": ago(60), "updated": ago(5)}


@pytest.mark.parametrize("state", ["PENDING", "REQUEUED", "RUNNING", "CANCELLED", "NODE_FAIL", None])
def test_what_has_finished_has_finished(state, tmp_path):
    assert said(at_slurm(tmp_path, {"status": "finished", "ended": ago(1)}), state)[0] == "finished"


def test_a_job_that_waits_is_queued_with_the_reason(tmp_path):
    assert said(at_slurm(tmp_path, {"status": "queued"}), "PENDING", reason="Resources") == ("queued", "Resources")


@pytest.mark.parametrize("status", [far(), {"status": "interrupted", "ended": ago(3), "error": "stopped by SIGTERM"}])
def test_a_job_that_was_requeued_is_queued_whatever_its_last_attempt_wrote(status, tmp_path):
    assert said(at_slurm(tmp_path, status), "PENDING", reason="BeginTime") == ("queued", "BeginTime")


def test_a_job_that_has_begun_and_not_written_yet_is_running(tmp_path):
    assert said(at_slurm(tmp_path, {"status": "queued"}), "RUNNING") == ("running", "begun")


def test_slurm_answers_for_a_run_that_has_been_silent_for_long(tmp_path):
    silent = at_slurm(tmp_path, {**far(), "updated": ago(3600)})

    assert said(silent, answered=False)[0] == "silent"
    assert said(silent, "RUNNING") == ("running", "")
    assert said(silent, "NODE_FAIL") == ("dead", "its node failed")


def test_a_run_that_ended_is_not_running_while_its_job_winds_down(tmp_path):
    failed = at_slurm(tmp_path, {"status": "failed", "ended": ago(1), "error": "ValueError: no"})

    assert said(failed, "COMPLETING") == ("failed", "ValueError: no")


@pytest.mark.parametrize(
    ("state", "changes", "expected"),
    [
        ("CANCELLED", {"detail": "by 0"}, ("interrupted", "cancelled by root")),
        ("CANCELLED", {}, ("interrupted", "cancelled")),
        ("TIMEOUT", {}, ("dead", "its time limit was reached")),
        ("OUT_OF_MEMORY", {}, ("dead", "it used more memory than it had asked for")),
        ("PREEMPTED", {}, ("dead", "preempted by a job of higher priority")),
        ("FAILED", {"signal": 9, "exit_code": 0}, ("dead", "its job ended by SIGKILL")),
        ("FAILED", {"signal": 0, "exit_code": 137}, ("dead", "its job ended by SIGKILL")),
        ("FAILED", {"signal": 0, "exit_code": 3}, ("dead", "its job ended with exit code 3")),
        ("COMPLETED", {}, ("dead", "its job ended without having finished it")),
    ],
)
def test_a_job_that_ended_without_a_word_stands_by_how_it_ended(state, changes, expected, tmp_path):
    assert said(at_slurm(tmp_path, far()), state, **changes) == expected


def test_a_job_that_ended_before_the_run_began_has_failed(tmp_path):
    found = at_slurm(tmp_path, {"status": "queued"})

    assert said(found, "FAILED", exit_code=7, signal=0) == ("failed", "its job ended with exit code 7, nothing ran")


def test_a_run_that_slurm_does_not_know_any_more_is_dead(tmp_path):
    assert said(at_slurm(tmp_path, far())) == ("dead", GONE)
    assert said(at_slurm(tmp_path / "2", {"status": "queued"})) == ("dead", GONE)


def test_without_an_answer_the_files_have_the_last_word(tmp_path):
    assert said(at_slurm(tmp_path, far()), answered=False) == ("running", "")
    assert said(at_slurm(tmp_path / "2", {"status": "queued"}), answered=False)[0] == "queued"


def test_a_run_that_was_handed_over_again_does_not_stand_by_its_last_end(tmp_path):
    found = at_slurm(tmp_path, {"status": "failed", "ended": ago(200), "error": "ValueError"}, submitted=ago(10))

    assert said(found, answered=False) == ("queued", "")


@pytest.fixture
def ended():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_in_the_local_queue_waits_as_long_as_the_queue_is_there(tmp_path, ended):
    job = {"launcher": "local", "submitted": ago()}

    lives = files(tmp_path / "1", {"status": "queued"}, {**job, "id": f"{os.getpid()}_0"})
    gone = files(tmp_path / "2", {"status": "queued"}, {**job, "id": f"{ended}_0"})

    assert said(lives) == ("queued", "")
    assert said(gone) == ("dead", "never begun: its queue is gone")


def test_a_run_that_nobody_has_begun_says_so(tmp_path):
    assert said(files(tmp_path, {"status": "queued"})) == ("queued", "prepared; nobody has begun it")


def test_a_run_of_this_machine_is_believed_as_long_as_its_process_is_there(tmp_path, ended):
    status = {"status": "running", "host": HERE, "started": ago(), "updated": ago()}

    assert said(files(tmp_path / "1", {**status, "pid": os.getpid()})) == ("running", "")
    assert said(files(tmp_path / "2", {**status, "pid": ended})) == ("dead", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"launcher": 3, "id": ["12"], "restarts": "many", "submitted": {}}',
        '{"launcher": "slurm", "id": "--me"}',
    ],
)
def test_a_job_file_of_another_form_has_no_job(text, tmp_path):
    run = make(tmp_path / "run")
    (run.path / "job.json").write_text(text)

    record = read(run.path).job

    assert record.slurm_id == ""
    assert record.queue_pid is None
    assert record.restarts is None


def test_what_was_killed_on_request_is_interrupted_and_not_dead(tmp_path):
    found = at_slurm(tmp_path / "1", far(), cancelled=ago(5))
    begun_since = at_slurm(tmp_path / "2", {**far(), "started": ago(3)}, cancelled=ago(30))

    assert said(found, "FAILED", exit_code=137, signal=0) == ("interrupted", "cancelled")
    assert said(found) == ("interrupted", "cancelled")
    assert said(begun_since)[0] == "dead"


def test_lines_of_attempts_that_are_torn_or_foreign_are_passed_over(tmp_path):
    line = {"attempt": 1, "job": "12_3", "from_step": 0, "to_step": 40, "outcome": "requeued", "reason": "SIGUSR2"}
    found = files(tmp_path, {"status": "queued", "attempts": 1}, attempts=[line, [], {"attempt": "x"}])
    with open(found.path / "attempts.jsonl", "a") as file:
        file.write('{"attempt": 2, "outc')

    attempts = read(found.path).attempts

    assert [(each.number, each.outcome, each.to_step) for each in attempts] == [(1, "requeued", 40), (0, None, 0)]


def test_an_attempt_that_left_no_line_is_not_mistaken_for_the_one_before(tmp_path):
    line = {"attempt": 1, "outcome": "requeued", "from_step": 0, "to_step": 40}

    assert files(tmp_path / "1", {"status": "running", "attempts": 1}, attempts=[line]).last.to_step == 40
    assert files(tmp_path / "2", {"status": "running", "attempts": 2}, attempts=[line]).last is None
