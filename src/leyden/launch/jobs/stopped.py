"""Why a run stopped: the first of these that is known.

who asked for it      leyden jobs cancel · scancel · Ctrl-C
its own error         status.json, and the traceback in the logs
what the cluster did  time limit, preemption, node failure, memory: by SLURM, or by what it wrote into the log
a signal              the last line of attempts.jsonl
nothing left a word   kill -9, the memory of the machine, a restart of the machine
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from leyden.launch.jobs.last_words import Trace, first_error, verdict
from leyden.launch.jobs.listing import Job
from leyden.launch.status import GONE, NEVER_BEGUN, by_code, person
from leyden.runs.record.moments import seconds
from leyden.runs.record.state import RunState
from leyden.runs.tail import job_log

OWN, MEMORY, TIME, PREEMPTED, NODE, CANCELLED, SIGNAL, KILLED, CLUSTER, NEVER, UNKNOWN = (
    "error memory time-limit preempted node-failure cancelled signal killed cluster never-begun unknown".split()
)
_OF_SLURM = {
    "TIMEOUT": TIME, "DEADLINE": TIME, "PREEMPTED": PREEMPTED, "NODE_FAIL": NODE, "BOOT_FAIL": NODE,
    "OUT_OF_MEMORY": MEMORY, "CANCELLED": CANCELLED,
}  # fmt: skip
_OF_LOG = {"time limit": TIME, "preemption": PREEMPTED, "node failure": NODE, "memory": MEMORY, "cancelled": CANCELLED}
_SIGNAL = re.compile(r"\bSIG[A-Z]+[12]?\b")
_NO_MEMORY = re.compile(r"OutOfMemoryError|out of memory|can't allocate memory|MemoryError|Cannot allocate memory")
_MEANING = {
    "SIGINT": "somebody pressed Ctrl-C",
    "SIGTERM": "asked to by kill, scancel, preemption or a machine shutting down",
    "SIGUSR1": "the warning of the cluster before its time limit or preemption",
    "SIGUSR2": "the warning of the cluster before its time limit or preemption",
    "SIGHUP": "its terminal was closed",
}


@dataclass(frozen=True)
class Cause:
    """Why a run stopped.

    Args:
        code: One word for programs: one of those above.
        text: A sentence.
        trace: The error in its logs, if it died of one.
    """

    code: str
    text: str
    trace: Trace | None = None


def cause(job: Job) -> Cause:
    """Return why *job*, which has stopped without having finished, did."""
    record = job.files.job
    if job.files.cancelled:
        return Cause(CANCELLED, f"It was cancelled by leyden jobs cancel at {_clock(record.cancelled)}.")
    if job.files.status.state is RunState.FAILED and job.state is RunState.FAILED and not _never_begun(job):
        return _own_error(job)
    told = _OF_SLURM.get(job.slurm.state) if job.slurm is not None else None
    told = told or _OF_LOG.get(verdict(job_log(job.path, record), job.files.status.started_at))
    if told is not None:
        return Cause(told, _by_cluster(told, job))
    if _never_begun(job):
        return Cause(NEVER, _nothing_ran(job))
    last = job.files.last
    reason = (last.reason if last is not None else "") or job.files.status.error
    if job.state is RunState.INTERRUPTED and reason:
        return _by_signal(reason)
    return _without_a_word(job)


def _own_error(job: Job) -> Cause:
    trace = first_error(job.path)
    error = job.files.status.error or (trace.error if trace is not None else "it did not say which")
    where = f" at {trace.place}" if trace is not None and trace.place else ""
    rank = f" in rank {trace.rank}" if trace is not None and trace.rank > 0 else ""
    step = job.files.status.step
    after = f" after step {step}" if step else ""
    line = _sentence(error.strip().partition("\n")[0])
    code = MEMORY if _NO_MEMORY.search(error) else OWN
    return Cause(code, f"It failed{after} by an error of its own{rank}{where}: {line}", trace)


def _by_cluster(code: str, job: Job) -> str:
    slurm = job.slurm
    at = f" on {job.node}" if job.node else ""
    if code == CANCELLED:
        who = person(slurm.detail) if slurm is not None else ""
        begun = "" if job.files.status.attempts else " before it began"
        return f"Its job was cancelled{f' {who}' if who else ''} (scancel){begun}."
    limit = f" of {slurm.limit}" if slurm is not None and slurm.limit else ""
    return {
        TIME: f"The time limit{limit} of its job was reached, and SLURM ended it.",
        PREEMPTED: "A job of higher priority took its nodes: it was preempted.",
        NODE: f"A node of its job failed{at}.",
        MEMORY: f"It was killed{at} for using more memory than its job had asked for.",
    }[code]


def _never_begun(job: Job) -> bool:
    begun = job.files.status.started_at
    submitted = job.files.job.submitted_at
    return begun is None or (submitted is not None and submitted > begun)


def _nothing_ran(job: Job) -> str:
    if job.standing.reason == GONE:
        return f"It never began, and {GONE}: it was cancelled while it waited, or lost."
    if job.slurm is not None:
        return f"Its job ended {by_code(job.slurm)} before the run began: what comes before it in the job failed."
    return f"It was never begun: {job.standing.reason.removeprefix(NEVER_BEGUN) or 'nobody has started it'}."


def _by_signal(reason: str) -> Cause:
    found = _SIGNAL.search(reason)
    if found is None:
        return Cause(SIGNAL, f"It was interrupted: {_sentence(reason)}")
    meaning = _MEANING.get(found[0], "")
    saved = " and saved" if "saved" in reason else ""
    return Cause(SIGNAL, f"It stopped{saved} at {found[0]}{f' ({meaning})' if meaning else ''}.")


def _without_a_word(job: Job) -> Cause:
    """Say what can be told of a process that is gone and has not written why."""
    status, slurm = job.files.status, job.slurm
    started = status.started_at
    if job.state is RunState.SILENT:
        return Cause(
            UNKNOWN, f"Nothing was heard of it for long; whether it runs on {job.node} cannot be told from here."
        )
    if slurm is not None and (slurm.signal == 9 or slurm.exit_code == 137):
        return Cause(KILLED, "It was killed by SIGKILL: by the memory limit of its node most often, or by kill -9.")
    if slurm is not None:
        return Cause(CLUSTER, f"Its job ended {by_code(slurm)}, and the run left no word why.")
    booted = _boot_time()
    if booted is not None and started is not None and started < booted:
        return Cause(NODE, "The machine was restarted while it ran.")
    if job.standing.reason == GONE:
        return Cause(KILLED, f"{GONE}, and it left no word: it was killed, or its node failed.")
    return Cause(KILLED, "Its process is gone without a word: killed by kill -9, or by the kernel as memory ran out.")


def _boot_time() -> float | None:
    try:
        lines = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith("btime")), None)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _clock(moment: str) -> str:
    found = seconds(moment)
    if found is None:
        return moment
    from datetime import datetime

    return datetime.fromtimestamp(found).strftime("%Y-%m-%d %H:%M:%S")
