"""The process that executes a run is the one that holds its lock: neither another lock nor an open file will do."""

from __future__ import annotations

import fcntl
import os
import threading

import pytest

from leyden.errors import RunError
from leyden.runs.lock import executing
from tests.run_directories import make

HERE = {"status": "running", "host": os.uname().nodename, "pid": os.getpid(), "started": "2100-01-01T00:00:00+00:00"}


@pytest.fixture
def run(tmp_path):
    """A run that says that this process executes it."""
    found = make(tmp_path / "run")
    found.update(**HERE)
    (found.path / ".lock").write_text(str(os.getpid()))
    return found


def test_a_process_that_holds_another_lock_does_not_execute_the_run(run, tmp_path):
    with open(tmp_path / "other", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        assert executing(run.path) is None


def test_a_process_that_has_only_opened_the_lock_does_not_execute_the_run(run):
    with open(run.path / ".lock"):
        assert executing(run.path) is None


def test_the_lock_of_another_run_is_that_of_none(run, tmp_path):
    other = make(tmp_path / "other")
    with other.locked():
        (run.path / ".lock").unlink()
        os.link(other.path / ".lock", run.path / ".lock")

        assert executing(run.path) is None


def test_a_process_that_holds_the_lock_executes_the_run(run):
    with open(run.path / ".lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        assert executing(run.path) == os.getpid()


@pytest.mark.parametrize("before", ["", f"{2**22 + 1}"], ids=["nothing", "a process that was killed"])
def test_who_has_just_taken_the_lock_is_named_once_it_has_written_its_number(run, before):
    with open(run.path / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(before)
        file.flush()

        def written():
            file.truncate(0)
            file.seek(0)
            file.write(str(os.getpid()))
            file.flush()

        late = threading.Timer(0.1, written)
        late.start()

        with pytest.raises(RunError, match=f"is being executed by process {os.getpid()}\\."), run.locked():
            pass
        late.join()


def test_a_lock_whose_holder_does_not_write_its_number_is_held_by_another_process(run):
    with open(run.path / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        with pytest.raises(RunError, match="is being executed by another process"), run.locked():
            pass
