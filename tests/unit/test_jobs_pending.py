"""Why a job waits is told in plain words, with what to do."""

import pytest

from leyden.launch.jobs.pending import explained
from leyden.launch.slurm_queries import SlurmJob


def waiting(reason, **changes):
    return explained(SlurmJob(**{"id": "12_3", "state": "PENDING", "reason": reason, **changes}))


@pytest.mark.parametrize(
    ("reason", "meaning", "advice"),
    [
        ("Priority", "higher priority", "fewer nodes"),
        ("Resources", "it is next", "Wait"),
        ("", "has not looked at it yet", "Nothing"),
        ("Dependency", "another job to end", "Nothing"),
        ("DependencyNeverSatisfied", "cannot happen any more", "without the dependency"),
        ("BeginTime", "after a requeue", "Nothing"),
        ("JobArrayTaskLimit", "as many jobs of its array", "JobId=12 ArrayTaskThrottle"),
        ("JobHeldUser", "its owner holds it", "scontrol release 12_3"),
        ("JobHeldAdmin", "an administrator holds it", "Ask them"),
        ("PartitionTimeLimit", "longer than the partition allows", "never begin"),
        ("PartitionNodeLimit", "more nodes than the partition", "never begin"),
        ("ReqNodeNotAvail, UnavailableNodes:node2", "down, drained or reserved (node2)", "sinfo -R"),
        ("ReqNodeNotAvail, Reserved for maintenance", "down, drained or reserved", "before a reservation"),
        ("launch failed requeued held", "put it back and holds it", "scontrol release 12_3"),
        ("job requeued in held state", "is held", "scontrol release 12_3"),
        ("QOSMaxCpuPerUserLimit", "the QOS's limit on what may be used at once", "others of your jobs"),
        ("QOSMaxGRESPerUser", "the QOS's limit", "others of your jobs"),
        ("QOSMaxWallDurationPerJobLimit", "more than the QOS's limit on a single job", "never begin"),
        ("AssocGrpCPULimit", "your account's limit", "others of your jobs"),
        ("AssocMaxJobsLimit", "your account's limit", "others of your jobs"),
        ("AssocMaxCpuPerJobLimit", "your account's limit on a single job", "never begin"),
        ("MaxMemPerLimit", "the cluster's limit", "others of your jobs"),
        ("SomethingNew", "SLURM's reason is 'SomethingNew'", "scontrol show job 12_3"),
    ],
)
def test_a_reason_has_a_meaning_and_an_advice(reason, meaning, advice):
    words = waiting(reason)

    assert meaning in words.meaning
    assert advice in words.advice


def test_when_it_is_planned_to_begin_is_said():
    assert waiting("Resources", starts="2026-11-22T14:06:18").meaning.endswith("begin at 2026-11-22 14:06:18")
    assert "planned" not in waiting("JobHeldUser", starts="2026-11-22T14:06:18").meaning


def test_a_suspended_job_has_no_reason_and_goes_on():
    assert "suspended" in explained(SlurmJob("1", "SUSPENDED", reason="Unheard")).meaning
