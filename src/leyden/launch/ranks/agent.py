"""Torch's elastic agent, with ranks that are children of `leyden.processes.supervisor`.

The agent brings what it brings to torchrun: where the ranks meet, which rank is which, and starting all of
them again. Torch's own processes are killed half a minute after a signal, which goes to their
workers, too; ours hear it once, alone, and get the time it takes to save.
"""

from __future__ import annotations

import signal
from typing import Any

from torch.distributed.elastic.agent.server.api import (
    RunResult,
    SimpleElasticAgent,
    WorkerGroup,
    WorkerSpec,
    WorkerState,
)
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from leyden.launch.ranks.report import VARIABLE
from leyden.launch.ranks.starting import Plan
from leyden.processes.failure import REFUSED, STOPPED
from leyden.processes.supervisor import ProcessGroup, ProcessSpec


class Agent(SimpleElasticAgent):
    """Runs the ranks of one run on this machine.

    Args:
        spec: What torch wants to know.
        plan: How a rank is started.
        arrived: Signals that this process was sent, to be passed on.
    """

    group: ProcessGroup

    def __init__(self, spec: WorkerSpec, plan: Plan, arrived: list[signal.Signals]) -> None:
        super().__init__(spec)
        self._plan = plan
        self._arrived = arrived
        self._started: list[ProcessGroup] = []

    def _start_workers(self, worker_group: WorkerGroup) -> dict[int, Any]:
        spec = worker_group.spec
        specs = []
        for worker in worker_group.workers:
            rank = worker.global_rank
            given = {
                "RANK": rank, "WORLD_SIZE": worker.world_size, "LOCAL_RANK": worker.local_rank,
                "LOCAL_WORLD_SIZE": spec.local_world_size, "GROUP_RANK": worker_group.group_rank,
                "MASTER_ADDR": worker_group.master_addr, "MASTER_PORT": worker_group.master_port,
                "TORCHELASTIC_RESTART_COUNT": spec.max_restarts - self._remaining_restarts,
                "TORCHELASTIC_MAX_RESTARTS": spec.max_restarts,
                "TORCHELASTIC_RUN_ID": spec.rdzv_handler.get_run_id(),
                "TORCHELASTIC_USE_AGENT_STORE": spec.rdzv_handler.use_agent_store,
                VARIABLE: self._plan.report_of(rank),
            }  # fmt: skip
            self._plan.report_of(rank).unlink(missing_ok=True)
            variables = {name: str(value) for name, value in given.items()}
            environment = {**self._plan.variables, **variables}
            specs.append(ProcessSpec(self._plan.words, environment, self._plan.output_of(rank)))
        self.group = ProcessGroup(specs, self._plan.grace)
        self._started.append(self.group)
        return dict(enumerate(self.group.pids))

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        while self._arrived:
            self.group.send(self._arrived.pop(0))
        if not self.group.poll():
            return RunResult(WorkerState.HEALTHY)
        ended = self.group.ended
        if not any(ended.values()):
            return RunResult(WorkerState.SUCCEEDED, dict.fromkeys(ended))
        if self.group.signalled or any(code in STOPPED or code == REFUSED for code in ended.values()):
            self._remaining_restarts = 0
        failures = {
            index: ProcessFailure(index, self.group.pids[index], code, str(self._plan.report_of(index)))
            for index, code in ended.items()
            if code
        }
        return RunResult(WorkerState.FAILED, failures=failures)

    def _stop_workers(self, worker_group: WorkerGroup, *args: Any, **kwargs: Any) -> None:
        self._shutdown()

    def _shutdown(self, death_sig: signal.Signals = signal.SIGTERM, *args: Any, **kwargs: Any) -> None:
        while self._started:
            self._started.pop().close()
