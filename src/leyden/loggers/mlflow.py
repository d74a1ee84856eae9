"""Metrics, hyper-parameters and checkpoints in MLflow: in a local database, or on a server.

MLflow comes with the extra ``mlflow`` and is imported when the first thing is logged. What
it has once recorded it does not change: a parameter keeps its first value, and a resumed
run, which goes on under its id, adds rows to those that are there.
"""

from __future__ import annotations

import os
import re
import time
from argparse import Namespace
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from leyden import secrets
from leyden.errors import ConfigurationError
from leyden.logger import Logger
from leyden.loggers.dummy import DummyExperiment
from leyden.loggers.hparams import flat_params, plain_params
from leyden.loggers.mlflow_run import log_checkpoint, open_run
from leyden.loggers.row import number, prefixed
from leyden.loggers.saved_checkpoints import Uploads
from leyden.state import StageOutcome
from leyden.warnings import rank, warn_once

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from leyden.callback import Checkpoint
    from leyden.loggers.saved_checkpoints import SavedCheckpoint

_FILE = "file:"
_SCHEMES = (  # https://mlflow.org/docs/latest/self-hosting/architecture/backend-store
    *("", "file", "http", "https", "sqlite", "mysql", "postgresql", "mssql", "databricks", "databricks-uc", "uc"),
)
_STATUS: dict[str, str] = {
    StageOutcome.SUCCESS: "FINISHED",
    StageOutcome.FINISHED: "FINISHED",
    StageOutcome.FAILED: "FAILED",
}
_LONGEST_VALUE = 500  # characters of a parameter that every MLflow server takes
_MOST = {"params": 100, "metrics": 1000}  # in one request


class MLFlowLogger(Logger):
    """Log to one MLflow run.

    Args:
        experiment_name: Experiment the run belongs to; made if there is none.
        run_name: Name shown for the run; MLflow invents one if None.
        tracking_uri: Where MLflow keeps its records, such as ``sqlite:///mlflow.db`` or
            ``http://host:5000``; None means the environment variable MLFLOW_TRACKING_URI, else
            ``file:<save_dir>``, which new versions of MLflow refuse unless the environment
            variable MLFLOW_ALLOW_FILE_STORE is ``true``.
        tags: Tags of the run.
        save_dir: Folder of the records, where no *tracking_uri* is given; None means
            ``mlruns`` in the trainer's ``default_root_dir``.
        log_model: True uploads checkpoints at the end, and during the run if all of them
            are kept (``save_top_k=-1``); ``"all"`` uploads each as it is written.
        prefix: Put before every name, joined by ``-``.
        artifact_location: Where the files of a new experiment go; None leaves it to MLflow.
        run_id: Id of a run to continue.
        synchronous: False does not wait for MLflow; None leaves it to MLflow.
        checkpoint_path_prefix: Folder for checkpoints among the artifacts of the run.

    Raises:
        ConfigurationError: If MLflow is not installed.
    """

    def __init__(
        self,
        experiment_name: str = "lightning_logs",
        run_name: str | None = None,
        tracking_uri: str | None = None,
        tags: dict[str, Any] | None = None,
        save_dir: str | os.PathLike[str] | None = "./mlruns",
        log_model: Literal["all"] | bool = False,
        prefix: str = "",
        artifact_location: str | None = None,
        run_id: str | None = None,
        synchronous: bool | None = None,
        *,
        checkpoint_path_prefix: str = "",
    ) -> None:
        if find_spec("mlflow") is None:
            raise ConfigurationError(
                "MLFlowLogger needs MLflow, which is not installed here: there is no module 'mlflow'. "
                'Install it with pip install "leyden[mlflow]", or choose another logger.'
            )
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        self._tracking_uri = uri or (None if save_dir is None else f"{_FILE}{os.fspath(save_dir)}")
        self._new_run: dict[str, Any] = {
            "experiment_name": experiment_name,
            "artifact_location": artifact_location,
            "run_name": run_name,
            "tags": dict(tags or {}),
        }
        self._new_run = {name: secrets.masked_values(value, name) for name, value in self._new_run.items()}
        self.tags = tags
        self._prefix = prefix
        self._checkpoint_path_prefix = checkpoint_path_prefix
        self._how = {} if synchronous is None else {"synchronous": synchronous}
        self._id_given = run_id is not None
        self._run_id = run_id
        self._experiment_id: str | None = None
        self._client: MlflowClient | None = None
        self._params: dict[str, str] = {}
        self._under_way: list[Any] = []
        self._uploads = Uploads(log_model)

    def check(self) -> None:
        """Find out whether MLflow knows what kind of place it is to write to.

        Raises:
            ConfigurationError: If the URI is of a kind that it has no store for.
        """
        scheme = urlsplit(self._tracking_uri or "").scheme.partition("+")[0]
        known = {*_SCHEMES, *(each.name for each in entry_points(group="mlflow.tracking_store"))}
        if scheme not in known:
            raise ConfigurationError(
                f"MLFlowLogger(tracking_uri={self._tracking_uri!r}) is of the kind {scheme!r}, which MLflow has no "
                f"store for. Expected one of: {', '.join(sorted(known - {''}))}, or a folder. Name another place."
            )

    # --- the run ---------------------------------------------------------------------------

    @property
    def experiment(self) -> MlflowClient | DummyExperiment:
        """MLflow's client, with the run opened now if need be; a do-nothing object on ranks other than 0."""
        if rank() != 0:
            return DummyExperiment()
        if self._client is None:
            self._tracking_uri = self._tracking_uri or f"{_FILE}./mlruns"
            self._client, run = open_run(self._tracking_uri, self._run_id, **self._new_run)
            self._run_id, self._experiment_id = run.info.run_id, run.info.experiment_id
            self._params = dict(run.data.params)
        return self._client

    @property
    def run_id(self) -> str | None:
        """Id of the run, which is opened now if need be."""
        _ = self.experiment
        return self._run_id

    @property
    def experiment_id(self) -> str | None:
        """Id of the experiment; the run is opened now if need be."""
        _ = self.experiment
        return self._experiment_id

    def save(self) -> None:
        """Wait until MLflow has everything it was given."""
        while self._under_way:
            self._under_way.pop(0).wait()

    def finalize(self, status: str) -> None:
        """Upload checkpoints, and mark the run as finished or failed; logging again goes on with it."""
        if self._client is None:
            return
        self._upload(self._uploads.rest())
        self.save()
        self._client.set_terminated(str(self._run_id), _STATUS.get(status, status))

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"run_id": id}`` once there is a run."""
        self.save()
        return {} if self._run_id is None else {"run_id": self._run_id}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the run of the state, unless another was chosen or is open already."""
        if "run_id" in state_dict and self._client is None and not self._id_given:
            self._run_id = state_dict["run_id"]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the connection behind when the logger goes to another process."""
        return self.__dict__ | {"_client": None, "_under_way": []}

    # --- where it is -----------------------------------------------------------------------

    def attach(self, default_root_dir: str) -> None:
        """Use the trainer's folder, unless another place was given."""
        self._tracking_uri = self._tracking_uri or f"{_FILE}{os.path.join(default_root_dir, 'mlruns')}"

    @property
    def save_dir(self) -> str | None:
        """Folder of the records, if they are kept in one."""
        uri = self._tracking_uri
        return uri[len(_FILE) :] if uri is not None and uri.startswith(_FILE) else None

    @property
    def name(self) -> str | None:
        """Id of the experiment."""
        return self.experiment_id

    @property
    def version(self) -> str | None:
        """Id of the run."""
        return self.run_id

    # --- what is logged --------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add one row; a missing *step* is 0. Characters that MLflow refuses are left out of names.

        Raises:
            ConfigurationError: If a value is not a number.
        """
        if rank() != 0:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        row = prefixed(metrics, self._prefix).items()
        self._send("metrics", [Metric(_allowed(name), number(name, value), now, step or 0) for name, value in row])

    def log_hyperparams(self, params: Mapping[str, Any] | Namespace | None = None, *args: Any, **kwargs: Any) -> None:
        """Record parameters as text, nested ones under ``outer/inner``; the first value of each name stays."""
        if rank() != 0:
            return
        from mlflow.entities import Param

        _ = self.experiment  # a run that is continued brings its own
        new = {}
        for name, value in flat_params(plain_params(params)).items():
            key, text = _allowed(name), str(value)[:_LONGEST_VALUE]
            if key not in self._params:
                new[key] = text
            elif self._params[key] != text:
                warn_once(
                    f"the hyper-parameter {name!r} is now {text!r}, but the MLflow run {self._run_id} has recorded "
                    f"{self._params[key]!r}, and MLflow never changes a parameter: it stays. Start a new run to record "
                    "the new value."
                )
        self._params |= new
        self._send("params", [Param(key, text) for key, text in new.items()])

    def _send(self, kind: str, items: list[Any]) -> None:
        client: Any = self.experiment
        for start in range(0, len(items), _MOST[kind]):
            part = {kind: items[start : start + _MOST[kind]]}
            sent = client.log_batch(run_id=self._run_id, **part, **self._how)
            if sent is not None:
                self._under_way.append(sent)

    # --- checkpoints -----------------------------------------------------------------------

    def after_save_checkpoint(self, checkpoint_callback: Checkpoint) -> None:
        """Upload what was written, now or at the end, as ``log_model`` says."""
        if rank() == 0:
            self._upload(self._uploads.due(checkpoint_callback))

    def _upload(self, checkpoints: Iterable[tuple[Checkpoint, SavedCheckpoint]]) -> None:
        for callback, saved in checkpoints:
            client: Any = self.experiment
            log_checkpoint(client, str(self._run_id), callback, saved, self._checkpoint_path_prefix)


def _allowed(name: str) -> str:
    """Return *name* without the characters that MLflow refuses."""
    kept = re.sub(r"[^a-zA-Z0-9_/. -]+", "", name)
    if kept != name:
        warn_once(f"MLflow takes letters, digits and '_', '/', '.', '-', ' ' in names: {name!r} is logged as {kept!r}.")
    return kept
