"""A real SLURM cluster on one machine: what it takes to start it, to break it, and to remove it.

    python -m tests.slurm.cluster up [--nodes 2] [--cpus 8] [--gpus 2] [--no-accounting] [--sigterm-only] [--plain]
    python -m tests.slurm.cluster down | status | kill-node node2
    eval "$(python -m tests.slurm.cluster env)"      SLURM_CONF: all that sbatch and the others need

    munged      who is who
    mariadbd ── slurmdbd      what sacct knows            left out by --no-accounting
    slurmctld ─┬─ node1: slurmd, jobs      a namespace each: own processes, host name, network; the files are shared
               └─ node2: slurmd, jobs

Partitions: ``main``; ``low``, whose jobs are requeued when ``main`` or ``high`` need their nodes; ``high``.

Everything lies in one folder (LEYDEN_SLURM_DIR, default below the folder for temporary files), and listens on ports
from LEYDEN_SLURM_PORT on (default: other ones for another folder). Calls take turns, so that several test workers may
all call `up`; one that finds the cluster as it should be changes nothing. It takes root, and Debian's packages, which
`up` installs.

Where namespaces are not permitted (or with --plain), all nodes share the machine's processes, name and network, and
their names are added to /etc/hosts until `down`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from tests.slurm.machinery import Cluster
from tests.slurm.settings import Settings
from tests.slurm.turns import turn, unused


def folder() -> Path:
    """Return the folder of the cluster that the environment names."""
    default = Path(tempfile.gettempdir(), f"leyden-slurm-{os.getuid()}")
    return Path(os.environ.get("LEYDEN_SLURM_DIR") or default).resolve()


def port() -> int:
    """Return the first port of the cluster that the environment names."""
    given = os.environ.get("LEYDEN_SLURM_PORT")
    return int(given) if given else 20_000 + 1000 * (crc32(bytes(folder())) % 12)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command on the cluster that the environment names; returns the exit code."""
    given = _parser().parse_args(argv)
    options = {name: getattr(given, name) for name in ("nodes", "cpus", "gpus", "accounting", "user_signal")}
    cluster = Cluster(Settings(folder(), port(), namespaces=given.namespaces, others=tuple(given.set), **options))
    if given.command == "env":
        print(f"export SLURM_CONF={cluster.conf}")
        return 0
    if given.command == "status":
        return _status(cluster)
    if os.geteuid() != 0:
        print("a cluster of one's own takes root: it makes namespaces and installs packages", file=sys.stderr)
        return 2
    with turn(cluster.folder):
        _change(cluster, given)
    return 0


def _change(cluster: Cluster, given: argparse.Namespace) -> None:
    if given.command == "up":
        began = time.monotonic()
        cluster.up()
        if not given.for_tests:
            (cluster.folder / "standing").touch()
        print(f"up after {time.monotonic() - began:.1f} s: export SLURM_CONF={cluster.conf}")
    elif given.command == "kill-node":
        cluster.kill_node(given.node or "")
    elif not given.unless_used:
        cluster.down()
    else:
        with unused(cluster.folder) as nobody:
            if nobody:
                cluster.down()


def _status(cluster: Cluster) -> int:
    names = cluster.daemons.names()
    alive = {name: cluster.daemons.alive(name) for name in names}
    for name, pid in alive.items():
        print(f"{name:<10} {'does not run' if pid is None else f'runs as process {pid}'}")
    if not alive or None in alive.values():
        print("incomplete" if any(alive.values()) else "down")
        return 3
    print(cluster.ask("sinfo", "-N"), cluster.ask("squeue"), sep="\n", end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.slurm.cluster", description="A SLURM cluster for tests.")
    parser.add_argument("command", choices=("up", "down", "status", "env", "kill-node"))
    parser.add_argument("node", nargs="?", help="for kill-node")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=8, help="of each node, pretended")
    parser.add_argument("--gpus", type=int, default=2, help="of each node, pretended")
    parser.add_argument("--no-accounting", dest="accounting", action="store_false", help="sacct knows nothing")
    parser.add_argument("--sigterm-only", dest="user_signal", action="store_false", help="preemption sends no USR2")
    parser.add_argument("--plain", dest="namespaces", action="store_false", help="no namespaces")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one more line of slurm.conf")
    parser.add_argument("--for-tests", action="store_true", help="may be taken down when no test uses it any more")
    parser.add_argument("--unless-used", action="store_true", help="leave it if a test uses it, or a person wants it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
