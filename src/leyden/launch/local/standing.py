"""How a run of a queue stands, from its files; and the one line that is printed of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leyden.runs.directory import RunDirectory
from leyden.runs.life import seconds, state

_SHOWN = 2  # metrics, where nobody said which one counts


@dataclass(frozen=True)
class Standing:
    """How one run stands.

    Args:
        state: As `leyden.runs.life.state` tells it.
        reason: Of an end that is none to be glad of.
        metric: The optimized metric, or a few others: ``val_loss 0.12``.
        progress: How far it is.
        spent: Seconds of the last attempt; None if there was none.
    """

    state: str
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
    status = directory.status()
    found = state(status, time.time())
    said = str(status.get("error") or "").partition("\n")[0]
    reason = "" if found in ("finished", "running", "queued") else said or why
    begun, ended = seconds(status.get("started")), seconds(status.get("ended"))
    last = time.time() if found == "running" else ended
    spent = None if begun is None or last is None else max(0.0, last - begun)
    metric = _metric(directory.result()) if found == "finished" else ""
    return Standing(found, reason, metric, _progress(status), spent)


def cancelled(directory: RunDirectory) -> bool:
    """Whether somebody took the run out of its queue: see `leyden.launch.jobs.cancelling`."""
    status = directory.status()
    return status.get("status") == "interrupted" and status.get("reason") == "cancelled"


def put_back(directory: RunDirectory) -> None:
    """Let a run that has ended without having finished wait again."""
    if directory.status().get("status") != "queued":
        directory.update(status="queued", reason="handed to a queue once more")


def code_of(standings: Sequence[Standing]) -> int:
    """Return the exit code that tells about all of them: 0 only if all have finished."""
    return 0 if all(each.state == "finished" for each in standings) else 1


def _metric(result: dict[str, Any]) -> str:
    metrics, wanted = result.get("metrics"), result.get("optimized_metric")
    if not isinstance(metrics, dict):
        return ""
    names = [wanted] if isinstance(wanted, str) else sorted(map(str, metrics))[:_SHOWN]
    found = {name: metrics.get(name) for name in names}
    return ", ".join(f"{name} {value:.6g}" for name, value in found.items() if isinstance(value, int | float))


def _progress(status: dict[str, Any]) -> str:
    epoch, step = status.get("epoch"), status.get("step")
    return f"epoch {epoch}, step {step}" if type(epoch) is int and type(step) is int else ""
