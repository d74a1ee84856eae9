"""What a run came to, in a few hashes: ``fingerprint.json``, and ``losses.f64`` beside it.

    initial_weights   before the first step of the first attempt
    losses            of every micro-batch, see `leyden.runs.loss_trace`
    logged            every row that the loggers were sent
    final_weights     when training is over, before the best checkpoint is loaded for the test
    final_metrics     exact values, and which of them were evaluated: those no number of ranks changes
    complete          whether the run is finished

A run that was killed and resumed ends with the fingerprint of one that nobody disturbed:
what the hashes cover travels in its checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from leyden import atomic
from leyden.callback import Callback
from leyden.runs import digest
from leyden.runs.loss_trace import LossTrace

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer

VERSION = 1


class Fingerprint(Callback):
    """Take the fingerprint of a run while it runs.

    Args:
        folder: Of the run.
        resumed: Whether it goes on from a checkpoint of its own; another run's, from which it starts, is none.
    """

    def __init__(self, folder: Path, resumed: bool = False) -> None:
        self.path = folder / "fingerprint.json"
        self.trace = LossTrace(folder / "losses.f64")
        self.rows = digest.Rows()
        self.resumed = resumed
        self._kept = 0
        self._begun = False
        self._evaluated: set[str] = set()
        self._found: dict[str, Any] = {"initial_weights": None, "final_weights": None, "final_metrics": None}

    def state_dict(self) -> dict[str, Any]:
        """Return what the hashes cover so far."""
        self.trace.flush()
        return {
            "steps": self.trace.steps,
            "lost": self.trace.lost,
            "logged": self.rows.plain(),
            "initial_weights": self._found["initial_weights"],
            "evaluated": sorted(self._evaluated),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned, if this run goes on from there: the test loads a checkpoint, too."""
        if not self.resumed or self._begun:
            return
        self._kept, self.trace.lost = int(state_dict["steps"]), int(state_dict["lost"])
        self.rows.load(state_dict["logged"])
        self._evaluated.update(state_dict.get("evaluated", ()))
        self._found["initial_weights"] = state_dict["initial_weights"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the file of losses, where the checkpoint stands in it."""
        self._begun = True
        if trainer.is_global_zero:
            device = trainer.strategy.root_device
            self.trace.begin(self._kept, None if device.type == "cpu" else device)
            trainer.row_listener = self.rows.add

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hash the weights that training starts from."""
        if not self.resumed:
            self._found["initial_weights"] = _weights(trainer)
        self._write(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss; of optimizers that take turns, the sum of theirs."""
        self.trace.note(outputs.get("loss") if type(outputs) is dict else _sum(outputs))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember what was evaluated."""
        for entry in trainer._metrics.evaluation.entries.values():
            self._evaluated.update(entry.names(per_step=False))

    on_test_end = on_validation_end

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hash the weights that training came to, on the CPU by now."""
        self.trace.close()
        self._found["final_weights"] = _weights(trainer)
        if self._found["initial_weights"] is None and not self.resumed:  # there was nothing to train
            self._found["initial_weights"] = self._found["final_weights"]

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Keep what there is."""
        self.trace.close()
        self._write(trainer)

    def finish(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Add the final metrics, and call the fingerprint complete."""
        values = {name: float(value) for name, value in metrics.items()}
        self._found["final_metrics"] = {
            "step": trainer.global_step,
            "sha256": digest.of_metrics(values),
            "values": values,
            "evaluated": sorted(self._evaluated & values.keys()),
        }
        trainer.row_listener = None
        self._write(trainer, complete=True)

    def _write(self, trainer: Trainer, complete: bool = False) -> None:
        if not trainer.is_global_zero:
            return
        losses = {"steps": self.trace.steps, "sha256": self.trace.sha256, "file": self.trace.path.name}
        if self.trace.lost:
            losses["lost"] = self.trace.lost
        found = {"version": VERSION, "complete": complete, "losses": losses, "logged": self.rows.plain(), **self._found}
        atomic.write_json(self.path, found)


class Part(Callback):
    """What a rank other than the first adds to the fingerprint: its parts of the weights, if they are divided.

    Args:
        resumed: As that of `Fingerprint`.
    """

    def __init__(self, resumed: bool = False) -> None:
        self.resumed = resumed

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the weights that training starts from."""
        if trainer.strategy.divides and not self.resumed:
            _weights(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the weights that training came to."""
        if trainer.strategy.divides:
            _weights(trainer)


def _weights(trainer: Trainer) -> dict[str, Any]:
    return {"step": trainer.global_step, "sha256": digest.of_weights(trainer.lightning_module)}


def _sum(outputs: Any) -> Any:
    found = [each.get("loss") for each in outputs] if isinstance(outputs, list) else []
    losses = [loss.detach().double() for loss in found if isinstance(loss, Tensor)]
    return torch.stack(losses).sum() if losses else None
