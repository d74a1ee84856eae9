"""How a run on several ranks ended: the root cause, told on the terminal and in the run directory."""

from __future__ import annotations

import signal

from leyden.config.project import shown
from leyden.launch.ranks.report import Report, read
from leyden.launch.ranks.starting import Plan
from leyden.processes.failure import REFUSED, STOPPED, RankFailure, root_cause
from leyden.processes.supervisor import ProcessGroup
from leyden.runs.execution import log_of
from leyden.runs.record.moments import now
from leyden.runs.record.state import RunState
from leyden.terminal import complain
from leyden.tracebacks import shortened


def ended(plan: Plan, group: ProcessGroup) -> int:
    """Tell how the ranks ended, on the terminal and in the run directory, where they could not; returns the code."""
    codes = group.ended
    failed = [rank for rank, code in codes.items() if code]
    reports = {rank: found for rank in failed if (found := read(plan.report_of(rank))) is not None}
    cause = root_cause([_failure(rank, group, reports.get(rank)) for rank in failed])
    if cause is None:
        return 0
    rank, world = cause.rank, len(codes)
    code = codes[rank] if codes[rank] > 0 else 128 - codes[rank]
    if cause.error and not cause.secondary:
        _show(plan, rank, world, code, reports[rank])
        return code
    if code in STOPPED:
        return code
    if cause.killed:
        said = (
            f"{_listed(sorted(group.killed))} of {world} had not ended {plan.grace:g} s after the signal, or some time"
        )
        said += " after another rank had failed, and was killed. For more time to save: grace=SECONDS"
        _write(plan, RunState.INTERRUPTED if group.signalled else RunState.FAILED, said)
    elif codes[rank] < 0:
        said = f"rank {rank} of {world} was ended by {_name(-codes[rank])}"
        said += ", which the system sends when memory runs out, too" if codes[rank] == -signal.SIGKILL else ""
        _write(plan, RunState.INTERRUPTED if group.signalled else RunState.FAILED, said)
    else:
        said = cause.error or f"rank {rank} of {world} has ended with exit code {code}"
        _write(plan, RunState.FAILED, said)
    complain(f"\n{said}\nrun directory  {shown(plan.directory.path)}")
    return code


def _failure(rank: int, group: ProcessGroup, report: Report | None) -> RankFailure:
    killed = rank in group.killed
    if report is None:
        return RankFailure(rank, group.ended[rank], killed=killed)
    return RankFailure(rank, group.ended[rank], report.message, report.time, report.secondary, killed)


def _show(plan: Plan, rank: int, world: int, code: int, report: Report) -> None:
    """Show what rank 0 has not shown: what others print is in their files."""
    if rank == 0:
        return
    told = report.message if code == REFUSED else shortened(report.trace)
    log = shown(log_of(plan.directory, rank))
    complain(f"\nrank {rank} of {world} has failed, see {log}\n\n{told}\n\nrun directory  {shown(plan.directory.path)}")


def _write(plan: Plan, status: RunState, said: str) -> None:
    """Write down what no rank could."""
    if plan.directory.status().state is not RunState.FINISHED:
        plan.directory.update(status=status, ended=now(), error=said)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _listed(ranks: list[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"
