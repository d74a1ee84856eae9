"""A logger that keeps nothing, for dry runs and for ranks other than 0.

It accepts whatever any other logger accepts, so user code that says
``self.logger.log_image(...)`` or ``self.logger.experiment.config["a"] = 1`` runs unchanged.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from leyden.logger import Logger


class DummyExperiment:
    """Answers every attribute, call, item and ``with`` with itself, and does nothing."""

    def __getattr__(self, name: str) -> DummyExperiment:
        if name.startswith("__"):  # pickle and copy ask for these and must be told the truth
            raise AttributeError(name)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        """Forget the value."""

    def __call__(self, *args: Any, **kwargs: Any) -> DummyExperiment:
        """Do nothing, whatever was asked."""
        return self

    def __getitem__(self, key: Any) -> DummyExperiment:
        """Return itself for any key."""
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        """Forget the value."""

    def __iter__(self) -> Iterator[Any]:
        """Hold nothing: without this, ``__getitem__`` would make a loop over it endless."""
        return iter(())

    def __enter__(self) -> DummyExperiment:
        """Open nothing."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close nothing, and let exceptions pass."""


class DummyLogger(Logger):
    """Takes the place of every logger under ``fast_dev_run``."""

    @property
    def name(self) -> str:
        """Empty: there is no experiment."""
        return ""

    @property
    def version(self) -> str:
        """Empty: there is no run."""
        return ""

    @property
    def experiment(self) -> DummyExperiment:
        """An object on which anything can be called."""
        return DummyExperiment()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Drop the row."""

    def log_hyperparams(self, params: Mapping[str, Any] | Namespace | None = None, *args: Any, **kwargs: Any) -> None:
        """Drop the hyper-parameters."""

    def __getattr__(self, name: str) -> DummyExperiment:
        """Swallow the methods only some loggers have, such as ``log_image`` or ``watch``."""
        if name.startswith("__"):
            raise AttributeError(name)
        return DummyExperiment()
