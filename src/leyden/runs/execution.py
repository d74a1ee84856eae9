"""Execute a run directory: the same way the first time, after Ctrl-C, and after kill -9.

Nothing but the directory is needed, and `status.json` says all along how it stands:

    config.yaml ─► seed ─► build ─► [last valid checkpoint] ─► fit, test ─► result.json
"""

from __future__ import annotations

import logging
import os
import socket
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from leyden import rng, secrets
from leyden.config.build import build
from leyden.config.trust import Trust
from leyden.errors import ConfigurationError, Interrupted, StageEnded
from leyden.experiment import Experiment
from leyden.runs import determinism, manifest
from leyden.runs.directory import RunDirectory, now
from leyden.runs.fingerprint import Fingerprint
from leyden.runs.guard import admitted, contained, metrics
from leyden.runs.heartbeat import Heartbeat
from leyden.runs.until import Until
from leyden.runs.witness import Witness, spared

log = logging.getLogger("leyden.run")


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
) -> dict[str, float]:
    """Run *directory* to its end, from the last valid checkpoint if there is one.

    Args:
        directory: What to run. A finished one is not run again.
        experiment: Built from its config just now; built here if left out. Then anybody may have
            made the directory: see `leyden.runs.guard`.
        trusted: Packages, folders and URLs that its config may name, beside those of the project.
        until: Stop after so many training steps, as if somebody had pressed Ctrl-C; None does not.

    Returns:
        The final metrics by name.

    Raises:
        ConfigurationError: If its config names what may not be called, or writes elsewhere.
        RunError: If another process is executing it, or it is not safe to.
        Interrupted: If a signal asked to stop; the state has been saved.
    """
    config = _look(directory, trusted) if experiment is None else {}
    with directory.locked(), _log_file(directory):
        status = directory.status()
        if status.get("status") == "finished":
            log.info("%s is finished: nothing to do", directory.path)
            return metrics(directory)
        checkpoint = directory.last_checkpoint()
        attempts = int(status.get("attempts", 0)) + 1
        if experiment is None:
            enter(config["paths"].get("work_dir"))
            experiment = prepare(config, composed=False)
        directory.update(
            status="running", attempts=attempts, started=now(), pid=os.getpid(), host=socket.gethostname(),
            resumed_from=None if checkpoint is None else str(checkpoint.relative_to(directory.path)), error=None,
        )  # fmt: skip
        log.info("attempt %d%s", attempts, f", from {checkpoint}" if checkpoint is not None else "")
        with _recorded(directory):
            return _run(directory, experiment, None if checkpoint is None else str(checkpoint), until)


def _look(directory: RunDirectory, trusted: Sequence[str]) -> dict[str, Any]:
    """Return the config of a directory that may be executed, before anything is touched; {} if there is nothing to."""
    contained(directory.path, Trust.of(directory.path, trusted))
    return {} if directory.status().get("status") == "finished" else admitted(directory, trusted)


def _run(
    directory: RunDirectory, experiment: Experiment, checkpoint: str | None, until: int | None
) -> dict[str, float]:
    fingerprint = Fingerprint(directory.path, resumed=checkpoint is not None)
    stop = [] if until is None else [Until(until)]
    experiment.trainer.callbacks[:0] = [fingerprint, Heartbeat(directory), Witness(directory), *stop]
    try:
        metrics = experiment.run(checkpoint)
    except StageEnded as reached:
        fingerprint.on_exception(experiment.trainer, experiment.model, reached)
        directory.update(status="interrupted", ended=now(), error=f"stopped: {reached}")
        return {}
    fingerprint.finish(experiment.trainer, metrics)
    with spared("is not complete"):
        manifest.complete(directory, experiment)
    directory.write_result(metrics, experiment.optimized_metric)
    (directory.checkpoints / "interrupted.ckpt").unlink(missing_ok=True)
    directory.update(
        status="finished", ended=now(), epoch=experiment.trainer.current_epoch, step=experiment.trainer.global_step
    )
    log.info("finished: %s", ", ".join(f"{name} {value:.6g}" for name, value in metrics.items()))
    return metrics


@contextmanager
def _recorded(directory: RunDirectory) -> Iterator[None]:
    """Record how a run that does not finish ended."""
    try:
        yield
    except Interrupted as stop:
        directory.update(status="interrupted", ended=now(), error=secrets.masked(str(stop)))
        log.info("%s", stop)
        raise
    except KeyboardInterrupt:
        directory.update(status="interrupted", ended=now(), error="interrupted in the middle of a step")
        raise
    except BaseException as error:
        directory.update(status="failed", ended=now(), error=secrets.masked(f"{type(error).__name__}: {error}"))
        log.error("failed\n%s", traceback.format_exc())
        raise


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


@contextmanager
def _log_file(directory: RunDirectory) -> Iterator[None]:
    """Copy log messages and warnings to the run's own file."""
    (directory.path / "logs").mkdir(exist_ok=True)
    handler = logging.FileHandler(directory.path / "logs" / "rank0.log", encoding="utf-8")
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
