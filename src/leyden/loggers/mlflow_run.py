"""How an MLflow run is opened, and how a checkpoint becomes an artifact of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leyden.errors import ConfigurationError
from leyden.loggers.saved_checkpoints import SavedCheckpoint, description

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

    from leyden.callback import Checkpoint


def open_run(
    tracking_uri: str,
    run_id: str | None,
    experiment_name: str,
    artifact_location: str | None,
    run_name: str | None,
    tags: dict[str, Any],
) -> tuple[MlflowClient, Run]:
    """Continue the run *run_id*, or begin one; ``mlflow.log_...`` in user code goes to the same place.

    Raises:
        ConfigurationError: If MLflow refuses the place, or the experiment was deleted.
    """
    import mlflow
    from mlflow.tracking import MlflowClient
    from mlflow.tracking.context.registry import resolve_tags

    _check_store(tracking_uri)
    inherited = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri)
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # it was set as well, and would decide for the next logger, too
    if inherited is not None:
        os.environ["MLFLOW_TRACKING_URI"] = inherited
    client = MlflowClient(tracking_uri)
    if run_id is not None:
        client.update_run(run_id, status="RUNNING")
        return client, client.get_run(run_id)
    experiment = _experiment(client, experiment_name, artifact_location)
    named = tags if run_name is None else tags | {"mlflow.runName": run_name}
    return client, client.create_run(experiment, tags=resolve_tags(named))


def _experiment(client: MlflowClient, name: str, artifact_location: str | None) -> str:
    """Return the id of the experiment *name*, which is made if there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        made: str = client.create_experiment(name, artifact_location=artifact_location)
        return made
    if found.lifecycle_stage == "deleted":
        raise ConfigurationError(
            f"MLFlowLogger(experiment_name={name!r}): MLflow has an experiment of that name, but it was deleted. "
            f"Choose another name, or bring it back with mlflow experiments restore --experiment-id "
            f"{found.experiment_id}."
        )
    kept: str = found.experiment_id
    return kept


def _check_store(tracking_uri: str) -> None:
    """Refuse what this version of MLflow refuses, but say what can be done in terms of the logger."""
    from mlflow import environment_variables

    allowed = getattr(environment_variables, "MLFLOW_ALLOW_FILE_STORE", None)  # older versions always allow it
    if allowed is None or allowed.get() or not tracking_uri.startswith("file:"):
        return
    raise ConfigurationError(
        f"MLFlowLogger would write to {tracking_uri!r}, a folder, but this version of MLflow "
        "keeps new records in a database or on a server. Pass tracking_uri='sqlite:///mlflow.db', or the "
        "address of a server; or set the environment variable MLFLOW_ALLOW_FILE_STORE=true to go on with a folder."
    )


def log_checkpoint(
    client: MlflowClient, run_id: str, callback: Checkpoint, saved: SavedCheckpoint, prefix: str
) -> None:
    """Upload a checkpoint with two small files beside it: ``metadata.yaml`` and ``aliases.txt``.

    Args:
        client: Connection to MLflow.
        run_id: Run the artifact belongs to.
        callback: What has written the checkpoint.
        saved: The checkpoint.
        prefix: Folder among the artifacts of the run; empty for none.
    """
    import yaml

    folder = Path(prefix, Path(saved.path).stem).as_posix()
    if os.path.isdir(saved.path):
        client.log_artifacts(run_id, saved.path, f"{folder}/{Path(saved.path).name}")
    else:
        client.log_artifact(run_id, saved.path, folder)
    aliases = ["latest", "best"] if saved.best else ["latest"]
    with tempfile.TemporaryDirectory() as beside:
        Path(beside, "metadata.yaml").write_text(yaml.safe_dump(description(callback, saved)), encoding="utf-8")
        Path(beside, "aliases.txt").write_text(str(aliases), encoding="utf-8")
        client.log_artifacts(run_id, beside, folder)
