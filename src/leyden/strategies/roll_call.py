"""Whose fault it was: when ranks lose each other, only one of them knows why.

    rank 1   ZeroDivisionError ─► "failed: ..." ─► the store that all ranks share ─► its process ends
    rank 0   "connection closed by peer", "timed out" ... ─► what do the others say? ─► rank 1: ZeroDivisionError

A rank that says nothing was killed, has been stopped, or waits for something else than its peers.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from leyden import ranks
from leyden.errors import ConfigurationError, Interrupted, RankError, RunError, StageEnded
from leyden.processes.failure import RankFailure, is_secondary, root_cause

PATIENCE = 5.0  # seconds to wait for what the others say
_said: list[int] = []


def begin() -> None:
    """Take back what this rank said about an earlier stage."""
    if _said:
        with suppress(RuntimeError):  # the starter has ended: nothing of it can be asked any more
            ranks.store().delete_key(_key(_said.pop()))


def explained(error: BaseException, rank: int, world: int, timeout: timedelta) -> BaseException:
    """Tell the other ranks of *error*, or ask them for its cause.

    Args:
        error: That ended a stage on this rank.
        rank: This one.
        world: How many there are.
        timeout: How long the ranks wait for each other.

    Returns:
        *error* itself, or a `RankError` that names the rank it comes from.
    """
    if isinstance(error, (StageEnded, Interrupted, RankError)):
        return error
    try:
        store = ranks.store()
        _said.append(rank)
        if not is_secondary(error):
            refused = isinstance(error, (ConfigurationError, RunError))
            said = {"error": f"{type(error).__name__}: {error}", "refused": refused, "time": time.time()}
            _say(store, rank, said)
            return error
        said = {"late": "imed out" in str(error) or "timeout" in str(error)}
        others = [each for each in range(world) if each != rank]
        return _in_time(lambda: _asked(store, rank, said, others, timeout)) or _nobody(error)
    except RuntimeError:  # of the store, whose process has ended
        return _nobody(error)


def _asked(store: Any, rank: int, said: dict[str, Any], others: list[int], timeout: timedelta) -> RankError:
    _say(store, rank, said)
    deadline = time.monotonic() + PATIENCE
    while True:
        heard = {each: json.loads(store.get(_key(each))) for each in others if store.check([_key(each)])}
        failures = [
            RankFailure(each, error=its["error"], time=its["time"]) for each, its in heard.items() if "error" in its
        ]
        if (cause := root_cause(failures)) is not None:
            return RankError(f"rank {cause.rank} has failed: {cause.error}", cause.rank, heard[cause.rank]["refused"])
        silent = [each for each in others if each not in heard]
        if not silent or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    if not silent:
        return RankError("the ranks have lost each other, and none of them failed. Look at the network between them.")
    return _silent(silent, any(each.get("late") for each in (said, *heard.values())), timeout)


def _silent(silent: list[int], late: bool, timeout: timedelta) -> RankError:
    who = f"rank {silent[0]}" if len(silent) == 1 else f"ranks {', '.join(map(str, silent))}"
    seconds = f"{timeout.total_seconds():g} s"
    happened = (
        f"did not answer within {seconds}" if late else f"has ended without a word, or does not answer ({seconds})"
    )
    return RankError(
        f"{who} {happened}. Expected all ranks to arrive at every exchange within the timeout of the strategy. Look at "
        f"the end of its log: it was killed, was stopped, or waits for something. If it only needs longer: "
        f"DDPStrategy(timeout=SECONDS).",
        silent[0],
    )


def _nobody(error: BaseException) -> RankError:
    return RankError(
        f"the ranks have lost each other: {error}. Rank 0, or whoever has started the ranks, has ended or is stopped. "
        "Expected it to stay until all have ended. Look at what it printed."
    )


def _in_time(ask: Callable[[], RankError]) -> RankError | None:
    """Return the answer, or None where whoever keeps the store does not give one: asking it may take for ever."""
    answers: list[RankError] = []

    def run() -> None:
        with suppress(RuntimeError):
            answers.append(ask())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE + 2)
    return answers[0] if answers else None


def _say(store: Any, rank: int, said: dict[str, Any]) -> None:
    store.set(_key(rank), json.dumps(said))


def _key(rank: int) -> str:
    return f"leyden/roll_call/{rank}"
