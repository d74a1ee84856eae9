"""Search for a learning rate or a batch size on its own, before a stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from leyden.callbacks.batch_size_finder import BatchSizeFinder
from leyden.callbacks.learning_rate_finder import LearningRateFinder
from leyden.callbacks.learning_rate_search import LearningRateSearch
from leyden.errors import ConfigurationError, StageEnded

if TYPE_CHECKING:
    from leyden.datamodule import LightningDataModule
    from leyden.module import LightningModule
    from leyden.trainer import Trainer

_METHODS = ("fit", "validate", "test", "predict")


class Tuner:
    """Try things with a trainer, and leave it as it was.

    Args:
        trainer: Its options are those of the search.

    Example:
        >>> trainer = Trainer(max_epochs=10)
        >>> found = Tuner(trainer).lr_find(module, datamodule=data)
        >>> figure = found.plot(suggest=True)
        >>> trainer.fit(module, datamodule=data)
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def lr_find(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        method: str = "fit",
        min_lr: float = 1e-8,
        max_lr: float = 1,
        num_training: int = 100,
        mode: str = "exponential",
        early_stop_threshold: float | None = 4.0,
        update_attr: bool = True,
        attr_name: str = "",
    ) -> LearningRateSearch | None:
        """Search for a learning rate; see `LearningRateFinder` for how, and what the other arguments mean.

        Args:
            model: What is to be trained; its attribute for the rate is set.
            train_dataloaders: As for ``fit``.
            val_dataloaders: As for ``fit``; the search does not validate.
            dataloaders: Only for other methods than ``"fit"``, so never.
            datamodule: As for ``fit``.
            method: ``"fit"``: nothing else has a learning rate.
            min_lr: The first rate.
            max_lr: The rate to grow towards.
            num_training: Rates to try.
            mode: How the rate grows.
            early_stop_threshold: When to stop early.
            update_attr: Whether the suggestion is used.
            attr_name: Where it is set.

        Returns:
            What was found; None under ``fast_dev_run``.

        Raises:
            ConfigurationError: If an argument cannot be meant, or the trainer searches already.
        """
        if method != "fit" or dataloaders is not None:
            raise ConfigurationError(
                f"lr_find(method={method!r}, dataloaders={dataloaders!r:.40}): only a fit has a learning rate. "
                "Pass train_dataloaders or a datamodule, and leave the two out."
            )
        finder = LearningRateFinder(min_lr, max_lr, num_training, mode, early_stop_threshold, update_attr, attr_name)
        with self._searching(finder, "lr_find"):
            self._trainer.fit(model, train_dataloaders, val_dataloaders, datamodule)
        return finder.optimal_lr

    def scale_batch_size(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        method: str = "fit",
        mode: str = "power",
        steps_per_trial: int = 3,
        init_val: int = 2,
        max_trials: int = 25,
        batch_arg_name: str = "batch_size",
        margin: float = 0.05,
        max_val: int = 8192,
    ) -> int | None:
        """Search for a batch size; see `BatchSizeFinder` for how, and what the other arguments mean.

        Args:
            model: What is to be run; its attribute for the size, or the data module's, is set.
            train_dataloaders: A data module; a loader has its batch size already.
            val_dataloaders: As for ``fit``.
            dataloaders: A data module, for the other methods.
            datamodule: As for the method.
            method: What is tried: ``"fit"``, ``"validate"``, ``"test"`` or ``"predict"``.
            mode: How the size grows.
            steps_per_trial: Steps with each size.
            init_val: The first size.
            max_trials: Sizes to try.
            batch_arg_name: Where it is set.
            margin: What to take off it.
            max_val: The largest size to try.

        Returns:
            The size; None under ``fast_dev_run``.

        Raises:
            ConfigurationError: If an argument cannot be meant, the trainer searches already, or nothing fits.
        """
        _check_arguments(method, train_dataloaders, val_dataloaders, dataloaders)
        finder = BatchSizeFinder(mode, steps_per_trial, init_val, max_trials, batch_arg_name, margin, max_val)
        with self._searching(finder, "scale_batch_size"):
            if method == "fit":
                self._trainer.fit(model, train_dataloaders, val_dataloaders, datamodule)
            else:
                getattr(self._trainer, method)(model, dataloaders, datamodule=datamodule)
        return finder.optimal_batch_size

    @contextmanager
    def _searching(self, finder: LearningRateFinder | BatchSizeFinder, method: str) -> Iterator[None]:
        """Let *finder* search at the start of the stage that is run in the block, and end it there."""
        kind = type(finder)
        if any(isinstance(callback, kind) for callback in self._trainer.callbacks):
            raise ConfigurationError(
                f"{method} was called, but the trainer has a {kind.__name__} already. Take it out of its callbacks, "
                "or run the stage alone."
            )
        finder._early_exit = True
        self._trainer.callbacks = [finder, *self._trainer.callbacks]
        try:
            with suppress(StageEnded):
                yield
        finally:
            self._trainer.callbacks = [each for each in self._trainer.callbacks if each is not finder]


def _check_arguments(method: str, train: Any, val: Any, others: Any) -> None:
    """Refuse a method that does not exist, and loaders that it does not take."""
    if method not in _METHODS:
        raise ConfigurationError(f"scale_batch_size(method={method!r}): expected one of {', '.join(_METHODS)}.")
    wrong = others is not None if method == "fit" else train is not None or val is not None
    if wrong:
        taken = "train_dataloaders and val_dataloaders" if method == "fit" else "dataloaders"
        raise ConfigurationError(
            f"scale_batch_size(method={method!r}) was given loaders of another method. It takes {taken}, or a "
            "datamodule; leave the others out."
        )
