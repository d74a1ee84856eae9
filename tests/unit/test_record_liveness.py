"""A run that says it is running is believed only as long as its process is there."""

import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from leyden.runs.record.liveness import SILENT_AFTER, alive, state
from leyden.runs.record.moments import seconds
from leyden.runs.record.status import Status

HERE = socket.gethostname()


def ago(duration):
    return (datetime.now(UTC) - timedelta(seconds=duration)).isoformat(timespec="seconds")


@pytest.fixture
def ended():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def status(**changes):
    said = {"status": "running", "host": HERE, "pid": os.getpid(), "started": ago(0), "updated": ago(0)}
    return Status.of({**said, **changes})


@pytest.mark.parametrize("said", ["queued", "finished", "failed", "interrupted"])
def test_what_is_not_running_is_what_the_directory_says(said):
    assert state(status(status=said, pid=1), time.time()) == said


def test_a_run_whose_process_is_there_is_running():
    assert state(status(), time.time()) == "running"


def test_a_run_whose_process_is_gone_is_dead(ended):
    assert state(status(pid=ended), time.time()) == "dead"


@pytest.mark.parametrize("pid", [None, "12", -1, 2**70, True])
def test_a_process_that_cannot_be_is_gone(pid):
    given = status(pid=pid, started=ago(10**6))

    assert state(given, time.time()) == "dead"


def test_a_process_that_has_ended_but_was_not_waited_for_is_gone():
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert not alive(process.pid, None)
    process.wait()


def test_a_process_that_began_after_the_run_is_another_one():
    assert alive(os.getpid(), time.time())
    assert not alive(os.getpid(), time.time() - 10**7)


def test_a_run_on_another_machine_is_silent_when_nothing_was_heard_for_long():
    assert state(status(host="far", pid=1, updated=ago(60)), time.time()) == "running"
    assert state(status(host="far", pid=1, updated=ago(SILENT_AFTER + 60)), time.time()) == "silent"
    assert state(status(host="far", pid=1, updated="nonsense"), time.time()) == "silent"


@pytest.mark.parametrize("broken", [{}, {"status": None}, {"status": ""}, {"status": ["running"]}])
def test_a_broken_status_is_unknown(broken):
    assert state(Status.of(broken), time.time()) == "unknown"


def test_a_moment_without_a_zone_is_in_utc():
    assert seconds("1970-01-01T01:00:00") == seconds("1970-01-01T02:00:00+01:00") == 3600
    assert seconds(None) is None
