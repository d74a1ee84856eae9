"""Which of several processes this one is, told by whoever has started it.

* torchrun, torch's elastic agent and `leyden.spawn` set ``RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE GROUP_RANK
  MASTER_ADDR MASTER_PORT``;
* ``srun`` sets ``SLURM_PROCID SLURM_LOCALID SLURM_NODEID SLURM_STEP_NUM_TASKS SLURM_STEP_TASKS_PER_NODE
  SLURM_STEP_NODELIST``.

A job step of one task is a process of its own, and so is what runs in a batch script outside of ``srun``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

from leyden.errors import ConfigurationError, RankError

_PORTS = (12_000, 20_000)  # first, and how many: below those that systems give to outgoing connections
_joined: list[Any] = []
_kept: list[Any] = []
_tellings = count()  # equally many in every rank
_PATIENCE = timedelta(minutes=30)  # with which the others wait for what rank 0 tells


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass(frozen=True)
class Rank:
    """One process among several.

    Attributes:
        rank: Index among all.
        world_size: Number of all.
        local_rank: Index on this machine.
        local_world_size: Number on this machine.
        node_rank: Index of this machine.
    """

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    node_rank: int


def current(environment: Mapping[str, str] | None = None) -> Rank | None:
    """Return which process this is; None where nobody has started several.

    Raises:
        ConfigurationError: If a variable is no number.
    """
    found = os.environ if environment is None else environment
    if "RANK" in found and "WORLD_SIZE" in found:
        rank, world = _number(found, "RANK"), _number(found, "WORLD_SIZE")
        local = _number(found, "LOCAL_RANK", rank)
        return Rank(rank, world, local, _number(found, "LOCAL_WORLD_SIZE", world), _number(found, "GROUP_RANK", 0))
    if "SLURM_PROCID" in found and _number(found, "SLURM_STEP_NUM_TASKS", 1) > 1:
        node = _number(found, "SLURM_NODEID", 0)
        per_node = tasks_per_node(found.get("SLURM_STEP_TASKS_PER_NODE", ""))
        world = _number(found, "SLURM_STEP_NUM_TASKS")
        local = per_node[node] if node < len(per_node) else world
        return Rank(_number(found, "SLURM_PROCID"), world, _number(found, "SLURM_LOCALID", 0), local, node)
    return None


def export(rank: Rank) -> None:
    """Put torch's variables into the environment where they are missing: under ``srun``."""
    found = {
        "RANK": rank.rank,
        "WORLD_SIZE": rank.world_size,
        "LOCAL_RANK": rank.local_rank,
        "LOCAL_WORLD_SIZE": rank.local_world_size,
        "GROUP_RANK": rank.node_rank,
        "MASTER_ADDR": first_host(os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")),
        "MASTER_PORT": port(os.environ.get("SLURM_JOB_ID", "0"), os.environ.get("SLURM_STEP_ID", "0")),
    }
    for name, value in found.items():
        os.environ.setdefault(name, str(value))


def store(timeout: timedelta = timedelta(minutes=5)) -> Any:
    """Return the store at which all ranks meet, opened once in a process; the starter keeps it, or rank 0.

    It outlives ranks that fail, so that others can ask what happened, and is gone when the starter is.

    Raises:
        ConfigurationError: If this process is alone.
    """
    rank = current()
    if rank is None:
        raise ConfigurationError(
            "this process is none of several: neither RANK and WORLD_SIZE are set, nor is it a task of srun. "
            "Start the ranks with torchrun, srun, or leyden train trainer.devices=N."
        )
    if not _joined:
        from torch.distributed.distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous

        export(rank)
        found: Any = next(rendezvous("env://", rank.rank, rank.world_size, timeout=timeout))
        # Ranks that are started again by the same agent find what the last ones have left there.
        _joined.append(PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", found[0]))
    return _joined[0]


def lasting_store(timeout: timedelta = timedelta(minutes=5)) -> Any:
    """Return a store that rank 0 keeps, opened once in a process: the ranks can agree without their starter.

    Without it, ranks whose starter was killed could never stop together, since what they would ask is gone.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return store(timeout)  # rank 0 keeps that one
    if not _kept:
        from torch._C._distributed_c10d import TCPStore

        meeting, rank = store(timeout), current()
        if rank is not None and rank.rank == 0:
            found = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timeout)
            meeting.set("leyden/lasting_store", str(found.port))
        else:
            port = int(meeting.get("leyden/lasting_store"))
            found = TCPStore(os.environ["MASTER_ADDR"], port, is_master=False, timeout=timeout)
        _kept.append(found)
    return _kept[0]


def starter_has_ended() -> bool:
    """Whether the starter, which keeps the store at which the ranks have met, has ended."""
    if not _kept:
        return False
    try:
        _joined[0].check(["leyden"])
    except RuntimeError:
        return True
    return False


def is_first() -> bool:
    """Whether this process is rank 0, or alone."""
    found = current()
    return found is None or found.rank == 0


def told(tell: Callable[[], Any]) -> Any:
    """Return on every rank what *tell* returns on rank 0, where alone it is called; all of them have to call this.

    Args:
        tell: Returns what JSON can hold.

    Raises:
        RankError: On the others, if it raised something.
    """
    found = current()
    if found is None or found.world_size == 1:
        return tell()
    key = f"leyden/told/{next(_tellings)}"
    if found.rank == 0:
        try:
            answer = tell()
        except BaseException as error:
            store().set(key, json.dumps({"error": f"{type(error).__name__}: {error}"}))
            raise
        store().set(key, json.dumps({"answer": answer}))
        return answer
    store().wait([key], _PATIENCE)
    heard = json.loads(store().get(key))
    if "error" in heard:
        raise RankError(f"rank 0 has failed: {heard['error']}", rank=0, refused=True)
    return heard["answer"]


def first_host(nodes: str) -> str:
    """Return the first host of a list as SLURM writes it: ``gpu[07-09,12],login`` begins with ``gpu07``."""
    name, bracket, rest = re.split(r",(?![^\[]*\])", nodes)[0].partition("[")
    return name + re.split(r"[-,\]]", rest)[0] if bracket else name


def tasks_per_node(text: str) -> list[int]:
    """Read how many tasks each node has: ``2(x3),1`` is 2, 2, 2, 1."""
    counts: list[int] = []
    for each in re.finditer(r"(\d+)(?:\(x(\d+)\))?", text):
        counts += [int(each[1])] * int(each[2] or 1)
    return counts


def port(job: str, step: str) -> int:
    """Return the port at which the ranks of a job step meet: steps that run side by side have different ones."""
    first, count = _PORTS
    digits = [int("".join(filter(str.isdigit, text)) or 0) for text in (job, step)]
    return first + (digits[0] * 7 + digits[1]) % count


def _number(environment: Mapping[str, str], name: str, otherwise: int | None = None) -> int:
    text = environment.get(name)
    if text is None and otherwise is not None:
        return otherwise
    try:
        return int(text or "")
    except ValueError:
        raise ConfigurationError(
            f"the environment variable {name} is {text!r}, which tells no rank. Expected a whole number, as torchrun "
            f"and srun set it. Unset it, or start the ranks with one of them."
        ) from None
