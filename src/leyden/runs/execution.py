"""Execute a run directory: the same way the first time, after Ctrl-C, and after kill -9.

Nothing but the directory is needed, and `status.json` says all along how it stands:

    config.yaml ─► seed ─► build ─► [newest whole checkpoint] ─► fit, test ─► result.json

Of several ranks each calls `execute`. Rank 0 alone holds the lock, chooses the checkpoint and writes
files; each has a log of its own, and says what went wrong on it.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from leyden import ranks, regular, rng, secrets
from leyden.callback import Callback
from leyden.config.build import build
from leyden.config.trust import Trust
from leyden.errors import ConfigurationError, Interrupted, RankError, StageEnded
from leyden.experiment import Experiment
from leyden.identity import Identity
from leyden.processes import signals
from leyden.processes.forks import end_with_this_process
from leyden.runs import checkpoints, determinism, leftovers, manifest
from leyden.runs.directory import RunDirectory
from leyden.runs.fingerprint import Fingerprint, Part
from leyden.runs.guard import admitted, contained, metrics
from leyden.runs.heartbeat import Heartbeat
from leyden.runs.record import ending
from leyden.runs.record.ending import slurm_job
from leyden.runs.record.liveness import this_host
from leyden.runs.record.moments import now
from leyden.runs.record.state import Outcome, RunState
from leyden.runs.until import Until
from leyden.runs.witness import Witness, spared
from leyden.trainer import Trainer

Stopped = Callable[[Path, Interrupted, int], None]
COMPOSED = "LEYDEN_COMPOSED"  # hash of a config that was composed on the command line that started this process
log = logging.getLogger("leyden.run")


class RanksWanted(Exception):
    """The run is for several ranks, and this process is none: somebody has to start them.

    Args:
        number: Of ranks on this machine.
        machines: On how many machines.
    """

    def __init__(self, number: int, machines: int) -> None:
        super().__init__(f"{number} ranks on each of {machines} machines")
        self.number = number
        self.machines = machines


def prepare(config: dict[str, Any], composed: bool = True) -> Experiment:
    """Seed everything and build the experiment that a resolved config describes.

    Args:
        config: What to build.
        composed: On this command line; False for one that `admitted` has let through.
    """
    determinism.apply(config.get("deterministic") or False, config.get("threads"))
    rng.seed_everything(int(config.get("seed") or 0), workers=True, verbose=False)
    experiment = build(config, composed)
    if not isinstance(experiment, Experiment):
        raise ConfigurationError(
            f"the config builds a {type(experiment).__name__}. Expected an Experiment at its root."
        )
    experiment.trainer.default_root_dir = str(config["paths"]["run_dir"])
    return experiment


def execute(
    directory: RunDirectory,
    experiment: Experiment | None = None,
    trusted: Sequence[str] = (),
    until: int | None = None,
    companions: Sequence[Callback] = (),
    stopped: Stopped = ending.stopped,
) -> dict[str, float]:
    """Run *directory* to its end, from the last valid checkpoint if there is one.

    Args:
        directory: What to run. A finished one is not run again.
        experiment: Built from its config just now; built here if left out. Then anybody may have
            made the directory: see `leyden.runs.guard`.
        trusted: Packages, folders and URLs that its config may name, beside those of the project.
        until: Stop after so many training steps, as if somebody had pressed Ctrl-C; None does not.
        companions: Callbacks that belong to where it is executed, not to the run.
        stopped: Writes down that a signal has stopped the run, or has it go on elsewhere; called on every rank with
            the directory, what it was stopped by, and the optimizer steps done.

    Returns:
        The final metrics by name.

    Raises:
        ConfigurationError: If its config names what may not be called, or writes elsewhere.
        RunError: If another process is executing it, or it is not safe to.
        Interrupted: If a signal asked to stop; the state has been saved.
        RankError: If another rank has failed.
        RanksWanted: If it is for several ranks; nothing was touched.
    """
    config = config_to_execute(directory, trusted) if experiment is None else {}
    with ExitStack() as stack:
        stack.enter_context(_log_file(directory))
        begun = ranks.told(lambda: _begun(directory, stack))
        stack.enter_context(signals.between_stages(at_once=ranks.current() is None))
        if begun["done"]:
            log.info("%s is finished: nothing to do", directory.path)
            return metrics(directory)
        if experiment is None:
            enter(config["paths"].get("work_dir"))
            with _logged():
                experiment = prepare(config, composed=vouched(directory))
        strategy = experiment.trainer.strategy
        if strategy.to_start:
            raise RanksWanted(strategy.num_processes, experiment.trainer.num_nodes)
        checkpoint: str | None = begun["checkpoint"]
        if ranks.is_first():
            directory.update(
                status=RunState.RUNNING, attempts=begun["number"], started=now(), pid=os.getpid(),
                host=this_host(), resumed_from=checkpoint, error=None, ended=None, reason=None, requeue=None,
                job=slurm_job(), from_step=None, ranks=strategy.world_size, run_id=begun["identity"]["run"],
            )  # fmt: skip
        log.info("attempt %d%s", begun["number"], f", from {checkpoint}" if checkpoint is not None else "")
        experiment.trainer.identity = Identity(**begun["identity"])
        end_with_this_process()
        with _recorded(directory, experiment.trainer, stopped):
            return _run(directory, experiment, checkpoint and str(directory.path / checkpoint), until, companions)


def _begun(directory: RunDirectory, stack: ExitStack) -> dict[str, Any]:
    """Lock *directory* until *stack* is closed, and return what this attempt goes on from; rank 0 does, for all."""
    stack.enter_context(directory.locked())
    leftovers.sweep(directory.path)
    status = directory.status()
    if status.problem:
        log.warning("%s: going on as attempt %d", status.problem, status.attempts + 1)
    if status.state is RunState.FINISHED:
        return {"done": True}
    choice = checkpoints.choose(directory)
    number = max(status.attempts, choice.attempt) + 1
    return {
        "done": False,
        "identity": choice.identity(directory, number),
        "number": number,
        "checkpoint": None if choice.newest is None else str(choice.newest.relative_to(directory.path)),
    }


def config_to_execute(directory: RunDirectory, trusted: Sequence[str]) -> dict[str, Any]:
    """Return the config of a directory that may be executed, before anything is touched; {} if it is finished.

    Raises:
        ConfigurationError: If its config names what may not be called, or writes elsewhere.
        RunError: If its files are not what they should be.
    """
    contained(directory.path, Trust.of(directory.path, trusted))
    if directory.status().state is RunState.FINISHED:
        return {}
    return directory.config() if vouched(directory) else admitted(directory, trusted)


def vouched(directory: RunDirectory) -> bool:
    """Whether the config of *directory* is, byte by byte, one that the launcher of this process has composed itself."""
    return bool(os.environ.get(COMPOSED)) and os.environ[COMPOSED] == manifest.config_hash(directory)


def _run(
    directory: RunDirectory,
    experiment: Experiment,
    checkpoint: str | None,
    until: int | None,
    companions: Sequence[Callback],
) -> dict[str, float]:
    fingerprint = Fingerprint(directory.path, resumed=checkpoint is not None)
    stop = [] if until is None else [Until(until)]
    first = ranks.is_first()
    writers = [fingerprint, Heartbeat(directory)] if first else [Part(resumed=checkpoint is not None)]
    experiment.trainer.callbacks[:0] = [*writers, Witness(directory), *companions, *stop]
    try:
        metrics = experiment.run(checkpoint)
    except StageEnded as reached:
        if not first:
            return {}
        fingerprint.on_exception(experiment.trainer, experiment.model, reached)
        ending.ended(directory.path, Outcome.INTERRUPTED, f"stopped: {reached}", experiment.trainer.global_step)
        return {}
    if not first:
        return metrics
    fingerprint.finish(experiment.trainer, metrics)
    with spared("is not complete"):
        manifest.complete(directory, experiment)
    directory.write_result(metrics, experiment.optimized_metric)
    checkpoints.remove_interrupted(directory)
    ending.note(directory.path, Outcome.FINISHED, "", experiment.trainer.global_step)
    directory.update(
        status=RunState.FINISHED,
        ended=now(),
        epoch=experiment.trainer.current_epoch,
        step=experiment.trainer.global_step,
    )
    log.info("finished: %s", ", ".join(f"{name} {value:.6g}" for name, value in metrics.items()))
    return metrics


@contextmanager
def _logged() -> Iterator[None]:
    """Write down what an experiment cannot be built for, with all frames; nothing else of the run has changed."""
    try:
        yield
    except Exception:
        log.error("could not be built\n%s", traceback.format_exc())
        raise


@contextmanager
def _recorded(directory: RunDirectory, trainer: Trainer, stopped: Stopped) -> Iterator[None]:
    """Record how a run that does not finish ended; of several ranks, rank 0 does, and the one it is due to."""
    first = ranks.is_first()
    try:
        yield
    except Interrupted as stop:
        log.info("%s", stop)
        stopped(directory.path, stop, trainer.global_step)
        raise
    except KeyboardInterrupt:
        if first:
            ending.ended(
                directory.path, Outcome.INTERRUPTED, "interrupted in the middle of a step", trainer.global_step
            )
        raise
    except RankError as error:
        said = directory.status()
        if first and said.state is RunState.RUNNING:
            ending.ended(directory.path, Outcome.FAILED, str(error), trainer.global_step)
        elif first:
            ending.note(directory.path, Outcome.FAILED, said.error, trainer.global_step)
        log.error("%s", error)
        raise
    except BaseException as error:
        ending.ended(directory.path, Outcome.FAILED, f"{_where()}{type(error).__name__}: {error}", trainer.global_step)
        log.error("failed\n%s", traceback.format_exc())
        raise


def _where() -> str:
    """Say which rank this is, where there are several."""
    found = ranks.current()
    return f"rank {found.rank}: " if found is not None and found.world_size > 1 else ""


def enter(work_dir: str | None) -> None:
    """Go to where the run was started from, since relative paths in its config begin there."""
    if work_dir is None or work_dir == os.getcwd():
        return
    if not os.path.isdir(work_dir):
        log.warning(
            "the working directory of this run, %s, is not there any more: staying in %s", work_dir, os.getcwd()
        )
        return
    os.chdir(work_dir)


class _Masking(logging.Formatter):
    """Leaves secrets out of what is written to a file, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without secrets."""
        return secrets.masked(super().format(record))


def log_of(directory: RunDirectory, rank: int | None = None) -> Path:
    """Return the file of what rank *rank* has to say, by default this one; its folder is made."""
    found = ranks.current()
    regular.folder(directory.path, "logs")
    own = 0 if found is None else found.rank
    return directory.path / "logs" / f"rank{own if rank is None else rank}.log"


@contextmanager
def _log_file(directory: RunDirectory) -> Iterator[None]:
    """Copy log messages and warnings to this rank's own file."""
    name = str(log_of(directory).relative_to(directory.path))
    handler = logging.StreamHandler(TextIOWrapper(regular.appended(directory.path, name), "utf-8", write_through=True))
    handler.setFormatter(_Masking("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    log.setLevel(logging.INFO)
    log.propagate = False  # the terminal has a progress display
    for each in (root, log):
        each.addHandler(handler)
    try:
        yield
    finally:
        for each in (root, log):
            each.removeHandler(handler)
        handler.close()
        handler.stream.close()
