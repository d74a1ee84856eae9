"""What a job may ask the cluster for: the keys of ``hydra.launcher``, in the words of sbatch.

A key that is left out is decided by the cluster. The names of Hydra's submitit launcher that
differ (``timeout_min``, ``mem_gb``, ``max_num_timeout``) mean the same as ours.
"""

# No `from __future__ import annotations`: a Hydra plugin inherits these fields, and their types have
# to be there for it as they are here, bounds included.

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

Count = Annotated[int, Ge(1)]
Number = Annotated[int, Ge(0)]
Devices = Number | str  # 2, or a100:2
Plain = str | int | float | bool | None


@dataclass
class Options:
    """One kind of job.

    Args:
        name: Of the job; the experiment's by default.
        partition: Queue.
        account: Who pays.
        qos: Quality of service.
        time: Limit: minutes, or what sbatch takes (``"12:00:00"``, ``1-06``); in YAML between quotes.
        nodes: Machines.
        tasks_per_node: Ranks on each of them.
        cpus_per_task: Processors of each rank.
        gpus_per_node: Number, or type and number.
        gpus_per_task: The same for each rank.
        cpus_per_gpu: Processors for each GPU.
        gres: Generic resources, ``gpu:a100:4`` say.
        mem: Memory of a node, with its unit: ``32G``.
        mem_per_cpu: Memory for each processor.
        mem_per_gpu: Memory for each GPU.
        constraint: Features that nodes must have.
        exclude: Nodes not to use.
        nodelist: Nodes to use.
        reservation: To run in.
        dependency: Jobs to wait for, in sbatch's words: ``afterok:1234``.
        exclusive: Share nodes with nobody; or with whom.
        comment: Some clusters want one.
        mail_type: When to write a mail: ``END,FAIL``.
        mail_user: To whom.
        wckey: Label that some clusters account by, and most refuse.
        array_parallelism: How many runs of a submission may run at a time; None does not limit them.
        signal_delay_s: How many seconds before the time limit the job is told to save.
        requeue: Whether it may go back into the queue after pre-emption, time limit or node failure.
        restarts: How often in all; None is no limit.
        stalled_restarts: After how many attempts in a row that got no further it is given up; None is no limit.
        setup: Lines of shell before the run starts: modules, variables. One that fails ends the job.
        setup_may_fail: Whether the run starts all the same.
        teardown: Lines of shell after it.
        srun_args: More words for srun; containers are chosen here.
        use_srun: False runs one rank without a job step, where srun cannot be used.
        python: How to call Python in the job; default the interpreter that submits.
        stderr_to_stdout: One log for each rank, in which errors stand where they happened; False makes two.
        additional_parameters: Any other option of sbatch, without its dashes. True stands for a bare option.
        freeze_code: Run from a copy of the code as it is now, whatever is edited while the job waits.
        wait: Return when all have ended.
        timeout_min: Means `time`.
        mem_gb: Means `mem`, in gigabytes.
        max_num_timeout: Means `restarts`.
    """

    name: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: Count | str | None = None
    nodes: Count = 1
    tasks_per_node: Count = 1
    cpus_per_task: Count | None = None
    gpus_per_node: Devices | None = None
    gpus_per_task: Devices | None = None
    cpus_per_gpu: Count | None = None
    gres: str | None = None
    mem: str | Number | None = None
    mem_per_cpu: str | Number | None = None
    mem_per_gpu: str | Number | None = None
    constraint: str | None = None
    exclude: str | None = None
    nodelist: str | None = None
    reservation: str | None = None
    dependency: str | None = None
    exclusive: bool | str = False
    comment: str | None = None
    mail_type: str | None = None
    mail_user: str | None = None
    wckey: str | None = None
    array_parallelism: Count | None = None
    signal_delay_s: Number = 120
    requeue: bool = True
    restarts: Number | None = 10
    stalled_restarts: Number | None = 2
    setup: list[str] | None = None
    setup_may_fail: bool = False
    teardown: list[str] | None = None
    srun_args: list[str] | None = None
    use_srun: bool = True
    python: str | None = None
    stderr_to_stdout: bool = True
    additional_parameters: dict[str, Plain] | None = None
    freeze_code: bool = False
    wait: bool = False
    timeout_min: Count | None = None
    mem_gb: float | None = None
    max_num_timeout: Number | None = None
