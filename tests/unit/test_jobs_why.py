"""Why a job stopped, waits, or was not requeued, told from what the files and SLURM say."""

import json
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from leyden.launch.jobs.last_words import first_error, verdict
from leyden.launch.jobs.listing import Job
from leyden.launch.jobs.why import why
from leyden.launch.slurm_queries import SlurmJob
from leyden.launch.status import run_status
from leyden.runs.record.files import read
from leyden.runs.tail import Log
from tests.run_directories import make

JOB = {"launcher": "slurm", "id": "12_3", "restarts": 10, "stalled_restarts": 2}
FAR = {"status": "running", "host": "node7", "pid": 1, "attempts": 1, "epoch": 2, "step": 40}
LOG = """\
2026-03-01 10:00:00,000 INFO leyden.run: attempt 1
2026-03-01 10:00:05,000 ERROR leyden.run: failed
Traceback (most recent call last):
  File "/home/ada/digits/old.py", line 1, in old
    raise ValueError("of the first attempt")
ValueError: of the first attempt
2026-03-01 11:00:00,000 INFO leyden.run: attempt 2, from last.ckpt
2026-03-01 11:00:{second:02d},000 ERROR leyden.run: failed
Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/leyden/engine/step.py", line 40, in train_step
    loss = module.training_step(batch)
  File "/home/ada/digits/model.py", line 8, in training_step
    raise {error}
{error}
"""
REQUEUED = {"outcome": "requeued", "reason": "SIGUSR2", "job": "12_3"}


def ago(duration=0):
    return (datetime.now(UTC) - timedelta(seconds=duration)).isoformat(timespec="seconds")


def run(path, status, job=None, attempts=(), log=None, checkpoint=True):
    """Make a run directory that its process has left like this."""
    path = make(path / "run").path
    moments = {"started": ago(60), "updated": ago(5), "ended": ago(5)}
    moments = {key: moments[key] for key in ("started", "updated")} if status["status"] == "running" else moments
    begun = moments if status["status"] != "queued" else {}
    (path / "status.json").write_text(json.dumps({"created": ago(100), **begun, **status}))
    if job is not None:
        (path / "job.json").write_text(json.dumps({"submitted": ago(90), **job}))
    (path / "attempts.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in attempts))
    (path / "logs").mkdir()
    if log is not None:
        (path / "logs" / "rank0.log").write_text(log)
    if checkpoint:
        (path / "checkpoints").mkdir()
        (path / "checkpoints" / "last.ckpt").write_bytes(b"weights")
    return path


def asked(path, state=None, answered=True, details=None, **changes):
    """Ask why, given what SLURM says."""
    slurm = None if state is None else SlurmJob("12_3", state, **changes)
    files, now = read(path), time.time()
    job = Job("digits/run", files, run_status(files, slurm, answered, now), slurm, now)
    return why(job, lambda _: details or {})


def words(answer):
    return " ".join(answer.sentences)


def test_an_error_of_its_own_is_told_with_its_place_and_is_never_requeued(tmp_path):
    log = LOG.format(second=5, error="ValueError: no such digit")
    failed = {"status": "failed", "error": "ValueError: no such digit", "attempts": 2, "step": 40}
    answer = asked(run(tmp_path, failed, JOB, log=log), "FAILED", exit_code=1, signal=0)

    assert answer.code == "error"
    assert "failed after step 40" in words(answer)
    assert "at /home/ada/digits/model.py:8: ValueError: no such digit." in words(answer)
    assert "the same error would come again" in words(answer)
    assert "Mend it" in answer.advice
    assert answer.trace.lines[-1] == "ValueError: no such digit"
    assert "first attempt" not in "".join(answer.trace.lines)


def test_a_run_whose_queue_is_gone_was_never_begun_and_that_is_said_once(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    answer = asked(run(tmp_path, {"status": "queued"}, {"launcher": "local", "id": f"{ended.pid}_0"}))

    assert words(answer).lower().count("never begun") == 1
    assert "It was never begun: its queue is gone." in words(answer)


def test_of_several_ranks_the_first_real_error_counts(tmp_path):
    path = run(tmp_path, {"status": "failed", "error": "RuntimeError: Connection closed by peer"})
    echo = LOG.format(second=1, error="RuntimeError: [gloo] Connection closed by peer [127.0.0.1]:1")
    (path / "logs" / "rank0.log").write_text(echo)
    (path / "logs" / "rank1.log").write_text(LOG.format(second=9, error="KeyError: later"))
    (path / "logs" / "rank3.log").write_text(LOG.format(second=7, error="KeyError: first"))

    assert (first_error(path).rank, first_error(path).error) == (3, "KeyError: first")
    assert "in rank 3" in words(asked(path))


def test_secrets_are_kept_out_of_what_is_shown(tmp_path):
    os.environ["OWN_API_KEY"] = "correct-horse-7-battery"
    path = run(tmp_path, {"status": "failed"}, log=LOG.format(second=5, error="ValueError: correct-horse-7-battery"))

    assert "correct-horse-7-battery" not in json.dumps(asked(path).row())


@pytest.mark.parametrize(
    "error", ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "MemoryError: "]
)
def test_running_out_of_memory_is_no_ordinary_error(error, tmp_path):
    answer = asked(run(tmp_path, {"status": "failed", "error": error}))

    assert answer.code == "memory"
    assert "smaller batch" in answer.advice


@pytest.mark.parametrize(
    ("state", "code", "expected"),
    [
        ("TIMEOUT", "time-limit", "The time limit of 10:00 of its job was reached"),
        ("PREEMPTED", "preempted", "it was preempted"),
        ("NODE_FAIL", "node-failure", "A node of its job failed on node7"),
        ("OUT_OF_MEMORY", "memory", "more memory than its job had asked for"),
    ],
)
def test_what_the_cluster_did_is_told_by_slurm(state, code, expected, tmp_path):
    answer = asked(run(tmp_path, FAR, JOB), state, limit="10:00")

    assert answer.code == code
    assert expected in words(answer)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("slurmstepd-node1: error: *** JOB 12 ON node1 CANCELLED AT {} DUE TO TIME LIMIT ***", "time-limit"),
        ("slurmstepd-node1: error: *** JOB 12 ON node1 CANCELLED AT {} DUE TO PREEMPTION ***", "preempted"),
        (
            "slurmstepd: error: *** STEP 12.0 ON node1 CANCELLED AT {} DUE TO NODE FAILURE, SEE SLURMCTLD LOG ***",
            "node-failure",
        ),
        ("slurmstepd: error: *** JOB 12 ON node1 CANCELLED AT {} ***", "cancelled"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=12.0. {}", "memory"),
    ],
)
def test_without_accounts_what_slurm_wrote_into_the_log_tells(line, code, tmp_path):
    log = tmp_path / "slurm" / f"{JOB['id']}_0_log.out"
    log.parent.mkdir()
    log.write_text("step 40\n" + line.format(datetime.now().isoformat(timespec="seconds")) + "\n")

    answer = asked(run(tmp_path, FAR, {**JOB, "batch": str(log.parent)}))

    assert answer.code == code


def test_what_ended_an_earlier_attempt_does_not_explain_the_last_one(tmp_path):
    log = tmp_path / "job.out"
    log.write_text("slurmstepd: error: *** JOB 12 ON node1 CANCELLED AT 2020-01-01T00:00:00 DUE TO TIME LIMIT ***\n")

    assert verdict(Log(tmp_path, log.name), None) == "time limit"
    assert verdict(Log(tmp_path, log.name), time.time() - 60) == ""
    assert verdict(Log(tmp_path, "none"), None) == verdict(None, None) == ""


def test_who_cancelled_is_told(tmp_path):
    by_us = {**JOB, "cancelled": ago(4)}
    stopped = {"status": "interrupted", "error": "stopped by SIGTERM, saved to last.ckpt", "attempts": 1}

    assert "by leyden jobs cancel at 20" in words(asked(run(tmp_path / "1", stopped, by_us), "CANCELLED"))
    at_work = asked(run(tmp_path / "2", stopped, JOB), "CANCELLED", detail="by 0")
    assert words(at_work) == "Its job was cancelled by root (scancel)."
    waiting = asked(run(tmp_path / "3", {"status": "queued"}, JOB), "CANCELLED", detail="by 0")
    assert words(waiting) == "Its job was cancelled by root (scancel) before it began."


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("stopped by SIGINT, saved to last.ckpt", "stopped and saved at SIGINT (somebody pressed Ctrl-C)"),
        ("stopped by SIGTERM", "stopped at SIGTERM (asked to by kill"),
        ("stopped by SIGUSR2, saved to last.ckpt", "the warning of the cluster before its time limit"),
        ("stopped: 40 steps are done", "It was interrupted: stopped: 40 steps are done."),
    ],
)
def test_a_signal_is_told_with_its_meaning(error, expected, tmp_path):
    assert expected in words(asked(run(tmp_path, {"status": "interrupted", "error": error})))


def test_a_process_that_was_killed_left_no_word(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    here = {**FAR, "host": socket.gethostname(), "pid": process.pid}

    answer = asked(run(tmp_path, here))

    assert answer.code == "killed"
    assert "kill -9, or by the kernel as memory ran out" in words(answer)
    assert "goes on from its last checkpoint" in answer.advice


def test_a_machine_that_was_restarted_is_blamed(tmp_path):
    here = {**FAR, "host": socket.gethostname(), "pid": 2**22 - 1, "started": "2001-01-01T00:00:00+00:00"}

    assert words(asked(run(tmp_path, here))) == "The machine was restarted while it ran."


def test_exit_code_137_means_sigkill(tmp_path):
    answer = asked(run(tmp_path, FAR, JOB), "FAILED", exit_code=137, signal=0)

    assert answer.code == "killed"
    assert "the memory limit of its node most often" in words(answer)


def test_a_job_that_failed_before_the_run_began_leads_to_its_own_log(tmp_path):
    answer = asked(run(tmp_path, {"status": "queued"}, {**JOB, "log": "/x/1.out"}), "FAILED", exit_code=1, signal=0)

    assert answer.code == "never-begun"
    assert "ended with exit code 1 before the run began" in words(answer)
    assert answer.advice.startswith("leyden jobs logs --job")


def test_a_job_that_was_started_again_and_did_not_begin_is_not_blamed_for_its_old_error(tmp_path):
    failed = {"status": "failed", "error": "ValueError: old", "started": ago(200), "ended": ago(190)}

    answer = asked(run(tmp_path, failed, JOB), "FAILED", exit_code=1, signal=0)

    assert "ValueError" not in words(answer)
    assert answer.code == "never-begun"


def test_a_job_nobody_knows_any_more_and_that_never_began(tmp_path):
    answer = asked(run(tmp_path, {"status": "queued"}, JOB))

    assert "It never began, and SLURM does not know its job any more" in words(answer)


def requeues(*steps):
    return [{"attempt": at + 1, "from_step": a, "to_step": b, **REQUEUED} for at, (a, b) in enumerate(pairwise(steps))]


def test_a_run_that_no_cluster_has_is_not_said_not_to_be_requeued(tmp_path):
    assert "requeue" not in words(asked(run(tmp_path, {"status": "failed", "error": "ValueError"})))


def test_why_a_job_waits_and_that_it_is_not_the_first_time(tmp_path):
    path = run(tmp_path, {"status": "queued", "reason": "requeued"}, JOB, requeues(0, 120))

    answer = asked(path, "PENDING", reason="Priority")

    assert answer.code == "Priority"
    assert words(answer).startswith("It waits to go on at step 120, after attempt 1 was requeued (SIGUSR2): jobs of")


def test_a_job_that_waits_where_slurm_does_not_answer(tmp_path):
    answer = asked(run(tmp_path, {"status": "queued"}, JOB), answered=False)

    assert "did not answer" in words(answer)
    assert answer.advice.endswith("squeue --jobs=12_3")


def test_a_job_of_the_local_queue_waits_for_a_slot(tmp_path):
    answer = asked(
        run(tmp_path, {"status": "queued"}, {"launcher": "local", "id": f"{os.getpid()}_4", "submitted": ago()})
    )

    assert "for a slot of the queue" in words(answer)


def test_what_nobody_has_begun_what_runs_and_what_has_finished(tmp_path):
    assert "nobody has begun it" in words(asked(run(tmp_path / "1", {"status": "queued"})))
    assert "It runs on node7: epoch 2, step 40, last heard of" in words(asked(run(tmp_path / "2", FAR)))
    assert "has finished" in words(asked(run(tmp_path / "3", {"status": "finished"})))
    silent = asked(run(tmp_path / "4", {**FAR, "updated": ago(7200)}))
    assert (silent.code, "Look on node7" in silent.advice) == ("unknown", True)


def test_an_answer_has_three_sentences_at_most_and_is_plain_for_programs(tmp_path):
    answer = asked(run(tmp_path, FAR, JOB), "TIMEOUT")

    assert 1 <= len(answer.sentences) <= 3
    assert json.loads(json.dumps(answer.row()))["cause"] == "time-limit"
    assert Path(tmp_path, "run").name in answer.advice
