"""Execute a run directory: the same way the first time, after Ctrl-C, and after kill -9.

Nothing but the directory is needed, and `status.json` says all along how it stands:

    config.yaml ─► seed ─► build ─► [last valid checkpoint] ─► fit, test ─► result.json
"""

from __future__ import annotations

import logging
import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from leyden import rng
from leyden.config.build import build
from leyden.errors import Interrupted
from leyden.experiment import Experiment
from leyden.runs.directory import RunDirectory, now
from leyden.runs.heartbeat import Heartbeat

log = logging.getLogger("leyden.run")


def prepare(config: dict[str, Any]) -> Experiment:
    """Seed everything and build the experiment that a resolved config describes."""
    rng.seed_everything(int(config.get("seed") or 0), workers=True, verbose=False)
    experiment = build(config)
    experiment.trainer.default_root_dir = str(config["paths"]["run_dir"])
    return experiment


def execute(directory: RunDirectory, experiment: Experiment | None = None) -> dict[str, float]:
    """Run *directory* to its end, from the last valid checkpoint if there is one.

    Args:
        directory: What to run. A finished one is not run again.
        experiment: Built from its config just now; built here if left out.

    Returns:
        The final metrics by name.

    Raises:
        RunError: If another process is executing it.
        Interrupted: If a signal asked to stop; the state has been saved.
    """
    with directory.locked(), _log_file(directory):
        status = directory.status()
        if status.get("status") == "finished":
            log.info("%s is finished: nothing to do", directory.path)
            return dict(directory.result().get("metrics", {}))
        checkpoint = directory.last_checkpoint()
        attempts = int(status.get("attempts", 0)) + 1
        if experiment is None:
            config = directory.config()
            enter(config.get("paths", {}).get("work_dir"))
            experiment = prepare(config)
        directory.update(
            status="running", attempts=attempts, started=now(), pid=os.getpid(), host=socket.gethostname(),
            resumed_from=None if checkpoint is None else str(checkpoint.relative_to(directory.path)), error=None,
        )  # fmt: skip
        log.info("attempt %d%s", attempts, f", from {checkpoint}" if checkpoint is not None else "")
        with _recorded(directory):
            return _run(directory, experiment, None if checkpoint is None else str(checkpoint))


def _run(directory: RunDirectory, experiment: Experiment, checkpoint: str | None) -> dict[str, float]:
    experiment.trainer.callbacks.insert(0, Heartbeat(directory))
    metrics = experiment.run(checkpoint)
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
        directory.update(status="interrupted", ended=now(), error=str(stop))
        log.info("%s", stop)
        raise
    except KeyboardInterrupt:
        directory.update(status="interrupted", ended=now(), error="interrupted in the middle of a step")
        raise
    except BaseException as error:
        directory.update(status="failed", ended=now(), error=f"{type(error).__name__}: {error}")
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


@contextmanager
def _log_file(directory: RunDirectory) -> Iterator[None]:
    """Copy log messages and warnings to the run's own file."""
    (directory.path / "logs").mkdir(exist_ok=True)
    handler = logging.FileHandler(directory.path / "logs" / "rank0.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
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
