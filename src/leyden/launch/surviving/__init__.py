"""What becomes of a run whose job is about to end: saved, put back into the queue, and gone on with.

    cluster: USR2, SIGTERM ─┐
    clock: time limit near ─┴─► a flag ─► all ranks stop at one step and save ─► why? ─► scontrol requeue
                                                                                  └────► or not, and the reason

`deadline` watches the clock, `slurm_job` asks SLURM what it is doing, `decision` decides by
`leyden.launch.requeue`, writes it down and acts.
"""

from leyden.callback import Callback
from leyden.launch.surviving.deadline import Deadline
from leyden.launch.surviving.decision import Stopped
from leyden.launch.surviving.slurm_job import SlurmJob

__all__ = ["Deadline", "SlurmJob", "Stopped", "companions"]


def companions() -> list[Callback]:
    """Return what watches over a run in the job of this process."""
    job = SlurmJob.current()
    ends = None if job is None else job.ends()
    return [] if ends is None else [Deadline(ends)]
