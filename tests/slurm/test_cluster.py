"""The cluster that these tests run on is a cluster: nodes of their own, preemption, requeue, loss of power."""

from __future__ import annotations

import time
from pathlib import Path


def until(cluster, job: str, *states: str, seconds: float = 60.0) -> str:
    """Wait until a job has one of *states*."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = cluster.ask("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T").strip()
        if found in states:
            return found
        time.sleep(0.2)
    raise AssertionError(f"job {job} is {found}, not {states}")


def batch(cluster, place: Path, script: str, *options: str) -> str:
    """Submit a shell script, and return its job."""
    file = place / f"{time.monotonic_ns()}.sh"
    file.write_text(f"#!/bin/bash\n{script}\n")
    output = f"--output={place}/%j.out"
    return cluster.ask("sbatch", "--parsable", "--open-mode=append", output, *options, str(file)).strip()


def test_each_node_has_a_name_an_address_and_devices_of_its_own(cluster, tmp_path):
    job = batch(
        cluster,
        tmp_path,
        "srun bash -c 'echo $(hostname) $(getent hosts $(hostname) | cut -d\" \" -f1) $CUDA_VISIBLE_DEVICES'",
        "--nodes=2",
        "--ntasks-per-node=1",
        "--gpus-per-node=2",
    )

    until(cluster, job, "COMPLETED")
    said = sorted((tmp_path / f"{job}.out").read_text().split("\n"))[1:]
    assert [line.split()[0] for line in said] == ["node1", "node2"]
    assert len({line.split()[1] for line in said}) == 2
    assert [line.split()[2] for line in said] == ["0,1", "0,1"]


def test_a_port_of_one_node_is_not_that_of_another(cluster, tmp_path):
    listen = "python3 -c 'import socket, time; s = socket.create_server((\"127.0.0.1\", 45454)); time.sleep(1)'"

    job = batch(cluster, tmp_path, f'srun sh -c "{listen.replace(chr(34), chr(92) + chr(34))}"', "-N2")

    assert until(cluster, job, "COMPLETED", "FAILED") == "COMPLETED"


def test_a_job_makes_way_for_one_of_higher_priority_and_comes_back(cluster, tmp_path):
    script = """
        trap 'echo told; scontrol requeue $SLURM_JOB_ID' USR2
        echo run $SLURM_RESTART_COUNT
        [ -n "$SLURM_RESTART_COUNT" ] || { sleep 60 & wait; sleep 60; }
    """
    low = batch(cluster, tmp_path, script, "-plow", "-N2", "--exclusive", "--requeue", "--signal=B:USR2@60", "-t10")
    until(cluster, low, "RUNNING")

    high = batch(cluster, tmp_path, "true", "-phigh", "-N2", "--exclusive")

    until(cluster, high, "COMPLETED")
    until(cluster, low, "COMPLETED")
    assert (tmp_path / f"{low}.out").read_text().split("\n")[:2] == ["run", "told"]
    assert (tmp_path / f"{low}.out").read_text().endswith("run 1\n")


def test_a_job_moves_on_when_its_node_loses_power(cluster, tmp_path):
    script = 'echo on $(hostname); [ -n "$SLURM_RESTART_COUNT" ] || sleep 600'
    job = batch(cluster, tmp_path, script, "--requeue", "--nodelist=node2")
    until(cluster, job, "RUNNING")

    cluster.lose_power("node2")

    until(cluster, job, "COMPLETED")
    assert (tmp_path / f"{job}.out").read_text() == "on node2\non node2\n"


def test_the_bare_cluster_keeps_no_accounts_and_sends_no_signal_of_ones_own(bare_cluster):
    said = bare_cluster.ask("scontrol", "show", "config")

    assert "accounting_storage/none" in said
    assert "preempt_send_user_signal" not in said
