"""What `sacct` asks: slurmdbd, and the database behind it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.slurm.settings import CLUSTER

if TYPE_CHECKING:
    from tests.slurm.machinery import Cluster

_SQL = """\
CREATE DATABASE IF NOT EXISTS slurm;
CREATE USER IF NOT EXISTS slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm.* TO slurm@'127.0.0.1';
"""
# Nothing in it has to survive a power cut.
_QUICK = (
    "--debug-no-sync --skip-log-bin --performance-schema=OFF --innodb-buffer-pool-size=32M "
    "--innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-lock-wait-timeout=900"
).split()


def start_mariadbd(cluster: Cluster) -> None:
    """Start the database, on the cluster's first port."""
    etc, run, state = (cluster.folder / name for name in ("etc", "run", "state"))
    common = ["--no-defaults", "--user=root", "--skip-name-resolve", f"--datadir={state / 'mysql'}"]
    common += [f"--tmpdir={run}"]  # it deletes what others have left in /tmp, or are using there
    if not (state / "mysql" / "made").exists():
        _make(cluster, common)
    (etc / "mariadb.sql").write_text(_SQL)
    own = [f"--port={cluster.settings.port}", "--bind-address=127.0.0.1", f"--init-file={etc / 'mariadb.sql'}"]
    own += [f"--socket={run / 'mariadb.sock'}", f"--pid-file={run / 'mariadbd.pid'}"]
    cluster.daemons.start("mariadbd", ["mariadbd", *common, *own, *_QUICK], cluster.environment)
    asked = ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{cluster.settings.port}", "-uslurm", "-pslurm"]
    cluster.daemons.expect("mariadbd", lambda: bool(cluster.ask(*asked, "-e", "SELECT 1", "slurm")))


def _make(cluster: Cluster, common: list[str]) -> None:
    data = cluster.folder / "state" / "mysql"
    shutil.rmtree(data, ignore_errors=True)
    words = ["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
    with (cluster.daemons.log / "mariadb-install.log").open("wb") as log:
        subprocess.run(words, check=True, stdout=log, stderr=log, env=cluster.environment)
    (data / "made").touch()


def start_slurmdbd(cluster: Cluster) -> None:
    """Start what stands between SLURM and the database."""
    cluster.daemons.start("slurmdbd", cluster.knowing_nodes("slurmdbd", "-D"), cluster.environment)
    cluster.daemons.expect("slurmdbd", lambda: _knows(cluster))


def _knows(cluster: Cluster) -> bool:
    """Tell whether it knows the cluster, which the controller expects of it; introduce it otherwise."""
    asked = ("sacctmgr", "-nP", "show", "cluster", "format=cluster")
    if CLUSTER not in cluster.ask(*asked).split():
        cluster.ask("sacctmgr", "-i", "add", "cluster", CLUSTER)
    return CLUSTER in cluster.ask(*asked).split()
