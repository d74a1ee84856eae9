"""The Debian packages that make a SLURM cluster, installed where they are missing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from tests.slurm.turns import turn

# Each package, and a file that only it brings.
ALWAYS = {
    "munge": "/usr/sbin/munged",
    "slurm-client": "/usr/bin/sbatch",
    "slurmctld": "/usr/sbin/slurmctld",
    "slurmd": "/usr/sbin/slurmd",
    "iproute2": "/bin/ip",
}
ACCOUNTING = {"slurmdbd": "/usr/sbin/slurmdbd", "mariadb-server": "/usr/sbin/mariadbd"}
_POLICY = Path("/usr/sbin/policy-rc.d")  # asked by Debian before a package starts a service of its own
_MACHINE = Path(tempfile.gettempdir(), "leyden-slurm-packages")  # what clusters of one machine take turns for
_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}
_OPTIONS = ("-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300")


def missing(accounting: bool) -> list[str]:
    """Return the packages that are not here."""
    wanted = ALWAYS | ACCOUNTING if accounting else ALWAYS
    return [package for package, file in wanted.items() if not os.path.exists(file)]


def install(accounting: bool, record: Path) -> None:
    """Install what is missing; what apt-get says goes to the file *record*.

    Raises:
        SystemExit: If apt-get fails.
    """
    if not missing(accounting):
        return
    with turn(_MACHINE):
        _install(missing(accounting), record)


def _install(packages: list[str], record: Path) -> None:
    if not packages:
        return  # somebody else has, in the meantime
    print("apt-get install", *packages, flush=True)
    made = not _POLICY.exists()
    if made:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        _apt("update", "-q", record=record)
        _apt("install", *_OPTIONS, *packages, record=record)
    finally:
        if made:
            _POLICY.unlink()


def _apt(*words: str, record: Path) -> None:
    with record.open("ab") as out:
        done = subprocess.run(
            ["apt-get", *words],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **_ENVIRONMENT},
        )
    if done.returncode:
        raise SystemExit(f"apt-get {words[0]} failed with exit code {done.returncode}: see {record}")
