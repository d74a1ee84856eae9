"""What the logs of a run end with: the first real error of its last attempt, and what SLURM wrote into them.

Logs grow with every attempt, and may be large: only their ends are read, and of those only what
was written since the last attempt began.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from leyden import regular, secrets
from leyden.errors import UnsafeFileError
from leyden.processes.failure import RankFailure, is_secondary, root_cause
from leyden.runs.tail import Log
from leyden.tracebacks import is_own

_RANK_LOG = re.compile(r"^rank(\d+)\.log$", re.ASCII)
_TAIL = 262_144  # bytes
_BEGAN = re.compile(r"^.* leyden\.run: attempt \d+", re.MULTILINE)
_TRACE = "Traceback (most recent call last):"
_FRAME = re.compile(r'^ +File "(.+?)", line (\d+), in (.+)$')
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")
_CANCELLED = re.compile(
    r"slurmstepd[^\n]*: error: \*\*\* (?:JOB|STEP) \S+ ON \S+ CANCELLED AT (\S+)"
    r"(?: DUE TO ([A-Z]+(?: [A-Z]+)*)[^*\n]*)? ?\*\*\*"
)
_MEMORY = re.compile(
    r"oom[-_]kill|Out[- ][Oo]f[- ][Mm]emory handler|Exceeded (?:job|step) memory limit|OOM Killed", re.IGNORECASE
)


@dataclass(frozen=True)
class Trace:
    """The end of a traceback.

    Args:
        rank: Of the process.
        error: The last line: the error itself.
        place: File and line it was raised at, as far as it is the user's own code; empty if it is none.
        lines: The last lines, as they stand.
        moment: When it was written.
    """

    rank: int
    error: str
    place: str
    lines: tuple[str, ...]
    moment: str


def first_error(path: Path) -> Trace | None:
    """Return the error that the last attempt of the run in *path* died of; None if no log tells one.

    When one rank fails, others fail because of it: this is the root cause.
    """
    traces = {rank: trace for rank, log in rank_logs(path) if (trace := _trace(rank, _last_attempt(log))) is not None}
    cause = root_cause([_failure(trace) for trace in traces.values()])
    return None if cause is None else traces[cause.rank]


def _failure(trace: Trace) -> RankFailure:
    try:
        time = datetime.strptime(trace.moment, "%Y-%m-%d %H:%M:%S,%f").timestamp()
    except ValueError:  # it is no time, or there is none
        time = 0.0
    return RankFailure(trace.rank, None, trace.error or "an error", time, is_secondary(trace.error))


def rank_logs(path: Path) -> Iterator[tuple[int, Log]]:
    """Yield the rank of every process with a log of its own, and the log, in the order of the ranks."""
    named = ((_RANK_LOG.match(name), name) for name in regular.listed(path, "logs"))
    yield from sorted((int(match[1]), Log(path, f"logs/{name}")) for match, name in named if match)


def verdict(log: Log | None, since: float | None) -> str:
    """Return what SLURM wrote into a job's own log when it ended the job.

    Args:
        log: Of the job; there need be none.
        since: Look only for what was written later, in seconds since 1970.

    Returns:
        ``time limit``, ``preemption``, ``node failure``, ``memory``, ``cancelled`` or nothing.
    """
    text = tail(log) if log is not None else ""
    matches = [match for match in _CANCELLED.finditer(text) if _later(match[1], since)]
    if matches:
        return (matches[-1][2] or "cancelled").lower().strip()
    return "memory" if _MEMORY.search(text) else ""


def tail(log: Log) -> str:
    """Return the end of a log; nothing if it cannot be read."""
    try:
        return regular.end(*log, _TAIL)[0].decode("utf-8", "replace")
    except (OSError, UnsafeFileError):
        return ""


def _last_attempt(log: Log) -> str:
    text = tail(log)
    begins = [match.start() for match in _BEGAN.finditer(text)]
    return text[begins[-1] :] if begins else text


def _trace(rank: int, text: str) -> Trace | None:
    """Return the last traceback in *text*."""
    before, found, after = text.rpartition(_TRACE)
    if not found:
        return None
    lines = []
    for line in after.splitlines()[1:]:
        if _MOMENT.match(line):
            break
        lines.append(line)
    errors = [line for line in lines if line and not line.startswith((" ", "\t"))]
    frames = [(match[1], match[2]) for line in lines if (match := _FRAME.match(line))]
    own = [frame for frame in frames if is_own(frame[0])]
    moments = [match[0] for line in before.splitlines() if (match := _MOMENT.match(line))]
    return Trace(
        rank=rank,
        error=secrets.masked(errors[0]) if errors else "",
        place=":".join(own[-1]) if own else "",
        lines=tuple(secrets.masked(line) for line in lines[-12:]),
        moment=moments[-1] if moments else "",
    )


def _later(moment: str, since: float | None) -> bool:
    try:
        return since is None or datetime.fromisoformat(moment).timestamp() >= since - 1
    except ValueError:
        return True
