"""What the caller of ``Trainer(devices=4).fit(...)`` waits in: ranks are started, watched, and their work is taken."""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from leyden import rng
from leyden.errors import ConfigurationError, RankError
from leyden.processes import signals
from leyden.processes.failure import RankFailure, root_cause
from leyden.processes.supervisor import ProcessGroup, ProcessSpec
from leyden.spawn import cargo, handover
from leyden.spawn.rank import HANDOVER

if TYPE_CHECKING:
    from leyden.trainer import Trainer

_LOOKS = 0.05  # seconds between two looks at the ranks
_RANK = Path(__file__).with_name("__main__.py")


def start(trainer: Trainer, method: str, **arguments: Any) -> Any:
    """Run a stage on ranks that are started for it, and return what it returned on rank 0.

    Args:
        trainer: Whose strategy wants them. Afterwards it is as if it had run the stage itself.
        method: Of the trainer: ``fit``, ``validate``, ``test`` or ``predict``.
        **arguments: Of the method.

    Raises:
        ConfigurationError: If they are to be on several machines, or something cannot be sent to them.
        RankError: If a rank has ended without a word.
        BaseException: What a rank has raised; a note tells which one.
    """
    strategy = trainer.strategy
    if strategy.to_start != strategy.num_processes:
        raise ConfigurationError(
            f"Trainer(num_nodes={trainer.num_nodes}) asks for {strategy.to_start} ranks on several machines, and this "
            "process can start them on its own machine only. Start the script on each machine: torchrun "
            f"--nnodes={trainer.num_nodes} --nproc-per-node={strategy.num_processes} ..., or srun; or use num_nodes=1."
        )
    with TemporaryDirectory(prefix="leyden-ranks-") as name:
        folder = Path(name)
        _load(folder, trainer, method, arguments)
        group = _supervised(_specs(folder, strategy.to_start))
        found = folder / HANDOVER
        results = None
        if found.is_file():
            results = handover.take(trainer, arguments, pickle.loads(found.read_bytes()))
        _raise_root_cause(folder, group)
        return results


def _load(folder: Path, trainer: Trainer, method: str, arguments: Mapping[str, Any]) -> None:
    (folder / "header").write_bytes(pickle.dumps((sys.path, sys.argv)))
    settings = cargo.settings(trainer.strategy.to_start)
    named = {"trainer": trainer, **{name: each for name, each in arguments.items() if each is not None}}
    content = {"trainer": trainer, "method": method, "arguments": dict(arguments), "settings": settings}
    cargo.write(folder / "cargo", content | {"rng": rng.capture()}, named)


def _specs(folder: Path, world: int) -> list[ProcessSpec]:
    warned = [f"-W{each}" for each in sys.warnoptions]
    words = [sys.executable, "-P", *warned, str(_RANK), str(folder)]
    common = {**os.environ, "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "GROUP_RANK": "0"}
    return [ProcessSpec(words, {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(world)]


def _supervised(specs: list[ProcessSpec]) -> ProcessGroup:
    """Start the ranks and wait for them, passing signals on; where they meet is kept by this process."""
    from torch._C._distributed_c10d import TCPStore

    meeting = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(meeting.port)}
    where |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
    specs = [ProcessSpec(each.command, {**each.environment, **where}, each.output) for each in specs]
    out, err = _stream(sys.stdout), _stream(sys.stderr)
    with signals.collected() as arrived:
        group = ProcessGroup(specs, stdout=out, stderr=err)
        try:
            with _copied(group):
                while not group.poll():
                    while arrived:
                        group.send(arrived.pop(0))
                    time.sleep(_LOOKS)
        finally:
            group.close()
    return group


def _stream(stream: Any) -> Any:
    """Return what a rank may print to: the file behind *stream*, or, in a notebook say, a pipe that is copied to it."""
    stream.flush()
    return stream.fileno() if type(stream) is io.TextIOWrapper else PIPE


@contextmanager
def _copied(group: ProcessGroup) -> Iterator[None]:
    """Print what comes through the pipes of the ranks, until they are closed."""
    threads = [threading.Thread(target=_copy, args=(pipe, err), daemon=True) for pipe, err in group.pipes]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


def _copy(pipe: Any, err: bool) -> None:
    for line in pipe:
        (sys.stderr if err else sys.stdout).write(line.decode("utf-8", "replace"))


def _raise_root_cause(folder: Path, group: ProcessGroup) -> None:
    """Raise the root cause, if a rank has failed."""
    failed = [rank for rank, code in group.ended.items() if code]
    reports = {rank: pickle.loads(path.read_bytes()) for rank in failed if (path := folder / f"error{rank}").is_file()}
    cause = root_cause([_failure(rank, group, reports.get(rank)) for rank in failed])
    if cause is None:
        return
    rank, world = cause.rank, len(group.pids)
    if rank not in reports:
        raise RankError(_ended(rank, group.ended[rank], world), rank)
    error = reports[rank]["error"]
    if error is None:
        error = RankError(f"rank {rank} has failed: {cause.error}", rank)
    error.add_note(f"raised on rank {rank} of {world}:\n{reports[rank]['trace']}")
    raise error


def _failure(rank: int, group: ProcessGroup, report: Mapping[str, Any] | None) -> RankFailure:
    said = {} if report is None else {"error": report["text"], "time": report["time"], "secondary": report["secondary"]}
    return RankFailure(rank, group.ended[rank], **said, killed=rank in group.killed)


def _ended(rank: int, code: int, world: int) -> str:
    how = f"was ended by signal {-code}" if code < 0 else f"has ended with exit code {code}"
    hint = " The system does so when memory runs out: see its log." if code == -9 else ""
    return f"rank {rank} of {world} {how}, without a word. Expected it to run to the end of the stage.{hint}"
