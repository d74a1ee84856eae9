"""A job is requeued and goes on to the same result, wherever it is when its cluster wants it to end.

``LEYDEN_TIMES=10 pytest tests/slurm/test_moments.py`` does everything to ten runs at once.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.holding import RUN, is_held, make_project, result
from tests.slurm.daemons import wait_for
from tests.slurm.submitting import leyden, told

pytestmark = pytest.mark.timeout(1200)
TIMES = int(os.environ.get("LEYDEN_TIMES", "1"))
PATIENCE = 240.0 + 30.0 * TIMES  # seconds
LOW = ("hydra.launcher.partition=low",)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What a run comes to that nobody disturbed."""
    folder = tmp_path_factory.mktemp("expected")
    make_project(folder)
    leyden(folder, "train", *RUN)
    (run,) = (folder / "runs" / "digits_mlp").iterdir()
    return result(run)


def asked_to_make_room(cluster, job):
    cluster.ask("scancel", "--signal=USR2", job)


def preempted(cluster, job):
    wide = ("--partition=high", "--nodes=2", "--exclusive", "--time=1", "--output=/dev/null")
    cluster.ask("sbatch", *wide, "--wrap", "srun sleep 2")


def out_of_time(cluster, job):
    """Let the time of the job be up within a minute or two, once it has begun; later attempts have more."""
    began = cluster.ask("squeue", "--noheader", "--array", f"--jobs={job}", "--format=%M").split()
    minutes = max(int(each.rpartition(":")[0].rpartition(":")[2]) for each in began)
    cluster.ask("scontrol", "update", f"jobid={job}", f"timelimit={minutes + 2}")


@pytest.mark.parametrize(
    ("moment", "strike", "words"),
    [
        ("start", asked_to_make_room, ()),
        ("sanity", asked_to_make_room, ()),
        ("validate", asked_to_make_room, ()),
        ("test", asked_to_make_room, ()),
        ("sanity", preempted, LOW),
        ("test", preempted, LOW),
        ("test", out_of_time, ("hydra.launcher.signal_delay_s=60",)),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_a_job_goes_on_from_wherever_it_was(cluster, expected, tmp_path, moment, strike, words):
    runs = submitted(tmp_path, f"callbacks.hold.moment={moment}", *words)
    job = told(runs[0])["id"].partition("_")[0]
    assert wait_for(lambda: all(map(is_held, runs)), PATIENCE), said(runs)

    strike(cluster, job)
    if strike is out_of_time:
        assert wait_for(lambda: all(map(lines, runs)), PATIENCE), said(runs)
        cluster.ask("scontrol", "update", f"jobid={job}", "timelimit=10")

    assert wait_for(lambda: all(has_ended(run) for run in runs), PATIENCE), said(runs)
    assert [each["outcome"] for run in runs for each in lines(run)] == ["requeued", "finished"] * TIMES, said(runs)
    assert [result(run) == expected for run in runs] == [True] * TIMES


def submitted(folder: Path, *words: str) -> list[Path]:
    """Submit `TIMES` runs, which are the same but for a number that changes nothing."""
    make_project(folder)
    several = ("-m", f"callbacks.hold.number=range({TIMES})") if TIMES > 1 else ()
    leyden(folder, "submit", *several, *RUN, "hydra.launcher.time=10", *words)
    runs = sorted(file.parent for file in (folder / "runs").rglob("status.json"))
    assert len(runs) == TIMES
    return runs


def has_ended(run: Path) -> bool:
    """Whether no further attempt is to be expected."""
    return told(run, "status.json")["status"] in ("finished", "failed", "interrupted")


def lines(run: Path) -> list[dict[str, object]]:
    """Return how the attempts ended."""
    file = run / "attempts.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def said(runs: list[Path]) -> list[object]:
    """Return what is known of the runs, for a test that fails."""
    return [(run.name, told(run, "status.json"), lines(run)) for run in runs]
