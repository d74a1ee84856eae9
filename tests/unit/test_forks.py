"""A run whose process is killed is free at once, and what it had forked ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from leyden.runs.directory import RunDirectory
from tests.run_directories import make

HOLDING = """
import multiprocessing, os, signal, sys, threading, time
from multiprocessing.util import register_after_fork
from pathlib import Path
from leyden.processes.forks import end_with_this_process
from leyden.runs.directory import RunDirectory

kind, folder, tell = sys.argv[1], Path(sys.argv[2]), open(sys.argv[3], "w")
context = multiprocessing.get_context("fork")

def parent_ends(_):
    while os.getppid() == parent:
        time.sleep(0.01)

def work():
    time.sleep(30)

parent = os.getpid()
if kind == "before it begins":
    register_after_fork(tell, parent_ends)
if kind != "without a watch":
    end_with_this_process()
with RunDirectory(folder).locked():
    child = context.Process(target=work, daemon=kind != "of its own")
    start = threading.Thread(target=child.start) if kind == "of a thread" else child
    start.start()
    start.join() if kind == "of a thread" else None
    print(child.pid, file=tell, flush=True)
    time.sleep(0.1)
    os.kill(parent, signal.SIGKILL)
"""


def killed_with_a_child(kind, tmp_path):
    """Kill a process that executes a run and has forked a child; returns the run and the number of the child."""
    run, told = make(tmp_path / "run").path, tmp_path / "told"
    words = [sys.executable, "-c", HOLDING, kind, str(run), str(told)]
    with subprocess.Popen(words) as process:
        assert process.wait(60) == -9
    return run, int(told.read_text())


def has_ended(pid, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] in "ZX":
                    return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("kind", ["at work", "before it begins"])
def test_a_daemonic_child_ends_with_its_killed_parent(kind, tmp_path):
    _, child = killed_with_a_child(kind, tmp_path)

    assert has_ended(child, 10)


@pytest.mark.parametrize("kind", ["without a watch", "of its own", "of a thread"])
def test_a_child_that_outlives_a_killed_run_does_not_hold_its_lock(kind, tmp_path):
    run, child = killed_with_a_child(kind, tmp_path)

    try:
        assert not has_ended(child, 0.3)
        with RunDirectory(run).locked():
            pass
    finally:
        os.kill(child, 9)
