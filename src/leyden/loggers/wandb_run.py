"""When a W&B run is opened and when it is finished.

It is opened when the first thing is logged. After a success it stays open, so that `fit`
followed by `test` goes to one run with one step counter, offline too, where a run opened
twice becomes two folders. It is finished by whatever comes first: a failure, an explicit
close, the next logger of the process, or the end of the process.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

from leyden import secrets
from leyden.errors import ConfigurationError
from leyden.loggers import wandb_account
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from wandb import Run

STEP = "trainer/global_step"
"""Field of every row, and the x axis of every chart."""

_RESTING: list[WandbRun] = []
"""Runs left open although their trainer is done; whoever opens the next one finishes them."""


class WandbRun:
    """One run, opened on demand and continued under the same id after it was finished.

    Args:
        options: Arguments of `wandb.init`.
        run: A run opened by the caller, which is never finished here.
    """

    def __init__(self, options: dict[str, Any], run: Run | None = None) -> None:
        self.options = options
        self._id_given = options["id"] is not None
        self._run = run
        self._owned = False

    @property
    def id(self) -> str | None:
        """Id of the open run, or the one it will be opened under; None if that is not known yet."""
        run_id: str | None = self.options["id"] if self._run is None else self._run.id
        return run_id

    @property
    def is_open(self) -> bool:
        """Whether there is a run to log to."""
        return self._run is not None

    @property
    def follows_tensorboard(self) -> bool:
        """Whether W&B copies TensorBoard's events, which bring a step axis of their own."""
        return bool(self.options.get("sync_tensorboard"))

    def check(self) -> None:
        """Find out whether W&B could open a run.

        Raises:
            ConfigurationError: If it is to be online, and nobody is logged in or there to be asked.
        """
        asked = sys.stdin is not None and sys.stdin.isatty()
        if (
            self.is_open
            or asked
            or self.options.get("anonymous")
            or not wandb_account.is_online(self.options.get("mode"))
        ):
            return
        if not wandb_account.is_known():
            raise ConfigurationError(
                "WandbLogger sends to a W&B server, and nobody is logged in: neither WANDB_API_KEY nor a .netrc file "
                "names an account. Expected one. Log in with `wandb login`, or write to disk only: "
                "logger.wandb.offline=true"
            )

    def get(self) -> Run:
        """Return the run; open it if it is not."""
        if self._run is None:
            self._run = self._open()
            self.options["id"] = self._run.id
        if self in _RESTING:
            _RESTING.remove(self)
        return self._run

    def _open(self) -> Run:
        import wandb

        for resting in _RESTING[:]:
            resting.close()
        if wandb.run is not None:
            warn_once(
                f"WandbLogger continues the W&B run {wandb.run.id!r}, which is already open in this process. "
                "If that is not meant, call wandb.finish() before, or pass the run as experiment=."
            )
            return wandb.run
        # init writes id, project and folder into the settings it is given: others may hold that object, too
        options = {name: copy(value) if name == "settings" else value for name, value in self.options.items()}
        if self.options["dir"] is not None:
            os.makedirs(self.options["dir"], exist_ok=True)  # W&B would fall back to a temporary folder
        with _own_words():
            run = wandb.init(**_kept_quiet(options))
        self._owned = True
        self._define_axis(run)
        if multiprocessing.parent_process() is not None:  # a forked child never gets to W&B's own exit hook
            multiprocessing.util.Finalize(None, wandb.teardown, exitpriority=0)
        return run

    def _define_axis(self, run: Run) -> None:
        if self.follows_tensorboard:
            run.define_metric("*", step_metric="global_step")
        else:
            run.define_metric(STEP)
            run.define_metric("*", step_metric=STEP, step_sync=True)

    def rest(self) -> None:
        """The trainer is done: keep the run open, but let the next logger finish it."""
        if self._owned and self not in _RESTING:
            _RESTING.append(self)

    def close(self, exit_code: int = 0) -> None:
        """Finish the run if it was opened here; anything but exit code 0 marks it as failed."""
        if self in _RESTING:
            _RESTING.remove(self)
        if self._owned and self._run is not None:
            self._run.finish(exit_code=exit_code)
            self._run, self._owned = None, False

    def resume(self, run_id: str) -> None:
        """Go on with the run of this id, unless another was chosen or is open already."""
        if self._run is None and not self._id_given:
            self.options["id"] = run_id
        elif self.id != run_id:
            warn_once(
                f"the checkpoint belongs to the W&B run {run_id!r}, but this logger writes to {self.id!r}, "
                "which was chosen or opened before. Pass WandbLogger(id=...) to choose."
            )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the live run and fix its id, so that a copy in another process continues it."""
        if self.id is None:
            self.options["id"] = os.urandom(4).hex()
        return self.__dict__ | {"options": self.options | {"id": self.id}, "_run": None, "_owned": False}


def _kept_quiet(options: dict[str, Any]) -> dict[str, Any]:
    """Return *options* without secrets; what W&B would copy into its files as it is, it is not given.

    That is what the process prints, and the remote and the changes of a git repository. Whoever passes settings, or
    sets the variables of W&B, decides on their own.
    """
    named = ("name", "notes", "tags", "group", "job_type", "project", "config")
    clean = {key: secrets.masked_values(value, key) if key in named else value for key, value in options.items()}
    if clean.get("settings") is None:
        silent: dict[str, Any] = {"console": "off"} if "WANDB_CONSOLE" not in os.environ else {}
        silent |= {"disable_git": True} if "WANDB_DISABLE_GIT" not in os.environ else {}
        clean["settings"] = silent
    return clean


@contextmanager
def _own_words() -> Iterator[None]:
    """Show W&B, which writes it down, the command line without secrets."""
    before = sys.argv
    sys.argv = secrets.masked_words(before)
    try:
        yield
    finally:
        sys.argv = before
