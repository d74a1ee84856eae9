"""A queue stops what it has started, and what an earlier queue of this machine has; nothing else gets its signals."""

import os
import signal
import subprocess
import sys
import time

import pytest

from leyden.launch.local.worker import Found, Worker, log_of
from leyden.runs.record.moments import now
from tests.run_directories import make

WAITING = (
    "import fcntl, sys, time; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); "
    "print('up', flush=True); time.sleep(60)"
)


@pytest.fixture
def run(tmp_path):
    """Return a run directory."""
    return make(tmp_path / "run")


@pytest.fixture
def process(run):
    """Return a process that holds the lock of the run, and waits to be told something."""
    found = subprocess.Popen([sys.executable, "-c", WAITING, str(run.path / ".lock")], stdout=subprocess.PIPE)
    assert found.stdout is not None
    assert found.stdout.readline() == b"up\n"
    yield found
    found.kill()
    found.communicate()


def test_a_run_that_goes_on_without_its_queue_is_watched_and_gets_signals(run, process):
    run.update(status="running", started=now(), pid=process.pid, host=os.uname().nodename)
    found = Found(run, ["0"])
    before = found.code

    found.send(signal.SIGTERM)
    process.wait(timeout=30)

    assert (before, found.code) == (None, 0)
    assert process.returncode == -signal.SIGTERM


def test_the_process_of_another_machine_is_waited_for_and_no_process_here_is_taken_for_it(run, process):
    run.update(status="running", started=now(), pid=process.pid, host="elsewhere")
    found = Found(run, [])

    found.send(signal.SIGKILL)

    assert found.code is None
    assert process.poll() is None


def test_what_a_worker_prints_is_kept_and_its_exit_code_known(run):
    (run.path / "config.yaml").write_text("_target_: nothing.Such\n")

    worker = Worker(run, {"OMP_NUM_THREADS": "1"}, (), ())
    deadline = time.monotonic() + 100
    while worker.code is None and time.monotonic() < deadline:
        time.sleep(0.05)

    assert worker.code == 2
    assert "nothing.Such" in log_of(run).read_text() or "trainer is no mapping" in log_of(run).read_text()
    assert log_of(run).read_text().startswith("--- ")


def test_killing_a_worker_ends_its_whole_session(run):
    worker = Worker(run, {}, (), ())

    worker.kill()
    deadline = time.monotonic() + 30
    while worker.code is None and time.monotonic() < deadline:
        time.sleep(0.05)

    assert worker.code == -signal.SIGKILL
