"""The contract of a logger: where rows of metrics and the hyper-parameters of a run go.

A logger is written to by rank 0 alone. It creates files only when the first thing is
written, so that building one touches nothing.

`state_dict` / `load_state_dict` are ours: a checkpoint records how much a logger had
written, so that a run killed later and resumed from it does not leave rows twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leyden.callback import Checkpoint
    from leyden.module import LightningModule


class Logger(ABC):
    """Receive rows of numbers, and everything else worth keeping of a run."""

    @property
    @abstractmethod
    def name(self) -> str | None:
        """Name of the experiment the run belongs to."""

    @property
    @abstractmethod
    def version(self) -> int | str | None:
        """Name of this run within the experiment."""

    @abstractmethod
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record one row.

        Args:
            metrics: Plain numbers by name.
            step: Position on the run's one step axis: optimizer steps done, counted from
                0, so the first update's row has step 0.
        """

    @abstractmethod
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace | None, *args: Any, **kwargs: Any) -> None:
        """Record the hyper-parameters of the run."""

    def check(self) -> None:
        """Find out whether this logger can write at all, before a run is made; nothing is created.

        Raises:
            ConfigurationError: If an account, a package or a folder that it needs is not there.
        """

    def adopt(self, version: int | str | None) -> None:
        """Take the version that rank 0's logger has settled on; called on every rank."""

    def attach(self, default_root_dir: str) -> None:
        """Tell a logger that was given no ``save_dir`` where the trainer keeps its files."""

    @property
    def save_dir(self) -> str | None:
        """Folder given by the user, or the trainer's once attached."""
        return None

    @property
    def root_dir(self) -> str | None:
        """Folder of all versions of this experiment."""
        return None

    @property
    def log_dir(self) -> str | None:
        """Folder of this very run."""
        return None

    @property
    def experiment(self) -> Any:
        """The object underneath (a writer, a W&B run ...), created on first access."""
        return None

    def log_graph(self, model: LightningModule, input_array: Any = None) -> None:
        """Record the model's graph, where the backend can."""

    def save(self) -> None:
        """Bring everything buffered to disk."""

    def finalize(self, status: str) -> None:
        """Close; *status* is ``success`` or ``failed``. May be called more than once."""

    def after_save_checkpoint(self, checkpoint_callback: Checkpoint) -> None:
        """A checkpoint was written; upload it, if that is what this logger does."""

    def state_dict(self) -> dict[str, Any]:
        """Return how much has been written; flushes first, so the claim is true on disk."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Drop what was written after the state was taken, and go on from there."""
