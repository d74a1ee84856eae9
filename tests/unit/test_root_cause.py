"""Of several failed ranks the root cause is told, whatever was noticed first, and wherever it is asked for."""

import pytest
import torch.distributed as dist

from leyden.errors import RankError
from leyden.processes.failure import RankFailure, is_secondary, root_cause

LOST = "RuntimeError: [../gloo/transport/tcp/pair.cc:525] Connection closed by peer [127.0.0.1]:4711"


def own(rank, time, code=1):
    return RankFailure(rank, code, "ZeroDivisionError: division by zero", time)


def lost(rank, time, code=1):
    return RankFailure(rank, code, LOST, time, secondary=True)


@pytest.mark.parametrize(
    ("failures", "cause"),
    [
        ([], None),
        ([own(1, 5.0)], 1),
        ([lost(0, 4.0), own(1, 5.0)], 1),
        ([own(2, 7.0), own(1, 5.0), lost(0, 1.0)], 1),
        ([own(0, 5.0), own(1, 5.0)], 0),
        ([lost(0, 4.0), RankFailure(1, -9)], 1),
        ([RankFailure(2, -9), RankFailure(1, -11)], 2),
        ([RankFailure(1, -9), own(0, 5.0)], 0),
        ([RankFailure(1, 143), RankFailure(0, 143)], 0),
        ([RankFailure(2, 1), RankFailure(1, 130)], 1),
        ([RankFailure(1, 129), RankFailure(0, 1)], 1),
        ([RankFailure(1, 143), RankFailure(0, -9)], 0),
        ([lost(0, 4.0), RankFailure(2, 1)], 2),
        ([lost(1, 4.0), lost(0, 3.0)], 0),
        ([RankFailure(1, -9, killed=True), lost(0, 4.0)], 0),
        ([RankFailure(1, -9, killed=True), RankFailure(0, -9)], 0),
        ([RankFailure(0, -9, killed=True), own(1, 5.0)], 1),
        ([RankFailure(0, -9, killed=True), RankFailure(1, -9, killed=True)], 0),
        ([RankFailure(1, error="KeyError: 'x'", time=9.0), RankFailure(0, error=LOST, secondary=True)], 1),
    ],
)
def test_the_root_cause_is_the_one_the_others_follow_from(failures, cause):
    found = root_cause(failures)

    assert (found and found.rank) == cause


@pytest.mark.parametrize(
    "error",
    [
        LOST,
        "torch.distributed.DistBackendError: NCCL error in: ...",
        "torch.distributed.DistNetworkError: The client socket has timed out after 60000ms",
        "DistStoreError: Socket Timeout",
        "leyden.errors.RankError: rank 1 has failed: KeyError: 'x'",
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
        "RuntimeError: Timed out waiting 4000ms for recv operation to complete",
        "RuntimeError: Application timeout caused pair closure",
        dist.DistBackendError("NCCL error"),
        dist.DistNetworkError("timed out"),
        RuntimeError("[enforce fail] Connection reset by peer"),
        RankError("rank 1 has failed"),
    ],
)
def test_an_error_that_only_tells_of_another_rank_is_secondary(error):
    assert is_secondary(error)


class DistanceError(RuntimeError):
    """A user's error with a name and a text that look like torch's."""


@pytest.mark.parametrize(
    "error",
    [
        None,
        "",
        "ZeroDivisionError: division by zero",
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        "ValueError: Connection closed by peer",
        "requests.exceptions.ConnectionError: no route to host",
        ConnectionError("no route to the data"),
        DistanceError("NCCL"),
        KeyError("Connection closed by peer"),
    ],
)
def test_an_error_of_a_ranks_own_is_not_secondary(error):
    assert not is_secondary(error)


def test_what_an_error_was_raised_from_counts():
    error = ValueError("the batch is lost")
    error.__cause__ = RuntimeError("Connection closed by peer")

    assert is_secondary(error)
