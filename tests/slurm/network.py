"""Networks of the nodes' own: a bridge on this machine, and a cable to each node.

    machine  198.18.S.254 ── bridge ─┬─ node1  198.18.S.1
                                     └─ node2  198.18.S.2

``localhost`` is then the node itself, and a port is taken on one node alone, as on a real cluster.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.slurm.settings import Settings

_HOSTS = Path("/etc/hosts")


def permitted() -> bool:
    """Tell whether this machine lets us make namespaces and networks."""
    probe = "mount --bind /etc/hostname /etc/hosts && hostname probe && ip link set lo up"
    words = ["unshare", "--mount", "--uts", "--net", "--pid", "--fork", "--mount-proc", "sh", "-c", probe]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def up(settings: Settings) -> None:
    """Make the bridge, if it is not there.

    Raises:
        SystemExit: If another cluster has these ports.
    """
    owner = _owner(settings)
    if owner is not None and owner != str(settings.folder):
        raise SystemExit(f"ports from {settings.port} on are those of the cluster in {owner}: set LEYDEN_SLURM_PORT")
    if owner is None:
        _ip("link", "add", settings.bridge, "type", "bridge")
        _ip("link", "set", settings.bridge, "alias", str(settings.folder))
        _ip("addr", "add", f"{settings.address(0)}/24", "dev", settings.bridge)
        _ip("link", "set", settings.bridge, "up")


def plug_in(settings: Settings, number: int, pid: int) -> None:
    """Lay a cable from the bridge to the namespace of process *pid*; it goes away with the namespace."""
    end = f"l{settings.port}n{number}"
    _ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    _ip("link", "set", end, "master", settings.bridge, "up")


def down(settings: Settings) -> None:
    """Remove the bridge, if it is this cluster's."""
    if _owner(settings) == str(settings.folder):
        _ip("link", "del", settings.bridge)


def _owner(settings: Settings) -> str | None:
    """Return the folder of the cluster whose bridge is there; None if there is no bridge."""
    alias = Path("/sys/class/net", settings.bridge, "ifalias")
    return alias.read_text().strip() if alias.exists() else None


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def name_nodes(settings: Settings) -> None:
    """Let this machine know the nodes by name, where they are no machines of their own."""
    forget_nodes(settings)
    with _HOSTS.open("a") as hosts:
        for number in range(1, settings.nodes + 1):
            hosts.write(f"{settings.address(number)} node{number} {_mark(settings)}\n")


def forget_nodes(settings: Settings) -> None:
    """Take their names out again."""
    lines = _HOSTS.read_text().splitlines(keepends=True)
    kept = [line for line in lines if _mark(settings) not in line]
    if kept != lines:
        _HOSTS.write_text("".join(kept))  # in place: it may be mounted


def _mark(settings: Settings) -> str:
    return f"# leyden cluster in {settings.folder}"
