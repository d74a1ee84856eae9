"""Why a job stands as it does, in one to three sentences, and what to do next.

it waits ─► SLURM's reason in plain words          leyden.launch.jobs.pending
it stopped ─► why                                  leyden.launch.jobs.stopped
           └─► why it was not begun again          leyden.launch.requeue
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from leyden.config.project import shown
from leyden.launch.jobs import stopped
from leyden.launch.jobs.last_words import Trace
from leyden.launch.jobs.listing import Job
from leyden.launch.jobs.pending import explained
from leyden.launch.requeue import RequeuePolicy, has_checkpoint, told
from leyden.launch.slurm_queries import details
from leyden.runs.record.job import LOCAL, SLURM
from leyden.runs.record.state import RunState


@dataclass(frozen=True)
class Explanation:
    """The answer to why.

    Args:
        state: How the job stands.
        code: One word for programs: a cause of `leyden.launch.jobs.stopped`, or the state itself.
        sentences: One to three.
        advice: What to do next; empty if nothing.
        trace: The end of the traceback that it died of.
    """

    state: str
    code: str
    sentences: tuple[str, ...]
    advice: str = ""
    trace: Trace | None = None

    def row(self) -> dict[str, Any]:
        """Return what a program is told."""
        lines = list(self.trace.lines) if self.trace is not None else []
        told = {"state": self.state, "cause": self.code, "why": " ".join(self.sentences), "next": self.advice}
        return {**told, "traceback": lines}


def why(job: Job, ask: Callable[[str], Mapping[str, str]] = details) -> Explanation:
    """Return why *job* stands as it does.

    Args:
        job: As `leyden.launch.jobs.listing.look` found it just now.
        ask: Asks SLURM's controller about one job.
    """
    place = shown(job.path)
    if job.state is RunState.FINISHED:
        return Explanation(job.state, job.state, ("It has finished: nothing stopped it.",))
    if job.state is RunState.QUEUED:
        return _waiting(job, place)
    if job.state is RunState.RUNNING:
        return Explanation(job.state, job.state, (_at_work(job),), f"Follow it with: leyden jobs logs -f {place}")
    found = stopped.cause(job)
    sentences = tuple(each for each in (found.text, _not_requeued(job, found, ask)) if each)
    return Explanation(job.state, found.code, sentences, _next(job, found, place), found.trace)


def _not_requeued(job: Job, found: stopped.Cause, ask: Callable[[str], Mapping[str, str]]) -> str:
    """Return why a job was not requeued, as it was decided and written down; empty where that is no question."""
    record = job.files.job
    if record.launcher != SLURM or found.code in (stopped.CANCELLED, stopped.NEVER):
        return ""
    decided = told(job.files.last)
    if decided is not None:
        return decided
    said = ask(record.slurm_id) if record.slurm_id else {}
    decision = RequeuePolicy.of(record).undecided(
        own_error=found.code in (stopped.OWN, stopped.MEMORY) and job.state is RunState.FAILED,
        memory=found.code == stopped.MEMORY,
        requeueable=said.get("Requeue") != "0",
        saved=has_checkpoint(job.path),
    )
    return decision.sentence


def _waiting(job: Job, place: str) -> Explanation:
    record = job.files.job
    again = _again(job)
    if record.launcher == SLURM and job.slurm is not None:
        words = explained(job.slurm)
        first = f"It waits{again}: {words.meaning}."
        return Explanation(job.state, job.slurm.reason or job.state, (first,), words.advice)
    if record.launcher == SLURM:
        first = f"It waits{again}, as far as its files tell: SLURM, which would know why, did not answer."
        return Explanation(job.state, job.state, (first,), f"Ask where SLURM is: squeue --jobs={record.id}")
    if record.launcher == LOCAL:
        first = f"It waits{again} for a slot of the queue of process {record.queue_pid}."
        return Explanation(job.state, job.state, (first,), "It begins when another job of that queue has ended.")
    return Explanation(
        job.state, "prepared", ("It is prepared, and nobody has begun it.",), f"Begin it: leyden run {place}"
    )


def _again(job: Job) -> str:
    """Say that it is not the first time that a job waits, and why not."""
    last = job.files.attempts[-1] if job.files.attempts else None
    if last is None:
        return ""
    reason = f" ({last.reason})" if last.reason else ""
    return f" to go on at step {last.to_step}, after attempt {last.number} was {last.outcome or 'ended'}{reason}"


def _at_work(job: Job) -> str:
    status = job.files.status
    at = f" on {job.node}" if job.node else ""
    if job.standing.reason == "begun":
        return f"Its job runs{at} and has not begun to train yet."
    heard = status.updated_at
    said = f", last heard of {max(0, round(job.now - heard))} s ago" if heard is not None else ""
    return f"It runs{at}: epoch {status.epoch or 0}, step {status.step or 0}{said}."


def _next(job: Job, found: stopped.Cause, place: str) -> str:
    on = "goes on from its last checkpoint" if has_checkpoint(job.path) else "begins it anew"
    retry = f"leyden jobs retry {place}"
    if job.state is RunState.SILENT:
        return f"Look on {job.node or 'its machine'} whether it is there; if not: leyden run {place}"
    if found.code == stopped.OWN:
        return f"Mend it, then: {retry}   ({on})"
    if found.code == stopped.MEMORY:
        return f"Give it more memory, or a smaller batch, then: {retry}   ({on})"
    if found.code == stopped.NEVER and job.files.job.log:
        return f"leyden jobs logs --job {place} shows what its job printed; then: {retry}"
    return f"{retry}   ({on})"
