"""What squeue, sacct and scontrol print is understood: outputs recorded from a real cluster (SLURM 22.05)."""

import os

import pytest

from leyden.launch.slurm_queries import (
    accounts,
    cancel,
    details,
    expand,
    parse_sacct,
    parse_scontrol,
    parse_squeue,
    queue,
    said,
    whole,
)
from leyden.runs.record.job import is_slurm_id

SQUEUE = """\
55356680_2|CANCELLED|None|node1|15|0|10:00|2026-11-22T13:56:15|2026-11-22T13:56:18|
55356680_4|PENDING|JobArrayTaskLimit||0|0|10:00|N/A|N/A|
55356697|PENDING|ReqNodeNotAvail, UnavailableNodes:node2||0|0|10:00|N/A|N/A|
55356683|FAILED|NonZeroExitCode|node1|1792|0|10:00|2026-11-22T13:56:47|2026-11-22T13:56:47|
55356684|FAILED|JobLaunchFailure|node1|9|0|10:00|2026-11-22T13:56:47|2026-11-22T13:56:47|
55356705|PENDING|job requeued in held state||0|2|10:00|2026-11-22T14:00:06|2026-11-22T14:10:06|
55356702|COMPLETED|None|node[1-2]|0|0|10:00|2026-11-22T13:57:44|2026-11-22T13:57:52|
55356682|TIMEOUT|TimeLimit|node1|15|0|1:00|2026-11-22T13:56:15|2026-11-22T13:57:44|
"""
SACCT = """\
55356682|TIMEOUT|None|node1|0:0|00:01:00|2026-11-22T13:56:15|2026-11-22T13:57:44
55356682.batch|CANCELLED||node1|0:15||2026-11-22T13:56:15|2026-11-22T13:57:44
55356683|FAILED|None|node1|7:0|00:10:00|2026-11-22T13:56:47|2026-11-22T13:56:47
55356680_2|CANCELLED by 0|None|node1|0:0|00:10:00|2026-11-22T13:56:15|2026-11-22T13:56:18
55356680_[4-8,10-12%2]|CANCELLED by 0|JobArrayTaskLimit|None assigned|0:0|00:10:00|None|2026-11-22T13:57:22
55356705|NODE_FAIL|None|node2|0:0|00:10:00|2026-11-22T13:59:04|2026-11-22T13:59:31
55356705|REQUEUED|ReqNodeNotAvail|node2|0:0|00:10:00|2026-11-22T13:59:47|2026-11-22T13:59:57
55356705|CANCELLED by 0|BeginTime|None assigned|0:0|00:10:00|None|2026-11-22T14:00:13
"""
SCONTROL = (
    "JobId=55356691 ArrayJobId=55356680 ArrayTaskId=2 ArrayTaskThrottle=2 JobName=sleep.sh UserId=root(0) "
    "MCS_label=N/A Priority=4294901759 Nice=0 Account=root QOS=normal JobState=CANCELLED Reason=None "
    "Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:15 RunTime=00:00:03 TimeMin=N/A "
    "Partition=main AllocNode:Sid=slurmctl:29929 NodeList=node1 BatchHost=node1 NumNodes=1 CPUs/Task=1 "
    "ReqB:S:C:T=0:0:*:* Command=/scratch/sleep.sh 400 WorkDir=/scratch StdErr=/scratch/slurm-55356680_2.out Power= "
)


@pytest.fixture
def no_slurm(tmp_path):
    """A machine on whose path there is no SLURM; the variables are put back after every test."""
    os.environ["PATH"] = str(tmp_path)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("12", ["12"]),
        ("12_3", ["12_3"]),
        ("12_[3-5%2]", ["12_3", "12_4", "12_5"]),
        ("12_[4-5,9,11-12%2]", ["12_4", "12_5", "12_9", "12_11", "12_12"]),
        ("12_[0-6:3]", ["12_0", "12_3", "12_6"]),
        ("12+1", ["12+1"]),
        ("12_[1-3,...", ["12_[1-3,..."]),
    ],
)
def test_an_id_stands_for_the_elements_of_an_array(given, expected):
    assert expand(given) == expected


def test_of_elements_the_array_is_asked_about_and_what_is_no_id_is_not():
    assert whole(["12_3", "12_4", "9", "--me", "", "7; rm", "\uff11\uff12"]) == ["12", "9"]
    assert not any(map(is_slurm_id, ("-1", "1_", "1_2_3", "1 2", "--all")))


def test_squeue_tells_states_reasons_nodes_and_how_a_script_ended():
    jobs = parse_squeue(SQUEUE)

    assert (jobs["55356680_4"].state, jobs["55356680_4"].reason) == ("PENDING", "JobArrayTaskLimit")
    assert jobs["55356697"].reason == "ReqNodeNotAvail, UnavailableNodes:node2"
    assert (jobs["55356683"].exit_code, jobs["55356683"].signal) == (7, 0)
    assert (jobs["55356684"].exit_code, jobs["55356684"].signal) == (0, 9)
    assert (jobs["55356705"].reason, jobs["55356705"].restarts) == ("job requeued in held state", 2)
    assert (jobs["55356702"].nodes, jobs["55356702"].reason, jobs["55356702"].limit) == ("node[1-2]", "", "10:00")
    assert jobs["55356680_4"].starts == ""


def test_newer_squeues_print_the_exit_code_in_two_parts():
    (job,) = parse_squeue("7|FAILED|NonZeroExitCode|node1|7:0|0|10:00|N/A|N/A|\n").values()

    assert (job.exit_code, job.signal) == (7, 0)


def test_sacct_tells_who_cancelled_every_attempt_and_its_steps():
    records = parse_sacct(SACCT)

    assert (records["55356680_2"][0].state, records["55356680_2"][0].detail) == ("CANCELLED", "by 0")
    assert [job.state for job in records["55356705"]] == ["NODE_FAIL", "REQUEUED", "CANCELLED"]
    assert records["55356682.batch"][0].signal == 15
    assert {f"55356680_{number}" for number in (4, 5, 6, 7, 8, 10, 11, 12)} <= records.keys()
    assert "55356680_9" not in records


def test_scontrol_tells_keys_with_values_that_hold_blanks():
    found = parse_scontrol(SCONTROL)

    assert found["Command"] == "/scratch/sleep.sh 400"
    assert (found["Requeue"], found["Restarts"], found["ExitCode"]) == ("1", "0", "0:15")
    assert found["Dependency"] == found["Reason"] == found["Power"] == ""
    assert found["AllocNode:Sid"] == "slurmctl:29929"


@pytest.mark.parametrize("text", ["", "\n\n", "a|b|c\n", "slurm_load_jobs error: Unexpected message received\n"])
def test_what_is_no_answer_is_no_job(text):
    assert parse_squeue(text) == {}
    assert parse_sacct(text) == {}


def test_a_machine_without_slurm_is_normal(no_slurm):
    assert queue(["1"]).problem == "squeue is not on the path of this machine"
    assert accounts(["1"]).problem == "sacct is not on the path of this machine"
    assert cancel(["1"]) == "scancel is not on the path of this machine"
    assert details("1") == {}


def test_nothing_is_asked_about_nothing(no_slurm):
    assert queue([]).problem is None
    assert accounts(["--me"]).problem is None
    assert cancel(["--me"]) is None


def test_a_command_that_hangs_is_left():
    assert said(["sleep", "60"], patience=0.2) == ("", "sleep did not answer within 0.2 s")


def test_a_command_that_fails_says_why():
    assert said(["sh", "-c", "echo no such thing >&2; exit 3"])[1] == "sh: no such thing"
    assert said(["sh", "-c", "exit 3"])[1] == "sh: exit code 3"


def test_variables_that_would_change_an_answer_are_kept_from_it():
    os.environ |= {"SQUEUE_STATES": "PENDING", "SACCT_FORMAT": "JobID", "SLURM_CONF": "/etc/slurm.conf"}

    names = {line.partition("=")[0] for line in said(["env"])[0].splitlines()}

    assert not names & {"SQUEUE_STATES", "SACCT_FORMAT"}
    assert {"SLURM_CONF", "SLURM_BITSTR_LEN"} <= names
