"""Which of several failed ranks is the root cause.

    rank 1   ZeroDivisionError                                     an error of its own: the root cause
    rank 0   "Connection closed by peer", "Timed out waiting"      secondary: it only lost rank 1
    rank 2   killed by the supervisor, after that                  never the cause while there is any other

What counts, in this order: the earliest error of a rank's own · a rank ended by a signal, which could not say
anything · a rank that was asked to stop · a rank without a word · a secondary error · a rank that was killed for
being late.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

STOPPED = tuple(
    128 + each for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
)  # exit codes of a run that a signal has stopped
REFUSED = 2  # exit code of a process that would be refused again

_LOST_PEER = re.compile(
    r"gloo/transport|Connection (?:closed|reset) by peer|Application timeout caused|Broken pipe|Timed out waiting|NCCL"
)
_SECONDARY = re.compile(
    r"^(?:torch\.\w[\w.]*\.)?Dist(?:Backend|Network|Store)?Error\b|^(?:leyden\.errors\.)?RankError\b|ChildFailedError"
    rf"|^RuntimeError: .*(?:{_LOST_PEER.pattern})",
    re.DOTALL,
)


@dataclass(frozen=True)
class RankFailure:
    """How one rank ended that did not finish.

    Args:
        rank: Its number.
        code: Exit code, negative for the signal that ended it; None where that is not known.
        error: Its error, ``KeyError: 'x'``; empty where it left none.
        time: When the error was raised, in seconds since 1970.
        secondary: Whether the error only tells that another rank failed.
        killed: Whether its supervisor killed it, because it had not ended in time.
    """

    rank: int
    code: int | None = None
    error: str = ""
    time: float = 0.0
    secondary: bool = False
    killed: bool = False


def is_secondary(error: BaseException | str | None) -> bool:
    """Whether an error only tells that another rank failed or does not answer.

    Args:
        error: The exception, judged with those it was raised from; or the last line of its traceback.
    """
    if isinstance(error, str):
        return _SECONDARY.search(error) is not None
    while error is not None:
        if any(_SECONDARY.search(f"{kind.__name__}: {error}") for kind in _kinds(error)):
            return True
        error = error.__cause__
    return False


def _kinds(error: BaseException) -> Sequence[type]:
    """Return the classes by which an error is judged: a subclass of RuntimeError is not one of torch's bare ones."""
    return [kind for kind in type(error).__mro__ if kind is type(error) or kind is not RuntimeError]


def root_cause(failures: Sequence[RankFailure]) -> RankFailure | None:
    """Return the failure that the others follow from.

    Args:
        failures: In the order in which they were noticed.

    Returns:
        The root cause; None if nothing failed.
    """
    return min(failures, key=_rank_of_evidence, default=None)


def _rank_of_evidence(failure: RankFailure) -> tuple[int, float]:
    if failure.error and not failure.secondary:
        return 0, failure.time
    if failure.killed:
        return 5, 0.0
    if failure.code is not None and failure.code < 0:
        return 1, 0.0
    if failure.code in STOPPED:
        return 2, failure.rank
    return (4, failure.time) if failure.error else (3, 0.0)
