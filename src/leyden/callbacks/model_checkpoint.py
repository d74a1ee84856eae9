"""Save checkpoints while a model is trained, and keep the best of them.

    trigger ─► decide ─► name ─► update own state ─► write ─► link ─► delete what fell out
    (checkpoint_triggers)   (checkpoint_folder)

The own state comes before the write on purpose: it is part of the file, so that a run
resumed from that file decides as the uninterrupted one did. Deleting comes last: at no
moment is there less on disk than was promised.

For the same reason a file holds what is still to be done once it is written (`Rest`): whoever
is killed before that is done does it on going on, in `catch_up`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from leyden.callbacks import checkpoint_files as files
from leyden.callbacks.agreement import all_ranks
from leyden.callbacks.checkpoint_folder import CheckpointFolder
from leyden.callbacks.checkpoint_triggers import Triggers
from leyden.callbacks.epoch_ends import at_train_epoch_end, validation_follows
from leyden.errors import ConfigurationError
from leyden.paths import lies_in, relocated
from leyden.warnings import log, warn_once

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.progress import Place
    from leyden.trainer import Trainer


@dataclass
class Rest:
    """What is to be done once a checkpoint is written.

    Attributes:
        last: Whether ``last.ckpt`` is to be renewed.
        delete: What has lost its place.
    """

    last: bool = False
    delete: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> Rest:
        """Return what `state_dict` returned; nothing for a file from before there was such a state."""
        return cls(bool(state["last"]), list(state["delete"])) if state else cls()

    def state_dict(self) -> dict[str, Any]:
        """Return plain types."""
        return {"last": self.last, "delete": list(self.delete)}


_ALWAYS_KNOWN = frozenset(("epoch", "step"))
_RESTORED = ("best_model_score", "kth_best_model_path", "kth_value", "best_k_models", "last_model_path")


class ModelCheckpoint(CheckpointFolder):
    """Save the model every so often; keep the newest, the best few, or all.

    At most one of the three triggers may be given; none means once per epoch, at the end
    of the training epoch if validation runs once per epoch (or never), else after each
    validation. Where logged values rank or name the files, and a validation follows the
    batch that a save falls on, the save is made after it: its values are those of this
    step. Nothing is saved twice at one number of optimizer steps, and nothing at
    all during a sanity check or under ``fast_dev_run``.

    Args:
        dirpath: Folder on a local disk; default beside the first logger's files, else
            ``<default_root_dir>/checkpoints``.
        filename: Name with fields, e.g. ``mnist-{epoch:02d}-{val_loss:.2f}``, which gives
            ``mnist-epoch=02-val_loss=0.32.ckpt``; default ``{epoch}-{step}``.
        monitor: Logged key that ranks the checkpoints, or ``"step"`` or ``"epoch"``; None ranks by age.
        verbose: Whether each decision goes to the log.
        save_last: Also keep ``last.ckpt``, written whenever a checkpoint is: True for a
            full file, ``"link"`` for a relative symbolic link.
        save_top_k: How many to keep: the k best, -1 for all, 0 for none.
        save_on_exception: Whether to save when the run is stopped by an exception.
        save_weights_only: Whether to leave out everything that only a resumed run needs.
        mode: ``"min"`` or ``"max"``: whether a smaller or a larger value is better.
        auto_insert_metric_name: Whether values in names are preceded by ``<name>=``.
        every_n_train_steps: Save every so many optimizer steps; where a batch makes several, after the batch in
            which so many have been made.
        train_time_interval: Save each time so much time has passed.
        every_n_epochs: Save every so many epochs.
        save_on_train_epoch_end: Overrides where epoch checkpoints are saved (see above).
        enable_version_counter: Whether a name that is taken gets ``-v1``, ``-v2`` ...
            appended instead of being overwritten.

    Attributes:
        best_model_path: Best checkpoint, or the newest without a monitor.
        best_model_score: Its score, a scalar tensor on the CPU.
        best_k_models: Scores of the checkpoints kept, by path.
        kth_best_model_path: The worst of those kept, the next one to go.
        kth_value: Its score.
        last_model_path: Path of ``last.ckpt``.
        current_score: Score of the checkpoint saved most recently.

    Raises:
        ConfigurationError: If the arguments contradict each other.
    """

    def __init__(
        self,
        dirpath: str | os.PathLike[str] | None = None,
        filename: str | None = None,
        monitor: str | None = None,
        verbose: bool = False,
        save_last: bool | Literal["link"] | None = None,
        save_top_k: int = 1,
        save_on_exception: bool = False,
        save_weights_only: bool = False,
        mode: str = "min",
        auto_insert_metric_name: bool = True,
        every_n_train_steps: int | None = None,
        train_time_interval: timedelta | None = None,
        every_n_epochs: int | None = None,
        save_on_train_epoch_end: bool | None = None,
        enable_version_counter: bool = True,
    ) -> None:
        super().__init__(dirpath, filename, save_weights_only, auto_insert_metric_name, enable_version_counter)
        _check_options(monitor, save_top_k, mode)
        self.monitor = monitor
        self.verbose = verbose
        self.save_last = save_last
        self.save_top_k = save_top_k
        self.save_on_exception = save_on_exception
        self.mode = mode
        self._triggers = Triggers.from_options(every_n_train_steps, every_n_epochs, train_time_interval)
        self._save_on_train_epoch_end = save_on_train_epoch_end

        self.best_model_path = ""
        self.best_model_score: Tensor | None = None
        self.best_k_models: dict[str, Tensor] = {}
        self.kth_best_model_path = ""
        self.kth_value: Tensor = files.worst_score(mode)
        self.last_model_path = ""
        self.current_score: Tensor | None = None
        self._resumed_from: str | None = None
        self._of_this_run = False
        self._deferred = False  # a step or time trigger waits for the next validation
        self._validated_at: int | None = None  # step of the latest validation that has logged the monitored key
        self._validated = False
        self._rest = Rest()
        self._same_ranking = True
        self._saved_since = False  # whether anything was saved since training began, or went on

    @property
    def every_n_epochs(self) -> int:
        """Number of epochs between two checkpoints; 0 if another trigger is in use."""
        return self._triggers.epochs

    # --- state -----------------------------------------------------------------------------

    @property
    def state_key(self) -> str:
        """Key in a checkpoint: several callbacks may differ in what they monitor and when they save."""
        return self._generate_state_key(
            monitor=self.monitor,
            mode=self.mode,
            every_n_train_steps=self._triggers.steps,
            every_n_epochs=self._triggers.epochs,
            train_time_interval=self._triggers.interval,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return Lightning's nine entries, five that make the next decision the same, and what is left to do."""
        return {
            "monitor": self.monitor,
            "best_model_score": self.best_model_score,
            "best_model_path": self.best_model_path,
            "current_score": self.current_score,
            "dirpath": self.dirpath,
            "best_k_models": dict(self.best_k_models),
            "kth_best_model_path": self.kth_best_model_path,
            "kth_value": self.kth_value,
            "last_model_path": self.last_model_path,
            "last_global_step_saved": self._last_global_step_saved,
            "last_checkpoint_saved": self._last_checkpoint_saved,
            "deferred": self._deferred,
            "steps_seen": self._triggers.seen,
            "validated_at": self._validated_at,
            "rest": self._rest.state_dict(),
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remember which file the state comes from: it tells whether the folder was moved."""
        self._resumed_from = trainer.ckpt_path
        self._of_this_run = _chosen_by_the_run(trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back everything if the folder is still the same or was moved.

        Else it is only `best_model_path`, and whether a save waits for the next validation; of a state that ranks by
        another value, it is only what is known of ``last.ckpt``.
        """
        saved_in = state_dict.get("dirpath", self.dirpath)
        if lies_in(self._resumed_from, self.dirpath) and saved_in != self.dirpath:
            state_dict = relocated(state_dict, str(saved_in), str(self.dirpath))
            saved_in = self.dirpath
        self.best_model_path = state_dict["best_model_path"]
        self._deferred = state_dict.get("deferred", False)
        self._triggers.seen = state_dict.get("steps_seen")
        self._validated_at = state_dict.get("validated_at")
        if saved_in != self.dirpath:
            warn_once(
                f"The folder of checkpoints has changed from {saved_in!r} to {self.dirpath!r}: of the state of "
                "ModelCheckpoint only best_model_path is restored, and files in the old folder are left alone."
            )
            return
        for name in _RESTORED if self._same_ranking else ("last_model_path",):
            setattr(self, name, state_dict.get(name, getattr(self, name)))
        self.best_k_models = dict(self.best_k_models)
        if self._same_ranking:
            self.current_score = state_dict.get("current_score")
        else:
            self.best_model_path, self._validated_at = "", None
        self._last_global_step_saved = state_dict.get("last_global_step_saved", 0)
        self._last_checkpoint_saved = state_dict.get("last_checkpoint_saved", "")
        self._rest = Rest.of(state_dict.get("rest")) if self._of_this_run else Rest()
        self._make_room()

    def _adopts(self, states: Mapping[str, Any]) -> str | None:
        """Go on from the state of one that saved at other times, or ranked by another value."""
        own = type(self).__qualname__
        found = [key for key in states if key.partition("{")[0] == own and isinstance(states[key], Mapping)]
        return next((key for key in found if self._ranks_like(key)), found[0] if len(found) == 1 else None)

    def _ranks_like(self, key: str) -> bool:
        """Whether *key* is that of a callback with the same monitor and mode."""
        return key.startswith(self._generate_state_key(monitor=self.monitor, mode=self.mode).removesuffix("}"))

    def _under_these_settings(self, key: str, state_dict: Mapping[str, Any]) -> list[str]:
        """Tell what becomes of the files that were kept."""
        self._same_ranking = self._ranks_like(key)
        name, count = type(self).__name__, len(state_dict.get("best_k_models", {}))
        if not self._same_ranking:
            rank = f"{name} now ranks by monitor={self.monitor!r}, mode={self.mode!r}"
            return [f"{rank}: {count} files of the ranking before are left alone"]
        told = []
        if key != self.state_key:
            told.append(f"{name} goes on with the ranking of {key}, and saves when it is told to now")
        if self.save_top_k == 0 and count:
            told.append(f"{name}(save_top_k=0) keeps no more files, and leaves {count} of the checkpoint's alone")
        elif 0 < self.save_top_k < count:
            told.append(
                f"{name}(save_top_k={self.save_top_k}): {count - self.save_top_k} of {count} files lose their place"
            )
        return told

    # --- hooks -----------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Settle the folder, and say so if files of another run lie there."""
        super().setup(trainer, pl_module, stage)
        fresh = stage == "fit" and not trainer.fast_dev_run and trainer.ckpt_path is None
        if fresh and self.save_top_k != 0 and self.dirpath and any(Path(self.dirpath).glob("*")):
            warn_once(f"Checkpoint directory {self.dirpath} exists and is not empty.")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of `train_time_interval`."""
        self._triggers.start_clock()
        self._validated = self._saved_since = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if a step or time trigger fires; wait for a validation that has to come first."""
        if not self._triggers.within_epoch or self._idle(trainer) or not self._triggers.due_at_step(trainer):
            return
        if self._waits(trainer):
            self._deferred = True
            return
        self._save(trainer, ranked=True, last=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what waited for this validation, or the epoch's checkpoint if this is the place for it."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._validated = True
        if any(self.monitor in each.names(per_step=False) for each in trainer._metrics.evaluation.entries.values()):
            self._validated_at = trainer.global_step
        if self._idle(trainer):
            return
        if self._deferred:
            self._deferred = False
            self._save(trainer, ranked=True, last=True)
        elif not at_train_epoch_end(trainer, self._save_on_train_epoch_end):
            self._save_epoch(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch's checkpoint if this is the place for it."""
        if not self._idle(trainer) and at_train_epoch_end(trainer, self._save_on_train_epoch_end):
            self._save_epoch(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what waited for a validation that did not come; with `save_last`, leave a file in any case."""
        if self._deferred and not self._idle(trainer):
            self._deferred = False
            self._save(trainer, ranked=True, last=True)
        if self.save_last and not self._last_checkpoint_saved and not trainer.fast_dev_run:
            self._save(trainer, ranked=False, last=True)
        rest, self._rest, self._saved_since = self._rest, Rest(), True
        self._delete_outdated(trainer, rest.delete)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """With `save_on_exception`, save what there is; the name is not counted up."""
        if not self.save_on_exception or self._idle(trainer):
            return
        metrics = self._metrics(trainer)
        path = self.format_checkpoint_name(metrics)
        outdated = self._name_last(trainer, metrics, path) if self.save_last else ""
        if trainer.identity is not None:  # a run that ends well after all does not keep it
            self._rest = Rest(delete=[path])
        self._write(trainer, path)
        self._renew_last(trainer, outdated)
        log.info("%s was raised; saved a checkpoint to %s", type(exception).__name__, path)

    def _idle(self, trainer: Trainer) -> bool:
        """Whether nothing may be saved now."""
        return (
            bool(trainer.fast_dev_run)
            or trainer.state.fn != "fit"
            or trainer.sanity_checking
            or self._last_global_step_saved == trainer.global_step
        )

    def catch_up(self, trainer: Trainer, pl_module: LightningModule, place: Place) -> None:
        """Do what a killed attempt had still to do, once all of its state is back.

        The hook within which the checkpoint was written is called again: a callback that had its turn already has
        saved at this step, and saves no second time.
        """
        self._finish(trainer, Rest(last=self._rest.last and bool(self.last_model_path), delete=self._rest.delete))
        if place == "TRAINED":
            ModelCheckpoint.on_train_batch_end(self, trainer, pl_module, None, None, trainer.fit_loop.batch_idx)
        elif place == "VALIDATED":
            ModelCheckpoint.on_validation_end(self, trainer, pl_module)
        elif place == "EPOCH_ENDED":
            ModelCheckpoint.on_train_epoch_end(self, trainer, pl_module)

    def _finish(self, trainer: Trainer, rest: Rest, outdated: str = "") -> None:
        """Do what is left of a decision to save; what is written meanwhile says what will still be left then.

        Args:
            trainer: The trainer.
            rest: What is left.
            outdated: The name that ``last.ckpt`` had before.
        """
        self._rest = left = Rest(delete=rest.delete)
        if rest.last:
            self._renew_last(trainer, outdated)
        kept = self._delete_outdated(trainer, rest.delete)

        def settled() -> None:
            if self._rest is left:
                self._rest = Rest(delete=kept)

        trainer.once_saved(settled)

    def _delete_outdated(self, trainer: Trainer, paths: list[str]) -> list[str]:
        """Delete what has lost its place; returns what stays, as nothing newer than what this attempt goes on from."""
        kept = [path for path in paths if path == trainer.ckpt_path and not self._saved_since]
        for path in paths:
            if path not in kept:
                self._delete(trainer, path, *self._promised())
        return kept

    # --- deciding --------------------------------------------------------------------------

    def _waits(self, trainer: Trainer) -> bool:
        """Whether what ranks or names the file is about to be logged: by the validation that follows, or the first."""
        read = {self.monitor} if self.monitor is not None else set()
        if not (read | files.fields(self.filename or "")) - _ALWAYS_KNOWN:
            return False
        return validation_follows(trainer) or bool(
            trainer.validation_to_come and read - _ALWAYS_KNOWN - trainer.callback_metrics.keys()
        )

    def _save_epoch(self, trainer: Trainer) -> None:
        due = self._triggers.due_at_epoch(trainer.current_epoch)
        relink = self.save_last == "link" and bool(self._last_checkpoint_saved)
        if due or relink:
            self._save(trainer, ranked=due, last=relink)

    def _save(self, trainer: Trainer, *, ranked: bool, last: bool) -> None:
        """Carry out one decision to save.

        Args:
            trainer: The trainer.
            ranked: Whether the model competes for a place among the `save_top_k`.
            last: Whether ``last.ckpt`` is renewed even if the model wins no place.
        """
        if ranked:  # a name is free, and the state for loggers to see, when the file before is there
            trainer.finish_saving()
        metrics = self._metrics(trainer)
        path, dropped = self._admit(trainer, metrics) if ranked and self.save_top_k != 0 else ("", "")
        renew = bool(self.save_last and (path or last))
        outdated = self._name_last(trainer, metrics, path) if renew else ""
        out = [each for each in (*self._rest.delete, outdated, dropped) if each]
        out = [each for each in dict.fromkeys(out) if each not in (path, self.last_model_path)]
        try:
            if path:
                self._rest = Rest(last=renew, delete=out)
                self._write(trainer, path)
            self._saved_since = self._saved_since or bool(path or renew)
            self._finish(trainer, Rest(last=renew, delete=out), outdated)
        except BaseException:
            self._rest = Rest()
            raise

    def _promised(self) -> list[str]:
        """Return the files that are to be there by the state of this callback."""
        return [path for path in (*self.best_k_models, self.best_model_path, self.last_model_path) if path]

    def _make_room(self) -> None:
        """Give up the worst checkpoints where fewer are to be kept than before."""
        while 0 < self.save_top_k < len(self.best_k_models):
            worst = files.worst_of(self.best_k_models, self.mode)
            self.best_k_models.pop(worst)
            self._rest.delete.append(worst)
        if self.best_k_models and self.save_top_k > 0:
            self.kth_best_model_path = files.worst_of(self.best_k_models, self.mode)
            self.kth_value = self.best_k_models[self.kth_best_model_path]

    def _name_last(self, trainer: Trainer, metrics: Mapping[str, Tensor], planned: str) -> str:
        """Settle `last_model_path`; returns the path it had before."""
        previous = self.last_model_path
        self.last_model_path = self._free_name(
            trainer, metrics, self.CHECKPOINT_NAME_LAST, replaces=previous, planned=planned
        )
        return previous

    def _renew_last(self, trainer: Trainer, outdated: str) -> None:
        """Write or link the file at `last_model_path`, then delete *outdated*, its predecessor."""
        if not self.save_last:
            return
        if self.save_last == "link" and self._last_checkpoint_saved and self.save_top_k != 0:
            self._link(trainer, self._last_checkpoint_saved, self.last_model_path)
        else:
            self._write(trainer, self.last_model_path)
        self._delete(trainer, outdated, self.last_model_path)

    def _admit(self, trainer: Trainer, metrics: Mapping[str, Tensor]) -> tuple[str, str]:
        """Give the model a place if it deserves one; returns the new path and the one that lost its place."""
        if self.monitor is None:
            previous = self.best_model_path
            self.best_model_path = self._free_name(trainer, metrics, None, replaces=previous)
            return self.best_model_path, previous if self.save_top_k == 1 else ""
        current = self._monitored(metrics)
        if self._validated_at not in (None, trainer.global_step):
            warn_once(
                f"ModelCheckpoint(monitor={self.monitor!r}) also saves at steps at which no validation runs: those "
                "files are ranked by the latest validation before them. To rank every file by its own, save only where "
                "validations run: choose every_n_train_steps and val_check_interval so, or leave it to "
                "every_n_epochs=1, which saves after every validation."
            )
        if current is None or not self.check_monitor_top_k(trainer, current):
            self._report(metrics, f"was not in top {self.save_top_k}")
            return "", ""
        return self._rank(trainer, metrics, current)

    def _monitored(self, metrics: Mapping[str, Tensor]) -> Tensor | None:
        """Return the monitored value; its absence is an error once a validation could have logged it."""
        value = metrics.get(self.monitor or "")
        if value is not None:
            return value
        message = (
            f"ModelCheckpoint(monitor={self.monitor!r}) did not find that key among the logged metrics.\n"
            f"  logged so far: {sorted(metrics)}\n"
            f"  Log it with self.log({self.monitor!r}, value) in the module, or monitor one of the above."
        )
        if self._validated:
            raise ConfigurationError(message)
        warn_once(message)
        return None

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether a model with the score *current* has a place among the `save_top_k`; all ranks must agree."""
        if current is None:
            return False
        if self.save_top_k == -1 or len(self.best_k_models) < self.save_top_k:
            return True
        better = files.beats(current, self.best_k_models[self.kth_best_model_path], self.mode)
        return all_ranks(trainer.strategy, better)

    def _rank(self, trainer: Trainer, metrics: Mapping[str, Tensor], current: Tensor) -> tuple[str, str]:
        """Enter the model into the ranking, in the place of the worst if it is full."""
        dropped = ""
        if len(self.best_k_models) == self.save_top_k:
            dropped = self.kth_best_model_path
            self.best_k_models.pop(dropped)
        path = self._free_name(trainer, metrics, None, replaces=dropped)
        self.current_score = files.worst_score(self.mode) if torch.isnan(current) else current
        self.best_k_models[path] = self.current_score
        if self.save_top_k == -1 or len(self.best_k_models) == self.save_top_k:
            self.kth_best_model_path = files.worst_of(self.best_k_models, self.mode)
            self.kth_value = self.best_k_models[self.kth_best_model_path]
        self.best_model_path = files.best_of(self.best_k_models, self.mode)
        self.best_model_score = self.best_k_models[self.best_model_path]
        self._report(metrics, f"reached {self.current_score:0.5f} (best {self.best_model_score:0.5f}), saving {path!r}")
        return path, dropped

    def _metrics(self, trainer: Trainer) -> dict[str, Tensor]:
        """Copy the logged values to the CPU and add `epoch` and `step`."""
        metrics = {name: torch.as_tensor(value).detach().cpu() for name, value in trainer.callback_metrics.items()}
        for name, value in (("epoch", trainer.current_epoch), ("step", trainer.global_step)):
            metrics[name] = metrics[name].int() if name in metrics else torch.tensor(value)
        return metrics

    def _report(self, metrics: Mapping[str, Tensor], what: str) -> None:
        if self.verbose:
            log.info("epoch %d, global step %d: %r %s", metrics["epoch"], metrics["step"], self.monitor, what)


def _chosen_by_the_run(trainer: Trainer) -> bool:
    """Whether a run has chosen by itself the checkpoint it goes on from."""
    return trainer.identity is not None and trainer.identity.resumed in (trainer.ckpt_path, None)


def _check_options(monitor: str | None, save_top_k: int, mode: str) -> None:
    """Refuse arguments that cannot be meant."""
    if mode not in ("min", "max"):
        raise ConfigurationError(f"ModelCheckpoint(mode={mode!r}) is unknown. Expected 'min' or 'max'.")
    if save_top_k < -1:
        raise ConfigurationError(f"ModelCheckpoint(save_top_k={save_top_k}) must be -1 (all), 0 (none) or more.")
    if monitor is None and save_top_k > 1:
        raise ConfigurationError(
            f"ModelCheckpoint(save_top_k={save_top_k}, monitor=None) has nothing to rank the checkpoints by.\n"
            "  Give monitor='<a logged key>', or keep the newest (save_top_k=1) or all (save_top_k=-1)."
        )
