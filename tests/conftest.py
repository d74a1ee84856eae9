"""What every test can rely on: one thread, an empty directory, warnings not yet given, and a process as it was."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Before torch is imported, and for the processes a test starts. The arithmetic of the tests is small: more
# threads only wait for each other, and the workers of pytest-xdist would fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts tests in the background has them ignore Ctrl-C, nohup has them ignore SIGHUP, and with them what
# they start and stop that way.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# What this user's launches have recorded is out of the tests' reach, and the other way round.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="leyden-state-")

import pytest
import torch

import leyden.warnings


@pytest.fixture(scope="session", autouse=True)
def _state_folder() -> Iterator[None]:
    """Remove in the end what the launches of the tests have recorded."""
    folder = os.environ["XDG_STATE_HOME"]
    yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be where a relative path, ``runs`` say, litters nothing."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> None:
    """Let `warn_once` give each test the warnings that an earlier one has heard."""
    leyden.warnings._SAID.clear()


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Take out what Hydra has set up: its handler writes to the output that pytest closes after the test."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    for handler in set(root.handlers).difference(handlers):
        root.removeHandler(handler)


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    """Put back what a test has set for the whole process: the variables, and torch's switches for repeatable kernels.

    Lightning never puts them back, so that a parity test would decide on the kernels of all tests after it.
    """
    environment, cudnn = dict(os.environ), torch.backends.cudnn
    algorithms = (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
    kernels = (cudnn.deterministic, cudnn.benchmark)
    yield
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
    torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
    cudnn.deterministic, cudnn.benchmark = kernels
