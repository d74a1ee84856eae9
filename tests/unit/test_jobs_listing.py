"""Jobs are found by place, by name and by age, and SLURM is asked rarely."""

import json
import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from leyden.errors import RunError
from leyden.launch.jobs.listing import jobs_in, named_in
from leyden.launch.jobs.questions import Questions
from tests.run_directories import make


def ago(duration):
    return (datetime.now(UTC) - timedelta(seconds=duration)).isoformat(timespec="seconds")


@pytest.fixture
def root(tmp_path):
    """Runs of two sweeps; one ended long ago, and no SLURM on the path."""
    os.environ["PATH"] = str(tmp_path / "nothing")
    folder = tmp_path / "runs"
    make(folder / "a" / "0", metrics={"loss": 1.0}, ended=ago(60), started=ago(120), epoch=3, step=60, host="node1")
    make(folder / "a" / "1", status="failed", ended=ago(60), error="ValueError: no\nmore of it")
    make(folder / "a" / "10", status="failed", ended=ago(60), error="ValueError: no")
    make(folder / "b" / "old", metrics={"loss": 1.0}, ended=ago(10**6))
    make(folder / "b" / "dead", status="running", started=ago(10**6), updated=ago(10**6), host="far", pid=1)
    (folder / "b" / "dead" / "status.json").write_text(
        json.dumps({"status": "running", "started": ago(10**6), "updated": ago(10**6), "host": "far", "pid": 1})
    )
    return folder


def names(root, *places, lately=86_400.0):
    return sorted(job.name for job in jobs_in(places, root, Questions(cache=root / "c"), lately, root / "c"))


def test_what_ended_or_fell_silent_long_ago_is_left_out(root):
    assert names(root) == ["a/0", "a/1", "a/10"]
    assert names(root, lately=None) == ["a/0", "a/1", "a/10", "b/dead", "b/old"]


def test_an_old_run_that_was_handed_over_lately_is_there(root):
    (root / "b" / "old" / "job.json").write_text("{}")

    assert "b/old" in names(root)


def test_a_place_is_a_folder_a_run_or_a_part_of_names(root):
    assert names(root, str(root / "a")) == ["a/0", "a/1", "a/10"]
    assert names(root, str(root / "a" / "1"), "a/1") == ["a/1", "a/10"]
    assert names(root, "b/", lately=None) == ["b/dead", "b/old"]
    assert names(root, str(root.parent), lately=None) == [f"runs/{name}" for name in names(root, lately=None)]
    with pytest.raises(RunError, match="no run below"):
        names(root, "nonsense")


def test_a_run_is_named_alone_or_as_one_of_several(root):
    assert named_in(["a/10", str(root / "b" / "old")], root, root / "c") == {root / "a" / "10", root / "b" / "old"}
    assert named_in([str(root / "a"), "a/1"], root, root / "c") == set()


def test_a_job_tells_programs_how_it_stands(root):
    (job,) = jobs_in([str(root / "a" / "0")], root, Questions(cache=root / "c"), None, root / "c")

    assert {key: job.row()[key] for key in ("run", "launcher", "state", "epoch", "step", "node", "reason")} == {
        "run": "a/0", "launcher": "", "state": "finished", "epoch": 3, "step": 60, "node": "node1", "reason": "",
    }  # fmt: skip
    assert 55 < job.age < 120
    assert json.loads(json.dumps(job.row()))["path"] == str(root / "a" / "0")


def test_what_was_handed_to_no_launcher_and_has_several_ranks_says_so(root):
    file = root / "a" / "0" / "status.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "ranks": 2}))
    (job,) = jobs_in([str(file.parent)], root, Questions(cache=root / "c"), None, root / "c")

    assert job.row()["launcher"] == "ranks"


def test_a_reason_is_one_line(root):
    (job,) = jobs_in([str(root / "a" / "1")], root, Questions(cache=root / "c"), None, root / "c")

    assert job.row()["reason"] == "ValueError: no"


def test_where_slurm_is_silent_jobs_stand_as_their_files_tell(root):
    (root / "a" / "1" / "job.json").write_text(json.dumps({"launcher": "slurm", "id": "12_1"}))
    questions = Questions(cache=root / "c")

    (job,) = jobs_in([str(root / "a" / "1")], root, questions, None, root / "c")

    assert job.state == "failed"
    assert questions.silence == "squeue is not on the path of this machine"


@pytest.fixture
def cache(tmp_path):
    """An empty folder for answers, on a machine without SLURM: that nobody answers is remembered, too."""
    os.environ["PATH"] = str(tmp_path / "nothing")
    return tmp_path / "cache"


def asked(cache):
    """Return when SLURM was asked, by the file that its answer is kept in."""
    return {file.name: json.loads(file.read_text())["asked"] for file in cache.glob("squeue-*.json")}


def test_what_was_asked_some_seconds_ago_is_not_asked_again(cache):
    Questions(cache=cache).queue(["7_1", "7_2", "9"])
    before = asked(cache)

    again = Questions(cache=cache).queue(["7_3"])

    assert asked(cache) == before
    assert again.problem == "squeue is not on the path of this machine"


@pytest.mark.parametrize("ids", [["8"], ["7", "8"]])
def test_about_another_job_slurm_is_asked(ids, cache):
    Questions(cache=cache).queue(["7"])
    before = asked(cache)

    Questions(cache=cache).queue(ids)

    assert asked(cache) != before


def test_what_acts_on_an_answer_asks_anew(cache):
    Questions(cache=cache).queue(["7"])
    before = asked(cache)

    Questions(fresh=True, cache=cache).queue(["7"])

    assert asked(cache) != before


def test_another_cluster_is_another_question(cache):
    Questions(cache=cache).queue(["7"])
    os.environ["SLURM_CONF"] = "/another/slurm.conf"

    Questions(cache=cache).queue(["7"])

    assert len(asked(cache)) == 2


@pytest.mark.parametrize("content", ['{"asked": ', "[]", '{"asked": 0, "ids": ["7"], "jobs": [], "problem": null}'])
def test_an_answer_that_is_old_or_broken_is_none(content, cache):
    Questions(cache=cache).queue(["7"])
    (file,) = cache.iterdir()
    file.write_text(content)

    Questions(cache=cache).queue(["7"])

    assert time.time() - asked(cache)[file.name] < 60


def test_nothing_is_asked_about_no_jobs(cache):
    assert Questions(cache=cache).queue([]).problem is None
    assert not cache.exists()
