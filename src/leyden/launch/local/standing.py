"""How a run of a queue stands, from its files; and the one line that is printed of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leyden.launch.status import CANCELLED, by_files
from leyden.launch.status import Standing as Said
from leyden.runs.directory import RunDirectory
from leyden.runs.lock import executing
from leyden.runs.record.files import read
from leyden.runs.record.liveness import is_here
from leyden.runs.record.state import PENDING, RunState
from leyden.runs.sweep import comparing
from leyden.terminal import number

_PLAIN = PENDING | {RunState.FINISHED}  # need no reason
_SHOWN = 2  # metrics, where nobody said which one counts


@dataclass(frozen=True)
class Standing:
    """How one run stands.

    Args:
        state: In one word.
        reason: Of an end that is none to be glad of.
        metric: The optimized metric, or a few others: ``val_loss 0.12``.
        progress: How far it is.
        spent: Seconds of the last attempt; None if there was none.
    """

    state: RunState
    reason: str
    metric: str
    progress: str
    spent: float | None


def standing(directory: RunDirectory, why: str = "") -> Standing:
    """Return how *directory* stands.

    Args:
        directory: Of the run.
        why: What is known about the end of its process where the files cannot tell.
    """
    files, now = read(directory.path), time.time()
    said, status = by_files(files, now), files.status
    if said.state is RunState.RUNNING and is_here(status) and executing(directory.path) is None:
        said = Said(RunState.DEAD, "the process it names does not hold its lock")
    reason = "" if said.state in _PLAIN else said.reason.partition("\n")[0] or why
    last = now if said.state is RunState.RUNNING else status.ended_at
    spent = None if status.started_at is None or last is None else max(0.0, last - status.started_at)
    metric = _metric(directory.result()) if said.state is RunState.FINISHED else ""
    return Standing(said.state, reason, metric, status.position, spent)


def cancelled(directory: RunDirectory) -> bool:
    """Whether somebody took the run out of its queue: see `leyden.launch.jobs.cancelling`."""
    status = directory.status()
    return status.state is RunState.INTERRUPTED and status.reason == CANCELLED


def put_back(directory: RunDirectory) -> None:
    """Let a run that has ended without having finished wait again."""
    if directory.status().state is not RunState.QUEUED:
        directory.update(status=RunState.QUEUED, reason="handed to a queue once more")


def code_of(standings: Sequence[Standing]) -> int:
    """Return the exit code that tells about all of them: 0 only if all have finished."""
    return 0 if all(each.state is RunState.FINISHED for each in standings) else 1


def _metric(result: dict[str, Any]) -> str:
    metrics, wanted = result.get("metrics"), result.get("optimized_metric")
    if not isinstance(metrics, dict):
        return ""
    names = [wanted] if isinstance(wanted, str) else comparing([map(str, metrics)])[:_SHOWN]
    found = {name: metrics.get(name) for name in names}
    return ", ".join(f"{name} {number(value)}" for name, value in found.items() if isinstance(value, int | float))
