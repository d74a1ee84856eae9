"""Questions to SLURM: one call for all jobs that are asked about, a time limit on each, answers of one form.

    queue       squeue          what waits or runs, and what ended within the last minutes
    accounts    sacct           what ended at any time, where the cluster keeps accounts
    details     scontrol show   everything the controller knows about one job, while it knows it

No question raises: a machine without SLURM, a controller that does not answer and a cluster
without accounting are normal, and are told as `Answer.problem`. A job that is missing from an
answer without a problem is not known there (any more): of an array element that was cancelled
before it began not even the controller keeps a trace.

Nothing here decides; `leyden.launch.jobs` weighs the answers against what the files say.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from leyden.runs.record.job import is_slurm_id

PATIENCE = 15.0  # seconds; the clients of an absent controller would try for minutes
_SQUEUE = ("JobArrayID", "State", "Reason", "NodeList", "exit_code", "RestartCnt", "TimeLimit", "StartTime", "EndTime")
_SACCT = ("JobID", "State", "Reason", "NodeList", "ExitCode", "Timelimit", "Start", "End")
_NOTHING = frozenset(("", "None", "N/A", "n/a", "(null)", "Unknown", "None assigned", "Invalid"))
_VARIABLES = {"SLURM_TIME_FORMAT": "standard", "SLURM_BITSTR_LEN": "0", "LC_ALL": "C"}  # 0: never "1,3,5,..."
_KEY = re.compile(r"(?:^| )([A-Z][A-Za-z/:_]*)=")
_ELEMENTS = re.compile(r"^(\d+)_\[([\d,:-]+)(?:%\d+)?\]$")


@dataclass(frozen=True)
class SlurmJob:
    """What SLURM says about one job, or one element of an array; what it does not say is empty or None.

    Args:
        id: ``1234`` or ``1234_5``.
        state: One word, ``CANCELLED`` say.
        detail: What stood behind it: ``by 0``.
        reason: Why it waits, or sometimes why it ended.
        nodes: As SLURM abbreviates them: ``node[1-2]``.
        exit_code: Of its script.
        signal: Number of the signal that ended it; 0 for none.
        restarts: How often it was requeued.
        limit: Of its time, ``1-00:00:00`` say.
        starts: When it began, or will at the earliest as planned now; local time of the cluster.
        ends: When it ended, or has to; local time of the cluster.
    """

    id: str
    state: str
    detail: str = ""
    reason: str = ""
    nodes: str = ""
    exit_code: int | None = None
    signal: int | None = None
    restarts: int | None = None
    limit: str = ""
    starts: str = ""
    ends: str = ""


@dataclass(frozen=True)
class Answer:
    """What one of SLURM's commands had to say.

    Args:
        jobs: By id; of a job with several records the last one.
        problem: Why there is no answer; None if there is one.
        records: By id, every record of a job, the oldest first: one for each time it was started, and its steps.
    """

    jobs: dict[str, SlurmJob] = field(default_factory=dict)
    problem: str | None = None
    records: dict[str, list[SlurmJob]] = field(default_factory=dict)


def queue(ids: Iterable[str], patience: float = PATIENCE) -> Answer:
    """Ask squeue, in one call, about all jobs in *ids*; those of an array cost one number."""
    asked = whole(ids)
    if not asked:
        return Answer()
    fields = ",".join(f"{name}:|" for name in _SQUEUE)
    words = ["squeue", "--noheader", "--states=all", "--array", f"--Format={fields}", f"--jobs={','.join(asked)}"]
    text, problem = said(words, patience)
    if problem is not None and "Invalid job id" in problem:
        return Answer()  # the one job asked about is not known there: squeue says so by failing
    return Answer(parse_squeue(text), problem)


def accounts(ids: Iterable[str], steps: bool = False, patience: float = PATIENCE) -> Answer:
    """Ask sacct, in one call, about all jobs in *ids*.

    Args:
        ids: Of jobs or array elements.
        steps: Whether the records of a job's steps are wanted, too.
        patience: Seconds to wait.
    """
    asked = sorted({each for each in ids if is_slurm_id(each)})
    if not asked:
        return Answer()
    words = ["sacct", "--parsable2", "--noheader", "--duplicates", *([] if steps else ["--allocations"])]
    text, problem = said([*words, f"--format={','.join(_SACCT)}", f"--jobs={','.join(asked)}"], patience)
    records = parse_sacct(text)
    jobs = {base: found[-1] for base, found in records.items() if "." not in base and found}
    return Answer(jobs, problem, records)


def details(id: str, patience: float = PATIENCE) -> dict[str, str]:  # noqa: A002 - what SLURM calls it
    """Return what ``scontrol show job`` says, by its own keys; empty if it says nothing."""
    text, problem = said(["scontrol", "--oneliner", "show", "job", id], patience)
    return {} if problem is not None else parse_scontrol(text.partition("\n")[0])


def cancel(ids: Sequence[str], kill: bool = False, patience: float = PATIENCE) -> str | None:
    """Cancel jobs by one ``scancel``; returns what it complained about.

    Args:
        ids: Of jobs or array elements.
        kill: Do not wait for them to save: SIGKILL to their first steps beforehand, by another ``scancel``. To a job
            as a whole SLURM would send SIGTERM first, whatever signal is asked for.
        patience: Seconds to wait.
    """
    meant = [each for each in ids if is_slurm_id(each)]
    if not meant:
        return None
    if kill:
        said(["scancel", "--signal=KILL", *(f"{each}.0" for each in meant)], patience)  # some may have no step (yet)
    return said(["scancel", *meant], patience)[1]


def said(words: Sequence[str], patience: float = PATIENCE) -> tuple[str, str | None]:
    """Return what a command of SLURM's printed, and why it failed if it did.

    Variables that would change its answer, ``SQUEUE_STATES`` say, are kept from it.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_"))}
    environment |= _VARIABLES
    try:
        done = subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, check=False
        )
    except FileNotFoundError:
        return "", f"{words[0]} is not on the path of this machine"
    except subprocess.TimeoutExpired:
        return "", f"{words[0]} did not answer within {patience:g} s"
    except OSError as error:
        return "", f"{words[0]} cannot be started: {error.strerror or error}"
    text, complaint = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace").strip()
    if done.returncode == 0:
        return text, None
    return text, f"{words[0]}: {complaint.splitlines()[-1] if complaint else f'exit code {done.returncode}'}"


def parse_squeue(text: str) -> dict[str, SlurmJob]:
    """Return the jobs in what `queue` made squeue print; lines of another form are passed over."""
    found: dict[str, SlurmJob] = {}
    for line in text.splitlines():
        cells = line.split("|")
        if len(cells) != len(_SQUEUE) + 1:
            continue
        name, state, reason, nodes, code, restarts, limit, starts, ends = (_cell(cell) for cell in cells[:-1])
        word, _, detail = state.partition(" ")
        exit_code, signal = _wait_status(code)
        number = int(restarts) if restarts.isdigit() else None
        for each in expand(name):
            found[each] = SlurmJob(
                each, word.rstrip("+"), detail, reason, nodes, exit_code, signal, number, limit, starts, ends
            )
    return found


def parse_sacct(text: str) -> dict[str, list[SlurmJob]]:
    """Return the records in what `accounts` made sacct print, by id; steps stand under ``1234_5.batch``."""
    found: dict[str, list[SlurmJob]] = {}
    for line in text.splitlines():
        cells = line.split("|")
        if len(cells) != len(_SACCT):
            continue
        name, state, reason, nodes, code, limit, starts, ends = (_cell(cell) for cell in cells)
        word, _, detail = state.partition(" ")
        exit_code, signal = _pair(code)
        for each in expand(name):
            job = SlurmJob(each, word.rstrip("+"), detail, reason, nodes, exit_code, signal, None, limit, starts, ends)
            found.setdefault(each, []).append(job)
    return found


def parse_scontrol(line: str) -> dict[str, str]:
    """Return the keys and values of one line of ``scontrol --oneliner show``; values may hold blanks."""
    keys = list(_KEY.finditer(line))
    ends = [*(match.start() for match in keys[1:]), len(line)]
    values = {match[1]: line[match.end() : end].strip() for match, end in zip(keys, ends, strict=True)}
    return {key: "" if value in _NOTHING else value for key, value in values.items()}


def expand(id: str) -> list[str]:  # noqa: A002 - what SLURM calls it
    """Return the ids that one stands for: ``12_[3-5,9%2]`` is four elements of an array, any other id itself."""
    match = _ELEMENTS.match(id)
    if match is None:
        return [id]
    numbers: list[int] = []
    for part in match[2].split(","):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        numbers += range(int(first), int(last or first) + 1, int(step or 1))
    return [f"{match[1]}_{number}" for number in numbers]


def whole(ids: Iterable[str]) -> list[str]:
    """Return the jobs that *ids* belong to, each once: of array elements the array."""
    return sorted({each.partition("_")[0] for each in ids if is_slurm_id(each)})


def _cell(text: str) -> str:
    text = text.strip()
    return "" if text in _NOTHING else text


def _wait_status(text: str) -> tuple[int | None, int | None]:
    """Split what wait(2) would return, as older squeues print it, or ``code:signal``."""
    if ":" in text:
        return _pair(text)
    if not text.isdigit():
        return None, None
    return int(text) >> 8 & 0xFF, int(text) & 0x7F


def _pair(text: str) -> tuple[int | None, int | None]:
    code, _, signal = text.partition(":")
    return (int(code), int(signal)) if code.isdigit() and signal.isdigit() else (None, None)
