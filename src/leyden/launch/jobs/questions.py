"""SLURM, asked rarely: what it said some seconds ago is said again, to this process and to others of this user.

    ids ─► known for less than 5 s? ─► yes: as it was
                └─► no: one squeue for all of them ─► what neither files nor squeue explain: one sacct ─► kept

A controller is shared by everybody on the cluster: a table that is redrawn every second, in ten
terminals, must not ask it more than a person would. A question that failed is not asked again at once either.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from leyden.launch.slurm_queries import Answer, SlurmJob, accounts, queue, whole
from leyden.runs.index import user_cache

QUEUE_EVERY, ACCOUNTS_EVERY = 5.0, 30.0  # seconds


class Questions:
    """Asks SLURM, and remembers what it said.

    Args:
        fresh: Believe nothing that was said before: for what acts on the answer.
        cache: Folder of what is remembered; None for the user's cache.
    """

    def __init__(self, fresh: bool = False, cache: Path | None = None) -> None:
        self.fresh = fresh
        self.cache = cache or user_cache()
        self.silence = ""  # why squeue did not answer

    def queue(self, ids: Iterable[str]) -> Answer:
        """Return what squeue says about *ids*; why it says nothing is kept as `silence`."""
        answer = self._ask("squeue", whole(ids), QUEUE_EVERY, queue)
        self.silence = answer.problem or self.silence
        return answer

    def accounts(self, ids: Iterable[str]) -> Answer:
        """Return what sacct says about *ids*: nothing on a cluster that keeps no accounts, which is normal."""
        return self._ask("sacct", sorted(set(ids)), ACCOUNTS_EVERY, accounts)

    def _ask(self, name: str, ids: list[str], every: float, ask: Callable[[list[str]], Answer]) -> Answer:
        if not ids:
            return Answer()
        file = self._file(name)
        answer = None if self.fresh else _remembered(file, ids, every)
        if answer is None:
            answer = ask(ids)
            _remember(file, ids, answer)
        return answer

    def _file(self, name: str) -> Path:
        """Return where the answers of one command are kept: another cluster has another file."""
        cluster = f"{os.environ.get('SLURM_CONF', '')}\0{os.environ.get('SLURM_CLUSTERS', '')}"
        return self.cache / f"{name}-{hashlib.sha256(cluster.encode()).hexdigest()[:16]}.json"


def _remembered(file: Path, ids: list[str], every: float) -> Answer | None:
    """Return what was said less than *every* seconds ago about all *ids*; None if there is no such thing."""
    try:
        found = json.loads(file.read_bytes())
        if not 0 <= time.time() - found["asked"] < every or not set(ids) <= set(found["ids"]):
            return None
        return Answer({job["id"]: SlurmJob(**job) for job in found["jobs"]}, found["problem"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(file: Path, ids: list[str], answer: Answer) -> None:
    """Keep an answer; where that cannot be done, it is asked for again."""
    jobs = [asdict(job) for job in answer.jobs.values()]
    content = json.dumps({"asked": time.time(), "ids": ids, "jobs": jobs, "problem": answer.problem})
    scratch = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(content, encoding="utf-8")
        os.replace(scratch, file)
