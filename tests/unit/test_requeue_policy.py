"""Whether a run is requeued is decided in one place, by a table; what was decided is what is done, written and told."""

import json
import signal
import time
from dataclasses import dataclass, field

import pytest

from leyden.errors import Interrupted
from leyden.launch.jobs.listing import Job
from leyden.launch.jobs.why import why
from leyden.launch.requeue import WITHOUT_LAUNCHER, Ended, Event, Reason, RequeuePolicy, is_resumable
from leyden.launch.slurm.options import Options
from leyden.launch.slurm.parameters import restarts
from leyden.launch.status import run_status
from leyden.launch.surviving.decision import act
from leyden.launch.surviving.slurm_job import SlurmJob
from leyden.runs.record import attempts, job, status
from leyden.runs.record.attempts import Attempt
from leyden.runs.record.files import read
from leyden.runs.record.job import JobRecord
from leyden.runs.record.state import Outcome, RunState

REQUEUED, REFUSED = True, False


@dataclass(frozen=True)
class OurJob(SlurmJob):
    """A job of a cluster that does *what* to it, and complains of *problem* if it is asked to requeue it."""

    what: Event = Event.PREEMPTED
    problem: str | None = None
    asked: list[str] = field(default_factory=list)

    def event(self, signum):
        return self.what

    def requeue(self, patience=60.0):
        self.asked.append(self.name)
        return self.problem


def stalled(count, job_name="12"):
    """Attempts that ended where they had begun."""
    return [(10, 10, job_name)] * count


# limits          event             requeued  attempts before     this one    saved  what becomes of it
TABLE = {
    "time limit": ((10, 2), Event.TIME_LIMIT, 0, [], (0, 10), True, REQUEUED, Reason.ENDED_BY_CLUSTER, "time limit"),
    "pre-emption": ((10, 2), Event.PREEMPTED, 0, [], (0, 10), True, REQUEUED, Reason.ENDED_BY_CLUSTER, "preempted"),
    "room": ((10, 2), Event.MAKE_ROOM, 0, [], (0, 10), True, REQUEUED, Reason.ENDED_BY_CLUSTER, "asked to make room"),
    "by SLURM itself": ((0, 0), Event.REQUEUED, 9, [], (0, 10), False, REQUEUED, Reason.BY_SCHEDULER, "SLURM itself"),
    "scancel": ((10, 2), Event.CANCELLED, 0, [], (0, 10), True, REFUSED, Reason.CANCELLED, "it was cancelled"),
    "kill": ((10, 2), Event.UNKNOWN, 0, [], (0, 10), True, REFUSED, Reason.NOT_ASKED, "nothing says that the cluster"),
    "no checkpoints": ((10, 2), Event.PREEMPTED, 0, [], (0, 10), False, REFUSED, Reason.NOTHING_SAVED, "are off"),
    "before the first step": ((10, 2), Event.PREEMPTED, 0, [], (None, 0), False, REQUEUED, Reason.ENDED_BY_CLUSTER, ""),
    "switched off": ((0, 2), Event.PREEMPTED, 0, [], (0, 10), True, REFUSED, Reason.SWITCHED_OFF, "told not to"),
    "below the limit": ((3, 2), Event.PREEMPTED, 2, [], (0, 10), True, REQUEUED, Reason.ENDED_BY_CLUSTER, ""),
    "at the limit": ((3, 2), Event.PREEMPTED, 3, [], (0, 10), True, REFUSED, Reason.LIMIT, "requeued 3 times"),
    "above the limit": ((3, 2), Event.PREEMPTED, 4, [], (0, 10), True, REFUSED, Reason.LIMIT, "requeued 4 times"),
    "a limit of one": ((1, 2), Event.PREEMPTED, 1, [], (0, 10), True, REFUSED, Reason.LIMIT, "requeued once"),
    "no limit": ((None, 2), Event.PREEMPTED, 100, [], (0, 10), True, REQUEUED, Reason.ENDED_BY_CLUSTER, ""),
    "no limit at all": ((None, None), Event.PREEMPTED, 5000, stalled(9), (10, 10), True, REQUEUED,
                        Reason.ENDED_BY_CLUSTER, ""),
    "stalled once of two": ((10, 2), Event.PREEMPTED, 1, [(0, 10, "12")], (10, 10), True, REQUEUED,
                            Reason.ENDED_BY_CLUSTER, ""),
    "stalled twice of two": ((10, 2), Event.PREEMPTED, 2, [(0, 10, "12"), *stalled(1)], (10, 10), True, REFUSED,
                             Reason.STALLED, "its last 2 attempts have not got any further"),
    "stalled twice of three": ((10, 3), Event.PREEMPTED, 2, stalled(1), (10, 10), True, REQUEUED,
                               Reason.ENDED_BY_CLUSTER, ""),
    "stalled three times of three": ((10, 3), Event.PREEMPTED, 2, stalled(2), (10, 10), True, REFUSED,
                                     Reason.STALLED, "its last 3 attempts"),
    "stalled once of one": ((10, 1), Event.PREEMPTED, 0, [], (10, 10), True, REFUSED, Reason.STALLED, "last attempt"),
    "stalled once of none": ((10, 0), Event.PREEMPTED, 0, [], (10, 10), True, REFUSED, Reason.STALLED, "last attempt"),
    "got on, where none may stall": ((10, 0), Event.PREEMPTED, 0, [], (10, 11), True, REQUEUED,
                                     Reason.ENDED_BY_CLUSTER, ""),
    "never begun to train, twice": ((10, 2), Event.PREEMPTED, 1, [(None, 0, "12")], (None, 0), False, REFUSED,
                                    Reason.STALLED, "its last 2 attempts"),
    "got a step further in between": ((10, 2), Event.PREEMPTED, 3, [*stalled(1), (10, 11, "12")], (11, 11), True,
                                      REQUEUED, Reason.ENDED_BY_CLUSTER, ""),
    "stalled in another job": ((10, 2), Event.PREEMPTED, 0, stalled(5, "7"), (10, 10), True, REQUEUED,
                               Reason.ENDED_BY_CLUSTER, ""),
}  # fmt: skip
ROWS = pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))


def attempt(number, from_step, to_step, name="12"):
    return Attempt(number, Outcome.REQUEUED, job=name, from_step=from_step, to_step=to_step)


@ROWS
def test_the_policy_decides_as_the_table_says(row):
    limits, event, requeued, before, (begun, reached), saved, requeue, code, words = row
    lines = [attempt(at + 1, *each) for at, each in enumerate([*before, (begun, reached)])]
    ended = Ended(event, resumable=saved or reached == 0, requeued=requeued, attempts=lines)

    decision = RequeuePolicy(*limits).decide(ended)

    assert (decision.requeue, decision.code) == (requeue, code)
    assert words in decision.sentence


@ROWS
def test_what_was_decided_is_done_written_and_told(row, tmp_path):
    limits, event, requeued, before, (begun, reached), saved, requeue, code, words = row
    path = stopping(tmp_path, limits, before, begun)
    ours = OurJob("12", requeued, event)

    decision = act(path, Interrupted(signal.SIGUSR2, "last.ckpt" if saved else None), reached, ours)

    line, said, answer = attempts.read(path)[-1], status.read(path), explained(path, requeue)
    assert (decision.requeue, decision.code) == (requeue, code)
    assert (line.requeue, line.decision) == (code, decision.sentence)
    assert line.outcome is (Outcome.REQUEUED if requeue else Outcome.INTERRUPTED)
    assert (said.state, said.requeue) == (RunState.QUEUED if requeue else RunState.INTERRUPTED, code)
    assert bool(ours.asked) == (requeue and event is not Event.REQUEUED)
    assert ("It was not requeued" in answer) == (not requeue)
    assert requeue or words in answer


def stopping(path, limits, before, begun):
    """Return a run whose last attempt is about to end."""
    status.create(path)
    job.write(path, JobRecord("slurm", "12", restarts=limits[0], stalled_restarts=limits[1]))
    for at, each in enumerate(before):
        attempts.append(path, attempt(at + 1, *each))
    status.update(
        path, status=RunState.RUNNING, attempts=len(before) + 1, started="2100-01-01T00:00:00+00:00", host="node1",
        job="12", from_step=begun,
    )  # fmt: skip
    return path


def explained(path, requeue):
    """Return what `leyden jobs why` says; of a run that was requeued, as if it never came back."""
    if requeue:
        status.update(path, status=RunState.INTERRUPTED, error="stopped by SIGUSR2")
    files, now = read(path), time.time()
    found = Job("run", files, run_status(files, None, False, now), None, now)
    return " ".join(why(found, lambda _: {}).sentences)


def test_a_scheduler_that_refuses_has_the_last_word(tmp_path):
    path = stopping(tmp_path, (10, 2), [], 0)

    decision = act(path, Interrupted(signal.SIGUSR2, "last.ckpt"), 10, OurJob("12", 0, problem="no permission"))

    assert (decision.requeue, decision.code) == (False, Reason.REFUSED)
    assert status.read(path).state is RunState.INTERRUPTED
    assert "SLURM refuses: no permission" in explained(path, False)


def test_a_run_that_leyden_jobs_cancel_ends_is_not_requeued_whatever_the_cluster_does(tmp_path):
    path = stopping(tmp_path, (10, 2), [], 0)
    job.mark_cancelled(path, "me")

    assert act(path, Interrupted(signal.SIGTERM, "last.ckpt"), 10, OurJob("12", 0)).code is Reason.CANCELLED


def test_after_the_limit_of_stalled_attempts_the_same_is_written_and_told(tmp_path):
    path = stopping(tmp_path, (10, 2), stalled(1), 10)

    act(path, Interrupted(signal.SIGUSR2, "last.ckpt"), 10, OurJob("12", 1))

    sentence = "It was not requeued: its last 2 attempts have not got any further (stalled_restarts=2)."
    assert sentence in status.read(path).reason
    assert explained(path, False).endswith(sentence)


@pytest.mark.parametrize("option", ["restarts", "stalled_restarts"])
def test_null_is_no_limit_from_the_options_to_the_policy(option, tmp_path):
    options = Options(**{option: None})
    job.write(tmp_path, JobRecord("slurm", restarts=restarts(options), stalled_restarts=options.stalled_restarts))
    policy = RequeuePolicy.of(job.read(tmp_path))

    ended = Ended(Event.PREEMPTED, requeued=0, attempts=[attempt(1, 0, 10)])
    often = Ended(Event.PREEMPTED, requeued=10_000, attempts=[attempt(1, 0, 10)])
    never_further = Ended(Event.PREEMPTED, requeued=0, attempts=[attempt(at, 10, 10) for at in range(100)])

    assert json.loads((tmp_path / "job.json").read_text())[option] is None
    assert policy.decide(ended).requeue
    assert policy.decide(often).requeue == (option == "restarts")
    assert policy.decide(never_further).requeue == (option == "stalled_restarts")


def test_a_job_that_was_submitted_by_hand_has_limits(tmp_path):
    assert RequeuePolicy.of(job.read(tmp_path)) == RequeuePolicy(*WITHOUT_LAUNCHER)


def checkpoint(path, name):
    file = path / "checkpoints" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")


def test_a_run_can_go_on_from_what_was_saved_now_or_before_or_if_nothing_was_trained(tmp_path):
    assert is_resumable(tmp_path, "interrupted.ckpt", 10)
    assert is_resumable(tmp_path, None, 0)
    assert not is_resumable(tmp_path, None, 10)

    checkpoint(tmp_path, "notes.txt")
    assert not is_resumable(tmp_path, None, 10)

    checkpoint(tmp_path, "last.ckpt")
    assert is_resumable(tmp_path, None, 10)


def test_a_link_in_the_place_of_the_folder_of_checkpoints_is_not_followed(tmp_path):
    checkpoint(tmp_path / "elsewhere", "last.ckpt")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "elsewhere" / "checkpoints")

    assert is_resumable(tmp_path / "elsewhere", None, 10)
    assert not is_resumable(tmp_path / "run", None, 10)


OF_ITS_OWN, MEMORY, SUBMITTED, SAVED = "own_error", "memory", "requeueable", "saved"


@pytest.mark.parametrize(
    ("limit", "facts", "code", "words"),
    [
        (10, {OF_ITS_OWN, SUBMITTED, SAVED}, Reason.OWN_ERROR, "the same error would come again"),
        (0, {SUBMITTED, SAVED}, Reason.SWITCHED_OFF, "its launcher was told not to"),
        (10, {SAVED}, Reason.SWITCHED_OFF, "submitted with requeueing switched off"),
        (10, {MEMORY, SUBMITTED, SAVED}, Reason.MEMORY, "it would be killed again"),
        (10, {SUBMITTED}, Reason.NOTHING_SAVED, "not saved anything yet"),
        (10, {SUBMITTED, SAVED}, Reason.NO_TIME, "too quickly to save and to ask for it"),
    ],
)
def test_a_run_that_could_not_decide_is_told_why(limit, facts, code, words):
    asked = {name: name in facts for name in (OF_ITS_OWN, MEMORY, SUBMITTED, SAVED)}

    decision = RequeuePolicy(limit, 2).undecided(**asked)

    assert (decision.requeue, decision.code) == (False, code)
    assert words in decision.sentence


@pytest.mark.parametrize(
    ("restarts", "details", "saved", "words"),
    [
        (0, {}, True, "its launcher was told not to"),
        (10, {"Requeue": "0"}, True, "submitted with requeueing switched off"),
        (10, {"Requeue": "1"}, False, "not saved anything yet"),
        (10, {"Requeue": "1"}, True, "too quickly to save and to ask for it"),
    ],
)
def test_of_a_killed_run_it_is_told_from_its_files_and_from_slurm(restarts, details, saved, words, tmp_path):
    path = stopping(tmp_path, (restarts, 2), [(0, 10, "12")], 10)
    status.update(path, started="2020-01-01T00:00:00+00:00", updated="2020-01-01T00:00:00+00:00")
    job.write(path, JobRecord("slurm", "12", restarts=restarts, submitted="2019-01-01T00:00:00+00:00"))
    if saved:
        checkpoint(path, "last.ckpt")
    files = read(path)
    found = Job("run", files, run_status(files, None, True, time.time()), None, time.time())

    assert words in " ".join(why(found, lambda _: details).sentences)


def test_what_was_written_before_decisions_were_is_told_as_it_was(tmp_path):
    path = stopping(tmp_path, (10, 2), [], 0)
    reason = "preempted: stopped by SIGUSR2; not requeued: it has been requeued 10 times"
    attempts.append(path, Attempt(1, Outcome.INTERRUPTED, reason, job="12"))
    status.update(path, status=RunState.INTERRUPTED, error="stopped by SIGUSR2")

    assert "It was not requeued: it has been requeued 10 times" in explained(path, False)
