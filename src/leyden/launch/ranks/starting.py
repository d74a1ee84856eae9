"""Start the ranks of a run on this machine, and stay until they have ended."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from leyden.errors import ConfigurationError
from leyden.launch import payload
from leyden.launch.local.share import THREADS
from leyden.processes import signals
from leyden.processes.supervisor import GRACE
from leyden.ranks import processors
from leyden.runs.directory import RunDirectory
from leyden.runs.execution import log_of

_LOOKS = 0.05  # seconds between two looks at the ranks


@dataclass(frozen=True)
class Options:
    """How the ranks of a run are started.

    Args:
        number: How many.
        trusted: What its config may name, as ``--trust`` takes it.
        until: Stop after so many training steps.
        composed: Whether its config was composed on this command line: see `leyden.launch.payload.variables`.
    """

    number: int
    trusted: Sequence[str] = ()
    until: int | None = None
    composed: bool = False


@dataclass(frozen=True)
class Plan:
    """How one rank is started.

    Args:
        directory: Of the run.
        words: The command line.
        variables: Of its environment, without those that tell which rank it is.
        reports: Folder for what ranks leave that fail.
        grace: Seconds that ranks get to save once they are asked to stop.
    """

    directory: RunDirectory
    words: Sequence[str]
    variables: Mapping[str, str]
    reports: Path
    grace: float = field(default=GRACE)

    def report_of(self, rank: int) -> Path:
        """Return where a rank leaves what it failed of."""
        return self.reports / f"rank{rank}.json"

    def output_of(self, rank: int) -> Path | None:
        """Return the file of what a rank prints; None for rank 0, whose it is the terminal."""
        return log_of(self.directory, rank).with_suffix(".out") if rank else None


def start(directory: RunDirectory, options: Options) -> int:
    """Execute *directory* on several ranks of this machine; returns the exit code.

    After a failure they are started again as often as ``restarts`` in the config says, and go on from the last
    checkpoint; not after a signal, and not if they were refused.
    """
    from leyden.launch.ranks.ending import ended

    config = directory.config()
    with TemporaryDirectory(prefix="leyden-reports-") as reports, signals.collected() as arrived:
        plan = Plan(
            directory, _words(directory, options), _variables(directory, config, options), Path(reports),
            float(config.get("grace") or GRACE),
        )  # fmt: skip
        agent = _run(plan, options.number, int(config.get("restarts") or 0), arrived)
        return ended(plan, agent.group)


def check_machines(number: int, machines: int, command: str) -> None:
    """Refuse ranks on several machines: from here nobody can start them.

    Args:
        number: Of ranks on each machine.
        machines: Of machines.
        command: What to start on each instead.

    Raises:
        ConfigurationError: If there are several.
    """
    if machines > 1:
        raise ConfigurationError(
            f"trainer.num_nodes={machines}: the run is for {number} ranks on each of {machines} machines, and this "
            f"process can start them on its own machine only. Start it on each: torchrun --nnodes={machines} "
            f"--nproc-per-node={number} --rdzv-backend=c10d --rdzv-endpoint=HOST:PORT {command}; or let SLURM do so: "
            "leyden submit."
        )


def _run(plan: Plan, number: int, restarts: int, arrived: list[Signals]) -> Any:
    from torch.distributed.elastic.agent.server.api import WorkerSpec
    from torch.distributed.elastic.rendezvous import RendezvousParameters, registry

    from leyden.launch.ranks.agent import Agent

    meeting = RendezvousParameters(
        backend="c10d", endpoint="localhost:0", run_id=uuid4().hex, min_nodes=1, max_nodes=1, local_addr="127.0.0.1"
    )
    spec = WorkerSpec(
        role="rank", local_world_size=number, entrypoint=plan.words[0], args=tuple(plan.words[1:]),
        rdzv_handler=registry.get_rendezvous_handler(meeting), max_restarts=restarts, monitor_interval=_LOOKS,
        local_addr="127.0.0.1",
    )  # fmt: skip
    agent = Agent(spec, plan, arrived)
    try:
        agent.run()
    finally:
        spec.rdzv_handler.shutdown()
    return agent


def _words(directory: RunDirectory, options: Options) -> list[str]:
    until = [] if options.until is None else ["--until", str(options.until)]
    return [*payload.command(directory, options.trusted), *until]


def _variables(directory: RunDirectory, config: Mapping[str, Any], options: Options) -> dict[str, str]:
    found = {**os.environ, "TORCH_NCCL_ASYNC_ERROR_HANDLING": os.environ.get("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1")}
    if config.get("threads") is None and not any(name in os.environ for name in THREADS):
        found |= dict.fromkeys(THREADS, str(max(1, processors() // options.number)))
    return found | (payload.variables(directory) if options.composed else {})
