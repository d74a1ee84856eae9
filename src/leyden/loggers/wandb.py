"""Metrics, media and checkpoints in Weights & Biases, online or offline."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from leyden.errors import ConfigurationError
from leyden.logger import Logger
from leyden.loggers.dummy import DummyExperiment
from leyden.loggers.hparams import plain_params
from leyden.loggers.row import prefixed
from leyden.loggers.saved_checkpoints import Uploads, upload
from leyden.loggers.wandb_run import STEP, WandbRun
from leyden.warnings import rank

if TYPE_CHECKING:
    from torch import nn
    from wandb import Artifact, Run

    from leyden.callback import Checkpoint
    from leyden.loggers.saved_checkpoints import SavedCheckpoint


class WandbLogger(Logger):
    """Log to one W&B run.

    A run that is already open in this process (``wandb.init()`` was called before) is used
    as it is, with a warning, and never finished; so is one handed over as *experiment*.
    A run restored from a checkpoint goes on under its id; offline this makes a second
    folder, which ``wandb sync --append`` adds to the same run.

    Args:
        name: Name shown for the run; W&B invents one if None.
        save_dir: Where the folder ``wandb`` goes; None means the environment variable
            WANDB_DIR, else the trainer's ``default_root_dir``.
        version: Id of the run; a run of this id is continued.
        offline: Write to disk only; ``wandb sync`` uploads later.
        dir: The same as *save_dir*.
        id: The same as *version*.
        anonymous: Allow logging without an account, where W&B still offers it.
        project: Project of the run; None means the environment variable WANDB_PROJECT,
            else ``lightning_logs``.
        log_model: True uploads checkpoints at the end, and during the run if all of them
            are kept (``save_top_k=-1``); ``"all"`` uploads each as it is written.
        experiment: A run opened by the caller.
        prefix: Put before every name, joined by ``-``.
        checkpoint_name: Name of the artifact with the checkpoints; default ``model-<run id>``.
        add_file_policy: ``"mutable"`` copies a checkpoint before uploading it,
            ``"immutable"`` trusts that it does not change.
        **kwargs: Further arguments of `wandb.init`, such as ``entity``, ``group``, ``tags``.

    Raises:
        ConfigurationError: If checkpoints are to be uploaded, but offline is set.
    """

    def __init__(
        self,
        name: str | None = None,
        save_dir: str | os.PathLike[str] | None = None,
        version: str | None = None,
        offline: bool = False,
        dir: str | os.PathLike[str] | None = None,
        id: str | None = None,
        anonymous: bool | None = None,
        project: str | None = None,
        log_model: Literal["all"] | bool = False,
        experiment: Run | None = None,
        prefix: str = "",
        checkpoint_name: str | None = None,
        add_file_policy: Literal["mutable", "immutable"] = "mutable",
        **kwargs: Any,
    ) -> None:
        if offline and log_model:
            raise ConfigurationError(
                f"WandbLogger was given log_model={log_model!r} together with offline=True. Checkpoints are uploaded "
                "to a server, and offline there is none. Set one of them to False."
            )
        folder = save_dir or dir
        options: dict[str, Any] = {
            "name": name,
            "project": project or os.environ.get("WANDB_PROJECT", "lightning_logs"),
            "dir": None if folder is None else os.fspath(folder),
            "id": version or id,
            "resume": "allow",
        }
        options |= ({"mode": "offline"} if offline else {}) | ({"anonymous": "allow"} if anonymous else {}) | kwargs
        self._run = WandbRun(options, experiment)
        self._prefix = prefix
        self._checkpoint_name = checkpoint_name
        self._add_file_policy = add_file_policy
        self._uploads = Uploads(log_model)

    def check(self) -> None:
        """Find out whether there is an account to log to; a person at a terminal is asked for one when the run begins.

        Raises:
            ConfigurationError: If there is none.
        """
        self._run.check()

    # --- the run ---------------------------------------------------------------------------

    @property
    def experiment(self) -> Run | DummyExperiment:
        """The W&B run, opened now if need be; a do-nothing object on ranks other than 0."""
        return self._run.get() if rank() == 0 else DummyExperiment()

    def finalize(self, status: str) -> None:
        """Upload checkpoints after a success; finish the run after a failure."""
        if rank() != 0 or not self._run.is_open:
            return
        if status != "success":
            self.close(exit_code=1)
            return
        self._upload(self._uploads.rest())
        self._run.rest()

    def close(self, exit_code: int = 0) -> None:
        """Finish the run, if this logger opened it; logging again continues the same run.

        Args:
            exit_code: Anything but 0 marks the run as failed.
        """
        self._run.close(exit_code)

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"id": run id}`` once there is one."""
        return {} if self.version is None else {"id": self.version}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the run of the state, unless an id was chosen or a run is open already."""
        if "id" in state_dict and rank() == 0:
            self._run.resume(state_dict["id"])

    # --- where it is -----------------------------------------------------------------------

    def attach(self, default_root_dir: str) -> None:
        """Use WANDB_DIR or the trainer's folder, unless one was given."""
        if self._run.options["dir"] is None:
            self._run.options["dir"] = os.environ.get("WANDB_DIR") or os.fspath(default_root_dir)

    @property
    def save_dir(self) -> str | None:
        """Folder in which W&B keeps its own folder ``wandb``."""
        folder: str | None = self._run.options["dir"]
        return folder

    @property
    def name(self) -> str | None:
        """Name of the project; the run's own name is ``logger.experiment.name``."""
        project: str | None = self._run.options["project"]
        return project

    @property
    def version(self) -> str | None:
        """Id of the run: of the open one, or the one it will be opened under, if known."""
        return self._run.id

    # --- what is logged --------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Send one row of numbers, tables or media, with the field ``trainer/global_step``."""
        row = prefixed(metrics, self._prefix)
        if step is not None and not self._run.follows_tensorboard:
            row[STEP] = step
        self.experiment.log(row)

    def log_hyperparams(self, params: Mapping[str, Any] | Namespace | None = None, *args: Any, **kwargs: Any) -> None:
        """Add to the run's config; live objects become text."""
        self.experiment.config.update(plain_params(params), allow_val_change=True)

    def watch(
        self,
        model: nn.Module,
        log: Literal["gradients", "parameters", "all"] | None = "gradients",
        log_freq: int = 100,
        log_graph: bool = True,
    ) -> None:
        """Record histograms of gradients and parameters every *log_freq* batches."""
        self.experiment.watch(model, log=log, log_freq=log_freq, log_graph=log_graph)

    def unwatch(self, model: nn.Module) -> None:
        """Remove what `watch` added."""
        self.experiment.unwatch(model)

    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table, given as columns and rows or as a pandas frame; cells may be media."""
        if rank() == 0:
            import wandb

            names: list[str | int] | None = None if columns is None else [*columns]
            self.log_metrics({key: wandb.Table(columns=names, data=data, dataframe=dataframe)}, step)

    def log_text(
        self,
        key: str,
        columns: list[str] | None = None,
        data: list[list[str]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log texts as a table."""
        self.log_table(key, columns, data, dataframe, step)

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Sequence[Any]) -> None:
        """Log images: tensors ``(C, H, W)``, arrays ``(H, W, C)``, PIL images or paths.

        Args:
            key: Name of the panel.
            images: The images.
            step: Position on the step axis.
            **kwargs: One list per argument of `wandb.Image` (``caption``, ``masks`` ...), with
                one entry per image.
        """
        self._log_media("Image", key, images, step, kwargs)

    def log_audio(self, key: str, audios: list[Any], step: int | None = None, **kwargs: Sequence[Any]) -> None:
        """Log sounds: arrays or paths; *kwargs* as in `log_image`, for `wandb.Audio`."""
        self._log_media("Audio", key, audios, step, kwargs)

    def log_video(self, key: str, videos: list[Any], step: int | None = None, **kwargs: Sequence[Any]) -> None:
        """Log videos: arrays ``(T, C, H, W)`` or paths; *kwargs* as in `log_image`, for `wandb.Video`."""
        self._log_media("Video", key, videos, step, kwargs)

    def _log_media(
        self, kind: str, key: str, items: list[Any], step: int | None, options: Mapping[str, Sequence[Any]]
    ) -> None:
        if not isinstance(items, list):
            raise TypeError(
                f"{key!r} must be logged as a list, one entry per {kind.lower()}; got {type(items).__name__}."
            )
        for option, values in options.items():
            if len(values) != len(items):
                raise ValueError(
                    f"{key!r} has {len(items)} entries, but {option!r} has {len(values)}: give one for each."
                )
        if rank() != 0:
            return
        import wandb

        build: Callable[..., Any] = {"Image": wandb.Image, "Audio": wandb.Audio, "Video": wandb.Video}[kind]
        media = [build(item, **{name: options[name][i] for name in options}) for i, item in enumerate(items)]
        self.log_metrics({key: media}, step)

    # --- artifacts -------------------------------------------------------------------------

    def after_save_checkpoint(self, checkpoint_callback: Checkpoint) -> None:
        """Upload what was written, now or at the end, as ``log_model`` says."""
        if rank() == 0:
            self._upload(self._uploads.due(checkpoint_callback))

    def _upload(self, checkpoints: Iterable[tuple[Checkpoint, SavedCheckpoint]]) -> None:
        for callback, saved in checkpoints:
            run: Any = self.experiment
            upload(run, self._checkpoint_name or f"model-{run.id}", callback, saved, self._add_file_policy)

    def use_artifact(self, artifact: str, artifact_type: str | None = None) -> Artifact:
        """Record that the run uses an artifact, and return it.

        Args:
            artifact: ``entity/project/name:version``, where version may be an alias.
            artifact_type: Its type, checked by W&B if given.
        """
        used: Any = self.experiment.use_artifact(artifact, type=artifact_type)
        return used  # type: ignore[no-any-return]

    @staticmethod
    def download_artifact(
        artifact: str,
        save_dir: str | os.PathLike[str] | None = None,
        artifact_type: str | None = None,
        use_artifact: bool | None = True,
    ) -> str:
        """Download an artifact and return the folder it is in; needs no run.

        Args:
            artifact: ``entity/project/name:version``, where version may be an alias.
            save_dir: Where to put it; None means W&B's ``artifacts`` folder.
            artifact_type: Its type, checked by W&B if given.
            use_artifact: Record in the open run, if there is one, that it uses the artifact.
        """
        import wandb

        if wandb.run is not None and use_artifact:
            found = wandb.run.use_artifact(artifact, type=artifact_type)
        else:
            found = wandb.Api().artifact(artifact, type=artifact_type)
        return str(found.download(root=None if save_dir is None else os.fspath(save_dir)))
