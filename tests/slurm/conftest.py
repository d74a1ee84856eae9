"""These tests need a SLURM cluster, which they start themselves: see `tests.slurm.cluster`.

They run when they are asked for by their place (``make test-slurm``), and are no part of all the others.

    cluster        two nodes with accounts, where a preempted job is sent the signal that it asked for
    bare_cluster   two nodes without accounts, where it is sent SIGTERM alone; arrays of at most 8 jobs
    small_cluster  one node; arrays of at most 8 jobs, and 20 jobs in all, those that have ended lately included

Each worker of pytest-xdist has clusters of its own, so that a test may break one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.slurm.cluster import folder, port
from tests.slurm.daemons import wait_for
from tests.slurm.turns import used

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BARE = ("--no-accounting", "--sigterm-only", "--set", "MaxArraySize=8")
SMALL = ("--no-accounting", "--nodes", "1", "--set", "MaxArraySize=8", "--set", "MaxJobCount=20")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these tests out unless a word of the command line leads here."""
    asked = (Path(config.invocation_params.dir, word.partition("::")[0]).resolve() for word in config.args)
    return None if any(each == HERE or HERE in each.parents for each in asked) else True


@dataclass(frozen=True)
class Running:
    """A cluster that runs.

    Args:
        folder: Of all its files.
        port: The first of its ports.
        options: By which it was started.
    """

    folder: Path
    port: int
    options: tuple[str, ...]

    @property
    def conf(self) -> Path:
        """What SLURM_CONF has to say."""
        return self.folder / "etc" / "slurm.conf"

    def command(self, *words: str) -> None:
        """Run a command of `tests.slurm.cluster`: ``up``, ``kill-node node2``."""
        own = {"LEYDEN_SLURM_DIR": str(self.folder), "LEYDEN_SLURM_PORT": str(self.port)}
        given = [*words, "--for-tests", *self.options]
        done = subprocess.run(
            [sys.executable, "-m", "tests.slurm.cluster", *given],
            check=False,
            cwd=ROOT,
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def ask(self, *words: str) -> str:
        """Return what a client of SLURM prints, and expect it to succeed."""
        environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def lose_power(self, node: str) -> None:
        """Kill *node*, and bring it back once SLURM has noticed, after half a minute: its jobs are requeued then."""
        self.command("kill-node", node)
        assert wait_for(lambda: self.state(node).startswith("down"), 120.0), self.state(node)
        self.command("up")

    def state(self, node: str) -> str:
        """Return what SLURM says about a node."""
        return self.ask("sinfo", "--noheader", f"--nodes={node}", "--partition=main", "--format=%T").strip()


def _running(place: Path, first_port: int, *options: str) -> Iterator[Running]:
    found = Running(place, first_port, options)
    with used(place):
        found.command("up")
        yield found
    found.command("down", "--unless-used")


def _place(name: str, first_port: int = 0) -> tuple[Path, int]:
    """Return folder and port of a cluster of this worker."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    number = int(worker.removeprefix("gw")) + 1 if worker else 0
    return Path(f"{folder()}{name}{number or ''}"), port() + first_port + 200 * number


@pytest.fixture(scope="session")
def _cluster() -> Iterator[Running]:
    yield from _running(*_place(""))


@pytest.fixture(scope="session")
def _bare_cluster() -> Iterator[Running]:
    yield from _running(*_place("-bare", 100), *BARE)


@pytest.fixture(scope="session")
def _small_cluster() -> Iterator[Running]:
    yield from _running(*_place("-small", 150), *SMALL)


@pytest.fixture
def cluster(_cluster: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Return the cluster with everything; SLURM's commands find it."""
    monkeypatch.setenv("SLURM_CONF", str(_cluster.conf))
    return _cluster


@pytest.fixture
def bare_cluster(_bare_cluster: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Return the cluster with next to nothing; SLURM's commands find it."""
    monkeypatch.setenv("SLURM_CONF", str(_bare_cluster.conf))
    return _bare_cluster


@pytest.fixture
def small_cluster(_small_cluster: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Return the cluster that is soon full; SLURM's commands find it."""
    monkeypatch.setenv("SLURM_CONF", str(_small_cluster.conf))
    return _small_cluster
