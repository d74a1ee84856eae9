"""How a run on several ranks ended: one of them is the cause, the others only lost it.

an error of its own     the first of those is the cause
killed by a signal      it could not say anything
lost another rank       never the cause, as long as there is any other
"""

from __future__ import annotations

import signal

from leyden.config.project import shown
from leyden.launch.ranks.report import Report, read
from leyden.launch.ranks.starting import Plan
from leyden.runs.execution import log_of
from leyden.runs.record.moments import now
from leyden.runs.record.state import RunState
from leyden.spawn.group import STOPPED, Group
from leyden.terminal import complain

_REFUSED = 2


def ended(plan: Plan, group: Group) -> int:
    """Tell how the ranks ended, on the terminal and in the run directory, where they could not; returns the code."""
    codes = group.ended
    failed = [rank for rank, code in codes.items() if code]
    if not failed:
        return 0
    reports = {rank: found for rank in failed if (found := read(plan.report_of(rank))) is not None}
    rank = cause(codes, reports, group.killed)
    code = codes[rank] if codes[rank] > 0 else 128 - codes[rank]
    world = len(codes)
    if rank in group.killed:
        said = (
            f"{_listed(sorted(group.killed))} of {world} had not ended {plan.grace:g} s after the signal, or some time"
        )
        said += " after another rank had failed, and was killed. For more time to save: grace=SECONDS"
        _write(plan, RunState.INTERRUPTED if group.signalled else RunState.FAILED, said)
    elif codes[rank] < 0:
        said = f"rank {rank} of {world} was ended by {_name(-codes[rank])}"
        said += ", which the system sends when memory runs out, too" if codes[rank] == -signal.SIGKILL else ""
        _write(plan, RunState.INTERRUPTED if group.signalled else RunState.FAILED, said)
    elif code in STOPPED:
        return code
    elif rank in reports and not reports[rank].echo:
        _show(plan, rank, world, code, reports[rank])
        return code
    else:
        said = reports[rank].message if rank in reports else f"rank {rank} of {world} has ended with exit code {code}"
        _write(plan, RunState.FAILED, said)
    complain(f"\n{said}\nrun directory  {shown(plan.directory.path)}")
    return code


def cause(codes: dict[int, int], reports: dict[int, Report], killed: set[int]) -> int:
    """Return the rank that the others lost.

    Args:
        codes: Exit codes of all, in the order they ended.
        reports: Of those that left one.
        killed: Those that were too late.
    """
    failed = [rank for rank, code in codes.items() if code]
    own = [rank for rank, report in reports.items() if not report.echo]
    by_signal = [rank for rank in failed if codes[rank] < 0 and rank not in killed]
    stopped = [rank for rank in failed if codes[rank] in STOPPED]
    silent = [rank for rank in failed if rank not in reports and rank not in killed]
    if own:
        return min(own, key=lambda rank: reports[rank].time)
    for some in (by_signal, sorted(stopped), silent, [rank for rank in failed if rank not in killed]):
        if some:
            return some[0]
    return failed[0]


def _show(plan: Plan, rank: int, world: int, code: int, report: Report) -> None:
    """Show what rank 0 has not shown: what others print is in their files."""
    if rank == 0:
        return
    told = report.message if code == _REFUSED else report.trace.rstrip()
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
