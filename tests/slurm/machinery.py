"""The daemons of the cluster: started where they do not run, and started anew where they should be different."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.slurm import network, packages, records
from tests.slurm.daemons import Daemons, wait_for
from tests.slurm.settings import Settings

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # where daemons are, and a PATH may not lead
_FOLDERS = ("etc", "log", "run", "state", "pids")


class Cluster:
    """One cluster, running or not.

    Args:
        settings: What it is to be like.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.folder = settings, settings.folder
        self.daemons = Daemons(self.folder)
        self.conf = self.folder / "etc" / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """The variables for daemons and clients: nothing of a job in which we may be running ourselves."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
        return {**kept, "SLURM_CONF": str(self.conf), "PATH": f"{os.environ['PATH']}:{_SBIN}"}

    def up(self) -> None:
        """Start whatever does not run."""
        for name in _FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            (self.folder / name).chmod(0o755)  # munged refuses a folder that others may write to
        packages.install(self.settings.accounting, self.folder / "log" / "apt.log")
        if self.settings.namespaces and not network.permitted():
            print("namespaces are not permitted here: going on as with --plain", flush=True)
            self.settings = replace(self.settings, namespaces=False)
        if self._different():
            self._stop()
            self._write()
        self._start()

    def down(self) -> None:
        """End all jobs and daemons, and remove the folder."""
        if self.folder.exists():
            self._stop()
            shutil.rmtree(self.folder)

    def kill_node(self, name: str) -> None:
        """Let a node lose its power: whatever runs on it is gone at once, and nobody is told.

        Raises:
            SystemExit: If it does not run, or is no machine of its own.
        """
        pid = self.daemons.alive(name) if name.startswith("node") else None
        if pid is None:
            raise SystemExit(f"{name} is no node that runs")
        if "NodeHostname=" in self.conf.read_text():
            raise SystemExit("nodes without namespaces cannot be killed: their jobs would go on")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.daemons.alive(name) is None, 5.0)

    def ask(self, *words: str, patience: float = 20.0) -> str:
        """Return what a client of SLURM says; nothing if it fails, or does not answer."""
        try:
            done = subprocess.run(
                words, check=False, capture_output=True, text=True, env=self.environment, timeout=patience
            )
        except subprocess.TimeoutExpired:
            return ""
        return "" if done.returncode else done.stdout

    def knowing_nodes(self, *words: str) -> list[str]:
        """Return how to start *words* on this machine so that they can find the nodes by name."""
        if not self.settings.namespaces:
            return list(words)
        hosts = str(self.folder / "etc" / "hosts")
        return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts, *words]

    def _different(self) -> bool:
        etc, files = self.folder / "etc", self.settings.files()
        written = {name: (etc / name).read_text() for name in files if (etc / name).is_file()}
        return {name: _lasting(text) for name, text in written.items()} != {
            name: _lasting(text) for name, text in files.items()
        }

    def _write(self) -> None:
        etc, state = self.folder / "etc", self.folder / "state"
        shutil.rmtree(state / "controller", ignore_errors=True)  # jobs of the cluster before
        (state / "controller").mkdir()
        for name, text in self.settings.files().items():
            (etc / name).write_text(text)
            (etc / name).chmod(0o600 if name == "slurmdbd.conf" else 0o644)
        for number in range(self.settings.gpus):
            device = state / f"nvidia{number}"
            device.unlink(missing_ok=True)
            device.symlink_to("/dev/null")
        key = etc / "munge.key"
        if not key.exists():
            key.touch(0o400)
            key.write_bytes(os.urandom(128))

    def _start(self) -> None:
        if self.settings.namespaces:
            network.up(self.settings)
        else:
            network.name_nodes(self.settings)
        starts: dict[str, Callable[[], None]] = {"munged": self._start_munged}
        if self.settings.accounting:
            starts["mariadbd"] = lambda: records.start_mariadbd(self)
            starts["slurmdbd"] = lambda: records.start_slurmdbd(self)
        starts["slurmctld"] = self._start_slurmctld
        for number in range(1, self.settings.nodes + 1):
            starts[f"node{number}"] = lambda number=number: self._start_node(number)
        absent = [name for name in starts if self.daemons.alive(name) is None]
        for name in absent:
            starts[name]()
        for number in range(1, self.settings.nodes + 1):
            self._await_node(number, f"node{number}" in absent)

    def _stop(self) -> None:
        if self.daemons.alive("slurmctld") is not None:
            jobs = self.ask("squeue", "-h", "-o", "%A", patience=5).split()
            if jobs:
                self.ask("scancel", "--signal=KILL", *jobs)
                self.ask("scancel", *jobs)
                wait_for(lambda: not self.ask("squeue", "-h", "-o", "%A"), 10.0)
        nodes = [name for name in self.daemons.names() if name.startswith("node")]
        for name in nodes:  # all at once, then each is waited for
            self.daemons.ask(name)
        for name in [*nodes, "slurmctld", "slurmdbd", "mariadbd", "munged"]:
            self.daemons.stop(name)
        network.down(self.settings)
        network.forget_nodes(self.settings)

    def _start_munged(self) -> None:
        run, etc, state = (self.folder / name for name in ("run", "etc", "state"))
        options = [f"--socket={run / 'munge.sock'}", f"--pid-file={run / 'munged.pid'}", "--num-threads=4"]
        options += [f"--key-file={etc / 'munge.key'}", f"--seed-file={state / 'munge.seed'}"]
        self.daemons.start("munged", ["munged", "--foreground", "--force", *options], self.environment)
        self.daemons.expect("munged", lambda: bool(self.ask("munge", "-n", f"--socket={run / 'munge.sock'}")))

    def _start_slurmctld(self) -> None:
        self.daemons.start("slurmctld", self.knowing_nodes("slurmctld", "-D"), self.environment)
        self.daemons.expect("slurmctld", lambda: bool(self.ask("scontrol", "show", "config", patience=5)))

    def _start_node(self, number: int) -> None:
        name = f"node{number}"
        (self.folder / "state" / name).mkdir(exist_ok=True)
        if not self.settings.namespaces:
            self.daemons.start(name, ["slurmd", "-D", "-N", name], self.environment)
            return
        apart = ["unshare", "--mount", "--uts", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        first = [sys.executable, str(Path(__file__).with_name("node.py")), name]
        given = [str(self.folder / "etc" / "hosts"), self.settings.address(number)]
        outer = self.daemons.start(name, [*apart, *first, *given], self.environment)
        inner = _child(outer)
        if inner is None:
            raise SystemExit(f"{name} did not start; see {self.daemons.log}")
        self.daemons.record(name, inner)
        network.plug_in(self.settings, number, inner)

    def _await_node(self, number: int, started: bool) -> None:
        """Wait until a node may be given jobs; the controller may not have noticed that it was away."""
        name = f"node{number}"
        if started:
            self.daemons.expect(name, lambda: self._listens(number))
        self.daemons.expect(name, lambda: self._usable(name), 60.0)

    def _listens(self, number: int) -> bool:
        try:
            socket.create_connection((self.settings.address(number), self.settings.port_of(number)), 2.0).close()
        except OSError:
            return False
        return True

    def _usable(self, name: str) -> bool:
        state = self.ask("sinfo", "-h", "-n", name, "-p", "main", "-o", "%T").strip()
        return bool(state) and not state.startswith(("down", "unk", "fail", "boot")) and not state.endswith("*")


def _child(pid: int) -> int | None:
    """Return the first child of a process, once it has one."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    end = time.monotonic() + 10.0
    while time.monotonic() < end and children.exists():
        found = children.read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.02)
    return None


def _lasting(text: str) -> str:
    """Return a file without what every start writes anew."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("FirstJobId="))
