"""Whose a SLURM job is: whether job.json of a run names that run's job, or another one of the same user.

Anybody can write a number into job.json. It is believed where a launch of this user has written it, which is recorded
outside of the directory, or where SLURM's own data lead back to the run: the file that the job prints to lies in the
folder of a submission, and what was submitted there under this number is the run.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from leyden import regular
from leyden.errors import UnsafeFileError
from leyden.launch import slurm_queries
from leyden.runs import origin
from leyden.runs.record.job import JobRecord
from leyden.runs.tail import job_log

_PART = "job"
_LARGEST = 1_000_000  # bytes of what submitit keeps of a job


def remember_job(path: Path, record: JobRecord) -> None:
    """Record that this user has given the run in *path* to a job."""
    origin.remember(path, {_PART: _identity(record)})


def is_job_of(path: Path, record: JobRecord) -> bool:
    """Whether the job that *record* names is that of the run in *path*."""
    if origin.matches(path, {_PART: _identity(record)}):
        return True
    log = job_log(path, record)
    if log is None or slurm_queries.details(record.slurm_id).get("StdOut") != str(log.path):
        return False
    batch = log.name.partition("/")[0]
    with suppress(OSError, UnsafeFileError):
        return _text(path) in regular.read(log.folder, f"{batch}/{record.slurm_id}_submitted.pkl", _LARGEST)
    return False


def _identity(record: JobRecord) -> bytes:
    return f"{record.launcher} {record.id}".encode()


def _text(path: Path) -> bytes:
    """Return a path as pickle writes it: its length first, so that no longer path begins with it."""
    name = os.fsencode(path)
    return b"\x8c" + bytes([len(name)]) + name if len(name) < 256 else b"X" + len(name).to_bytes(4, "little") + name
