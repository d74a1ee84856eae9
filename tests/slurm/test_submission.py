"""Run directories become jobs of a cluster: one or an array, all or nothing, and nothing of the user's is pickled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.daemons import wait_for
from tests.slurm.submitting import HELD, QUICK, leyden, prepared, snapshot, told, until_finished

PROJECT = {
    "conf/model/said.yaml": "_target_: experiments.mine.model.Said\n",
    "experiments/mine/experiment.yaml": "defaults:\n  - override /model: said\nname: mine\n",
    "experiments/mine/model.py": """\
from leyden.models import MLP


class Said(MLP):
    def on_fit_start(self):
        print("this is the code of then", flush=True)
""",
}


def jobs(cluster) -> list[str]:
    """Return the jobs in the queue, the elements of arrays each for itself."""
    return cluster.ask("squeue", "--noheader", "--array", "--format=%i").split()


@pytest.fixture(autouse=True)
def _nothing_goes_on(request: pytest.FixtureRequest):
    """Cancel what a test has left in the queue."""
    named = {"cluster", "bare_cluster", "small_cluster"} & set(request.fixturenames)
    clusters = [request.getfixturevalue(name) for name in named]
    yield
    for given in clusters:
        if jobs(given):
            given.ask("scancel", *{each.partition("_")[0] for each in jobs(given)})


def test_a_run_that_is_submitted_is_made_here_and_executed_there(cluster, tmp_path):
    said = leyden(tmp_path, "submit", "--wait", *QUICK, "hydra.launcher.time=10")

    (run,) = (tmp_path / "runs" / "digits_mlp").iterdir()
    record = told(run)
    assert told(run, "status.json")["status"] == "finished"
    assert told(run, "status.json")["host"] in ("node1", "node2")
    assert record["launcher"] == "slurm"
    assert record["batch"] == str(run / "slurm")
    assert f"run directory  {run.relative_to(tmp_path)}" in Path(record["log"]).read_text()
    assert f"{run.relative_to(tmp_path)}  {record['id']}" in said
    assert "1 run finished" in said


def test_runs_that_exist_become_an_array_of_which_so_many_run_at_a_time(cluster, tmp_path):
    runs = prepared(tmp_path, 4)
    broken = (runs[2] / "config.yaml").read_text().replace("max_epochs: 1", "max_epochs: many")
    (runs[2] / "config.yaml").write_text(broken)

    said = leyden(tmp_path, "submit", "--wait", *runs, "hydra.launcher.array_parallelism=2", code=1)

    ids = [told(run)["id"] for run in runs]
    (array,) = {each.partition("_")[0] for each in ids}
    assert ids == [f"{array}_{number}" for number in range(4)]
    assert [told(runs[at], "status.json")["status"] for at in (0, 1, 3)] == ["finished"] * 3
    (batch,) = {told(run)["batch"] for run in runs}
    assert Path(batch) == tmp_path / "runs" / "prepared" / "slurm"
    assert "#SBATCH --array=0-3%2" in (Path(batch) / f"{array}_submission.sh").read_text()
    assert "many" in Path(told(runs[2])["log"]).read_text()
    assert "3 runs finished, 1 did not" in said


def test_what_a_job_is_given_is_a_path(cluster, tmp_path):
    runs = prepared(tmp_path, 2)

    leyden(tmp_path, "submit", *runs, HELD)

    for run in runs:
        payload = Path(told(run)["batch"]) / f"{told(run)['id']}_submitted.pkl"
        assert payload.stat().st_size < 2000
        assert str(run).encode() in payload.read_bytes()
        assert b"cloudpickle" not in payload.read_bytes()


def test_a_dry_run_prints_the_very_script_and_touches_nothing(cluster, tmp_path):
    runs = prepared(tmp_path, 3)
    before = snapshot(tmp_path)
    options = ("hydra.launcher.partition=low", "hydra.launcher.setup=['export HELLO=1']", HELD)

    said = leyden(tmp_path, "submit", "--dry-run", *runs, *options)

    assert snapshot(tmp_path) == before
    assert jobs(cluster) == []
    leyden(tmp_path, "submit", *runs, *options)
    (script,) = Path(told(runs[0])["batch"]).glob("*_submission.sh")
    assert said == script.read_text() + "\n"


def test_a_dry_run_of_new_runs_makes_none(tmp_path):
    said = leyden(tmp_path, "submit", "--dry-run", "-m", *QUICK, "seed=1,2", PATH=os.path.dirname(sys.executable))

    assert "#SBATCH --array=0-1%2" in said
    assert list(tmp_path.iterdir()) == []


def test_test_only_asks_the_cluster_and_queues_nothing(cluster, tmp_path):
    (run,) = prepared(tmp_path, 1)
    before = snapshot(tmp_path)

    said = leyden(tmp_path, "submit", "--test-only", run, "hydra.launcher.nodes=2", "hydra.launcher.gpus_per_node=2")

    assert "nodes node[1-2] in partition main" in said
    assert snapshot(tmp_path) == before
    assert jobs(cluster) == []


def test_more_runs_than_an_array_may_have_make_several_which_keep_the_limit_together(bare_cluster, tmp_path):
    runs = prepared(tmp_path, 10)

    leyden(tmp_path, "submit", *runs, HELD, "hydra.launcher.array_parallelism=3")

    arrays = [told(run)["id"].partition("_")[0] for run in runs]
    assert [arrays.count(each) for each in dict.fromkeys(arrays)] == [8, 2]
    (second,) = set(arrays[8:])
    assert f"Dependency=afterany:{arrays[0]}" in bare_cluster.ask("scontrol", "show", "job", second)
    assert len({told(run)["batch"] for run in runs}) == 1


def test_more_runs_than_the_cluster_takes_are_refused(small_cluster, tmp_path):
    runs = prepared(tmp_path, 21)
    before = snapshot(tmp_path)

    said = leyden(tmp_path, "submit", *runs, HELD, code=2)

    assert "21 runs were to be submitted, but this cluster keeps at most 20 jobs (MaxJobCount" in said
    assert snapshot(tmp_path) == before
    assert jobs(small_cluster) == []


def test_whoever_changes_their_mind_while_the_second_array_is_submitted_has_submitted_nothing(small_cluster, tmp_path):
    others, runs = prepared(tmp_path / "others", 10), prepared(tmp_path, 12)
    leyden(tmp_path, "submit", *others, HELD)
    before = snapshot(tmp_path / "runs")
    command = [sys.executable, "-m", "leyden", "submit", *map(str, runs), HELD]
    submitting = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert wait_for(lambda: len(jobs(small_cluster)) == 18, 60.0)  # sbatch tries again and again to submit four more

    os.killpg(submitting.pid, signal.SIGINT)

    said, _ = submitting.communicate(timeout=60)
    assert submitting.returncode == 130
    assert said == "stopped: nothing was submitted\n"
    assert len(jobs(small_cluster)) == 10
    assert snapshot(tmp_path / "runs") == before


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("partition=mian", "invalid partition specified: mian"),
        ("gpus_per_node=3", "Requested node configuration is not available"),
        ("time='1:2:3:4'", "hydra.launcher.time is '1:2:3:4'. Expected minutes, or one of sbatch's forms"),
    ],
)
def test_what_the_cluster_does_not_have_is_one_error_before_a_directory_is_made(cluster, tmp_path, option, words):
    said = leyden(tmp_path, "submit", *QUICK, f"hydra.launcher.{option}", code=2)

    assert words in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_partition_is_answered_with_those_that_there_are(cluster, tmp_path):
    (run,) = prepared(tmp_path, 1)

    said = leyden(tmp_path, "submit", run, "hydra.launcher.partition=mian", code=2)

    assert "Its partitions are main, low, high: hydra.launcher.partition=NAME" in said


@pytest.mark.parametrize("absent", ["sbatch", "srun"])
def test_a_machine_without_the_commands_of_slurm_is_told_so(tmp_path, absent):
    (run,) = prepared(tmp_path, 1)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in {"sbatch", "srun", "scontrol", "squeue", "git"} - {absent}:
        (commands / name).symlink_to(shutil.which(name))
    before = snapshot(tmp_path)

    said = leyden(tmp_path, "submit", run, code=2, PATH=str(commands))

    assert said.startswith(f"{absent} is not on the path of this machine.")
    assert snapshot(tmp_path) == before


def test_a_controller_that_does_not_answer_is_one_error(cluster, tmp_path):
    (run,) = prepared(tmp_path, 1)
    conf = tmp_path / "slurm.conf"
    lines = cluster.conf.read_text().splitlines()
    conf.write_text("\n".join("SlurmctldPort=9" if line.startswith("SlurmctldPort=") else line for line in lines))
    before = snapshot(tmp_path)

    said = leyden(tmp_path, "submit", run, code=2, SLURM_CONF=str(conf))

    assert said.startswith("SLURM cannot be asked about its limits: scontrol")
    assert snapshot(tmp_path) == before


def test_a_directory_that_cannot_be_written_to_is_one_error(cluster, tmp_path):
    (run,) = prepared(tmp_path, 1)
    before = snapshot(tmp_path)
    mount = (
        f"mount --bind {run} {run} && mount -o remount,ro,bind {run} && exec {sys.executable} -m leyden submit {run}"
    )

    done = subprocess.run(["unshare", "--mount", "sh", "-c", mount], check=False, capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr == (f"{run}/slurm cannot be made: Read-only file system. A launcher keeps its lists there.\n")
    assert snapshot(tmp_path) == before
    assert jobs(cluster) == []


def test_a_run_that_waits_already_is_not_submitted_again_and_one_that_is_finished_needs_nothing(cluster, tmp_path):
    waiting, finished = prepared(tmp_path, 2)
    leyden(tmp_path, "submit", waiting, HELD)
    (finished / "status.json").write_text('{"status": "finished"}')

    again = leyden(tmp_path, "submit", waiting, code=2)
    nothing = leyden(tmp_path, "submit", finished)

    assert f"runs/prepared/0 is queued already, as job {told(waiting)['id']}" in again
    assert nothing == "runs/prepared/1 is finished: not submitted\n"
    assert jobs(cluster) == [told(waiting)["id"]]


def test_frozen_code_is_that_of_the_submission_whatever_is_edited_while_the_job_waits(cluster, tmp_path):
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    leyden(tmp_path, "submit", *QUICK, "experiment=mine", "hydra.launcher.freeze_code=true", HELD)
    (run,) = (tmp_path / "runs" / "mine").iterdir()

    (tmp_path / "experiments/mine/model.py").write_text("raise SystemExit('edited')\n")
    cluster.ask("scontrol", "release", told(run)["id"])
    until_finished(run)

    assert "this is the code of then" in Path(told(run)["log"]).read_text()


def test_the_log_of_a_run_that_is_requeued_keeps_what_it_said_before(cluster, tmp_path):
    (run,) = prepared(tmp_path, 1, (*QUICK, "trainer.max_epochs=100000"))
    leyden(tmp_path, "submit", run)
    log = Path(told(run)["log"])
    assert wait_for(lambda: log.exists() and "Epoch 1/" in log.read_text(), 60.0)
    before = log.read_text().partition("Epoch 1/")[0]

    cluster.ask("scontrol", "requeue", told(run)["id"])

    assert wait_for(lambda: log.read_text().count("Starting with JobEnvironment") == 2, 90.0)
    assert log.read_text().startswith(before)


def test_a_rank_can_do_without_srun(cluster, tmp_path):
    (run,) = prepared(tmp_path, 1)

    leyden(tmp_path, "submit", "--wait", run, "hydra.launcher.use_srun=false")

    assert told(run, "status.json")["status"] == "finished"
    (script,) = (run / "slurm").glob("*_submission.sh")
    assert "--signal=B:USR2@120" in script.read_text()
    assert "\nexec " in script.read_text()
