"""Why a job waits, in plain words: SLURM's reasons, and what can be done about each.

The codes are those that squeue prints. A reason that is a limit is told by its kind, since
there are a hundred of them: `MaxCpuPerUser` of a QOS, `GrpMem` of an account and so on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leyden.launch.slurm_queries import SlurmJob

WAIT = "Wait, or ask for less: fewer nodes or a shorter time are fitted in sooner."


@dataclass(frozen=True)
class Words:
    """What a reason means, and what to do."""

    meaning: str
    advice: str = "Nothing needs to be done."


_REASONS = {
    "Priority": Words("jobs of higher priority wait before it", WAIT),
    "Resources": Words("it is next, and waits for nodes to become free", WAIT),
    "None": Words("SLURM has not looked at it yet"),
    "Prolog": Words("its nodes are being prepared"),
    "Cleaning": Words("what its last attempt left is being cleaned up; then it goes on"),
    "BeginTime": Words("it may not begin before a moment; after a requeue SLURM itself waits some minutes"),
    "Dependency": Words("it waits for another job to end"),
    "DependencyNeverSatisfied": Words(
        "it waits for another job to end in a way that cannot happen any more",
        "Cancel it (leyden jobs cancel) and start it again without the dependency.",
    ),
    "JobArrayTaskLimit": Words(
        "as many jobs of its array run as may run at once",
        "More at once: scontrol update JobId={array} ArrayTaskThrottle=N, or a larger limit next time.",
    ),
    "JobHeldUser": Words("its owner holds it", "Let it go: scontrol release {id}"),
    "JobHeldAdmin": Words("an administrator holds it", "Ask them; only they can release it."),
    "PartitionTimeLimit": Words(
        "its time limit is longer than the partition allows",
        "It will never begin. Shorten it (scontrol update JobId={id} TimeLimit=...), or take another partition.",
    ),
    "PartitionNodeLimit": Words(
        "it asks for more nodes than the partition has or allows",
        "It will never begin. Cancel it and ask for fewer, or take another partition.",
    ),
    "PartitionDown": Words("its partition takes no jobs at present", "Wait, or take another: sinfo lists them."),
    "PartitionInactive": Words("its partition takes no jobs at present", "Wait, or take another: sinfo lists them."),
    "PartitionConfig": Words("the partition does not allow what it asks for", "sinfo and scontrol show partition say."),
    "ReqNodeNotAvail": Words(
        "a node that it needs is down, drained or reserved",
        "sinfo -R says why nodes are away; a shorter time limit may fit in before a reservation.",
    ),
    "Nodes required for job are DOWN, DRAINED or reserved": Words(
        "nodes that it needs are down, drained or reserved", "sinfo -R says why nodes are away."
    ),
    "NodeDown": Words("a node that it needs is down", "sinfo -R says why nodes are away."),
    "BadConstraints": Words(
        "no node has what it asks for", "It will never begin. Cancel it and mend features, GPUs or memory."
    ),
    "Reservation": Words("it waits for its reservation to begin"),
    "ReservationDeleted": Words("its reservation is gone", "Cancel it and start it again without the reservation."),
    "Licenses": Words("it waits for a licence", "Wait; scontrol show licenses counts them."),
    "BurstBufferResources": Words("it waits for space in the burst buffer"),
    "FrontEndDown": Words("the front end is down", "Wait, or ask those who run the cluster."),
    "InvalidAccount": Words("its account is not valid any more", "Cancel it and start it again with another account."),
    "AccountNotAllowed": Words("its account must not use this partition", "Take another account or partition."),
    "InvalidQOS": Words("its QOS is not valid", "Cancel it and start it again with another QOS."),
    "QOSNotAllowed": Words("its QOS must not be used here", "Take another QOS or partition."),
    "JobHoldMaxRequeue": Words(
        "it was requeued so often that SLURM holds it", "Look why it falls (leyden jobs logs); scontrol release {id}"
    ),
    "launch failed requeued held": Words(
        "its node could not start it, so that SLURM put it back and holds it",
        "A node is broken more likely than the job. Let it go once more: scontrol release {id}",
    ),
    "launch failure limit exceeded requeued held": Words(
        "it could not be started several times, so that SLURM holds it",
        "Tell those who run the cluster which nodes it had; scontrol release {id}",
    ),
    "job requeued in held state": Words("it was put back and is held", "Let it go: scontrol release {id}"),
    "JobLaunchFailure": Words("it could not be started", "The job's own log may say why; scontrol release {id}"),
    "NonZeroExitCode": Words("it ended with an error", "leyden jobs logs --job shows what it printed."),
}
_LIMITS = (
    (r"^Assoc(?:iation)?", "your account's"),
    (r"^QOS", "the QOS's"),
    (r"^(?:Job|Max|Grp|Part)", "the cluster's"),
)
_NEVER = re.compile(r"PerJob|MaxWallDuration|MaxWall|MaxNode$|PerNode", re.IGNORECASE)
_SOON = frozenset(("Resources", "Priority"))


def explained(job: SlurmJob) -> Words:
    """Return what the reason for which *job* waits means, and what to do about it."""
    found = _REASONS.get(_code(job.reason)) or _limit(job.reason) or _unknown(job)
    words = Words(found.meaning, found.advice.replace("{array}", job.id.partition("_")[0]).replace("{id}", job.id))
    named = job.reason.partition(":")[2] if "UnavailableNodes:" in job.reason else ""
    meaning = f"{words.meaning} ({named})" if named else words.meaning
    if job.starts and (_code(job.reason) in _SOON or job.reason == "BeginTime"):
        meaning += f"; it is planned to begin at {job.starts.replace('T', ' ')}"
    return Words(meaning, words.advice)


def _code(reason: str) -> str:
    """Return the part of a reason that is always the same: nodes and details may follow behind a comma."""
    word = reason.strip("()") or "None"
    known = (word, word.partition(",")[0], "Nodes required for job are DOWN, DRAINED or reserved")
    return next((each for each in known if each in _REASONS and word.startswith(each)), word)


def _limit(reason: str) -> Words | None:
    """Return the words for a limit of an account, a QOS or the cluster; None if the reason is no limit."""
    if "Limit" not in reason and not re.search(r"Max|Grp", reason):
        return None
    whose = next((whose for pattern, whose in _LIMITS if re.match(pattern, reason)), None)
    if whose is None:
        return None
    if _NEVER.search(reason):
        return Words(
            f"it asks for more than {whose} limit on a single job allows ({reason})",
            "It will never begin. Cancel it and ask for less.",
        )
    return Words(
        f"{whose} limit on what may be used at once is reached ({reason})",
        "It begins when others of your jobs, or of your group's, end.",
    )


def _unknown(job: SlurmJob) -> Words:
    if job.state in ("SUSPENDED", "STOPPED"):
        return Words("SLURM has suspended it; it goes on later")
    return Words(f"SLURM's reason is {job.reason!r}", f"scontrol show job {job.id} says more.")
