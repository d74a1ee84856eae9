"""Jobs of a cluster are listed, explained, cancelled and started again; with accounts, and where it keeps none."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import yaml

from leyden.runs.directory import RunDirectory
from leyden.runs.record.moments import now
from tests.slurm import submitting
from tests.slurm.submitting import HELD, prepared, told

LONG = 100_000  # epochs


@pytest.fixture(autouse=True)
def _nothing_goes_on(request: pytest.FixtureRequest):
    """Cancel what a test has left in the queue."""
    used = [request.getfixturevalue(name) for name in ("cluster", "bare_cluster") if name in request.fixturenames]
    yield
    for each in used:
        left = each.ask("squeue", "--noheader", "--format=%A").split()
        if left:
            each.ask("scancel", *left)


def leyden(folder: Path, *words: object, code: int = 0) -> str:
    """Run ``leyden words`` with an index and answers of its own."""
    return submitting.leyden(folder, *words, code=code, XDG_CACHE_HOME=str(folder / "cache"))


def rows(folder: Path, *words: object) -> dict[str, dict]:
    """Return what ``leyden jobs --json`` says, by the last part of a run's name; once the answers are old enough."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    found = json.loads(leyden(folder, "jobs", *words, "--json"))
    return {row["run"].rpartition("/")[2]: row for row in found}


def states(folder: Path) -> dict[str, str]:
    return {name: row["state"] for name, row in rows(folder).items()}


def why(folder: Path, run: Path) -> dict:
    (found,) = json.loads(leyden(folder, "jobs", "why", run, "--json"))
    return found


def until(holds, seconds: float = 200.0):
    """Wait until something holds; returns it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.3)
    return found


def change(run: Path, key: str, value: object) -> None:
    """Set a dotted key of a config; None takes it out."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    part = config
    for name in key.split(".")[:-1]:
        part = part[name]
    part[key.rpartition(".")[2]] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def is_saving(run: Path) -> bool:
    return any((run / "checkpoints").glob("*.ckpt"))


def process_of(run: Path) -> int:
    """Return the process that executes a run, by the number it has on this machine: nodes count for themselves."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"leyden.run" in words and str(run).encode() in words and b"-m" in words:
            return int(folder.name)
    raise AssertionError(f"nobody executes {run}")


@pytest.mark.timeout(900)
def test_of_an_array_with_a_failed_a_killed_and_a_cancelled_run_just_these_three_are_retried(cluster, tmp_path):
    runs = prepared(tmp_path, 20)
    failing, killed, cancelled = runs[2], runs[3], runs[19]
    change(failing, "callbacks.stop", {"_target_": "leyden.callbacks.EarlyStopping", "monitor": "no_such_metric"})
    change(killed, "trainer.max_epochs", LONG)

    leyden(tmp_path, "submit", *runs, "hydra.launcher.array_parallelism=4", "hydra.launcher.restarts=0")
    leyden(tmp_path, "jobs", "cancel", cancelled)
    until(lambda: is_saving(killed))
    os.kill(process_of(killed), signal.SIGKILL)
    until(lambda: not set(states(tmp_path).values()) & {"queued", "running"}, 600)

    found = rows(tmp_path)
    ends = {name: row["state"] for name, row in found.items()}
    assert ends == dict.fromkeys(map(str, range(20)), "finished") | {"2": "failed", "3": "dead", "19": "interrupted"}
    assert "no_such_metric" in found["2"]["reason"]
    assert "cancelled" in found["19"]["reason"]
    assert why(tmp_path, failing)["cause"] == "error"
    assert why(tmp_path, killed)["cause"] == "killed"
    assert why(tmp_path, cancelled)["cause"] == "cancelled"

    for each in (failing, killed):
        change(each, "trainer.max_epochs", 2 if each == failing else finished_epochs(each) + 2)
    change(failing, "callbacks", {})
    before = {run.name: told(run)["id"] for run in runs}
    said = leyden(tmp_path, "jobs", "retry", tmp_path / "runs", "--failed")
    again = {run.name: told(run)["id"] for run in runs if told(run)["id"] != before[run.name]}
    until(lambda: set(states(tmp_path).values()) == {"finished"}, 300)

    assert set(again) == {"2", "3", "19"}
    assert len({each.partition("_")[0] for each in again.values()}) == 1
    assert said.count("slurm job") == 3
    assert "17 finished: not started again" in said


def finished_epochs(run: Path) -> int:
    import torch

    return max(torch.load(file, weights_only=True)["epoch"] for file in (run / "checkpoints").glob("*.ckpt"))


def test_jobs_that_wait_and_run_are_ended_by_one_command_and_stay_ended(cluster, tmp_path):
    running, waiting = prepared(tmp_path, 2)
    change(running, "trainer.max_epochs", LONG)
    leyden(tmp_path, "submit", running, waiting, "hydra.launcher.array_parallelism=1")
    until(lambda: is_saving(running))
    assert states(tmp_path) == {"0": "running", "1": "queued"}
    assert "as many jobs of its array run as may run at once" in why(tmp_path, waiting)["why"]

    assert "Nothing was done" in leyden(tmp_path, "jobs", "cancel", "--all", code=2)
    said = leyden(tmp_path, "jobs", "cancel", "--all", "--yes")

    assert "taken out of the queue" in said
    assert "SLURM asks it to stop" in said
    until(lambda: told(running, "status.json")["status"] == "interrupted")
    until(lambda: not cluster.ask("squeue", "--noheader"))
    assert states(tmp_path) == {"0": "interrupted", "1": "interrupted"}
    assert {told(run)["cancelled_by"] for run in (running, waiting)} == {"root"}
    assert "cancelled by leyden jobs cancel" in why(tmp_path, running)["why"]


def test_a_job_is_killed_without_waiting_for_it_to_save(cluster, tmp_path):
    (run,) = prepared(tmp_path, 1)
    change(run, "trainer.max_epochs", LONG)
    leyden(tmp_path, "submit", run)
    until(lambda: is_saving(run))

    leyden(tmp_path, "jobs", "cancel", "--now", run)

    until(lambda: not cluster.ask("squeue", "--noheader"))
    assert not (run / "checkpoints" / "interrupted.ckpt").exists()
    assert states(tmp_path)["0"] == "interrupted"


@pytest.mark.parametrize(
    ("asked", "reason", "advice"),
    [
        (HELD, "its owner holds it", "scontrol release"),
        ("hydra.launcher.additional_parameters={begin:now+3hour}", "may not begin before", "planned to begin at"),
    ],
)
def test_why_a_job_waits(asked, reason, advice, cluster, tmp_path):
    (run,) = prepared(tmp_path, 1)
    leyden(tmp_path, "submit", run, asked)

    found = until(lambda: (said := why(tmp_path, run)) and said["cause"] not in ("queued", "None") and said)

    assert (found["state"], found["launcher"]) == ("queued", "slurm")
    assert reason in found["why"]
    assert advice in f"{found['why']} {found['next']}"


def test_a_job_waits_for_another_one_and_then_in_vain(cluster, tmp_path):
    first, second = prepared(tmp_path, 2)
    leyden(tmp_path, "submit", first, HELD)
    leyden(tmp_path, "submit", second, f"hydra.launcher.dependency=afterok:{told(first)['id']}")

    assert "it waits for another job to end." in why(tmp_path, second)["why"]
    leyden(tmp_path, "jobs", "cancel", first)
    found = until(lambda: (said := why(tmp_path, second)) and said["cause"] == "DependencyNeverSatisfied" and said)

    assert "cannot happen any more" in found["why"]
    assert "without the dependency" in found["next"]


def test_a_node_that_is_away_is_named(cluster, tmp_path):
    (run,) = prepared(tmp_path, 1)
    leyden(tmp_path, "submit", run, HELD, "hydra.launcher.nodelist=node2")
    cluster.ask("scontrol", "update", "node=node2", "state=drain", "reason=test")
    cluster.ask("scontrol", "release", told(run)["id"])

    try:
        found = until(lambda: (said := why(tmp_path, run)) and "ReqNodeNotAvail" in said["cause"] and said)
    finally:
        cluster.ask("scontrol", "update", "node=node2", "state=resume")

    assert "down, drained or reserved (node2)" in found["why"]
    assert "sinfo -R" in found["next"]


def test_what_a_job_printed_before_the_run_began_is_where_why_leads_to(cluster, tmp_path):
    (run,) = prepared(tmp_path, 1)
    leyden(tmp_path, "submit", run, "hydra.launcher.setup=[echo no such module, exit 7]")
    until(lambda: rows(tmp_path)["0"]["state"] == "failed")

    found = why(tmp_path, run)

    assert found["cause"] == "never-begun"
    assert "exit code 7 before the run began" in found["why"]
    assert found["next"].startswith("leyden jobs logs --job")


def test_where_no_accounts_are_kept_files_and_squeue_tell_all_that_is_known(bare_cluster, tmp_path):
    runs = prepared(tmp_path, 3)
    leyden(tmp_path, "submit", *runs[:2], HELD)
    leyden(tmp_path, "submit", runs[2], HELD)
    alone, element = told(runs[2])["id"], told(runs[0])["id"]

    bare_cluster.ask("scancel", alone, element)
    found = rows(tmp_path)

    assert {name: row["state"] for name, row in found.items()} == {"0": "dead", "1": "queued", "2": "interrupted"}
    assert "cancelled" in found["2"]["reason"]
    assert "does not know its job" in found["0"]["reason"]
    assert "cancelled while it waited, or lost" in why(tmp_path, runs[0])["why"]


def test_the_controller_is_asked_once_about_all_jobs_and_rarely(cluster, tmp_path, monkeypatch):
    runs = prepared(tmp_path, 3)
    leyden(tmp_path, "submit", *runs, HELD)
    asked = tmp_path / "asked"
    wrapper = tmp_path / "bin" / "squeue"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {asked}\nexec {shutil.which("squeue")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)

    first = leyden(tmp_path, "jobs")
    second = leyden(tmp_path, "jobs")

    assert first.count("queued") == second.count("queued") == 3
    (array,) = {told(run)["id"].partition("_")[0] for run in runs}
    calls = asked.read_text().splitlines()
    assert all(call.endswith(f"--jobs={array}") for call in calls)
    assert len(calls) == 1


def test_a_cluster_that_is_out_of_reach_is_said_to_be(cluster, tmp_path):
    (run,) = prepared(tmp_path, 1)
    leyden(tmp_path, "submit", run, HELD)

    def elsewhere(*words, code=0):
        cache = str(tmp_path / "another cache")
        return submitting.leyden(tmp_path, *words, code=code, XDG_CACHE_HOME=cache, PATH="/nowhere")

    said = elsewhere("jobs")
    assert "queued" in said
    assert "what SLURM knows is missing (squeue is not on the path of this machine)" in said
    assert "waits already" in elsewhere("jobs", "retry", run)
    assert "scancel is not on the path" in elsewhere("jobs", "cancel", run, code=1)
    assert "cancelled" not in told(run)
    RunDirectory(run).update(status="interrupted", ended=now())
    assert "SLURM did not answer" in elsewhere("jobs", "retry", run)
