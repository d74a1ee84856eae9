"""Search for a learning rate on its own, before a fit."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from leyden.callbacks.learning_rate_finder import LearningRateFinder
from leyden.callbacks.learning_rate_search import LearningRateSearch
from leyden.errors import ConfigurationError, StageEnded

if TYPE_CHECKING:
    from leyden.datamodule import LightningDataModule
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


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
        if any(isinstance(callback, LearningRateFinder) for callback in self._trainer.callbacks):
            raise ConfigurationError(
                "lr_find was called, but the trainer has a LearningRateFinder already. Take it out of its callbacks, "
                "or call fit alone."
            )
        finder = LearningRateFinder(min_lr, max_lr, num_training, mode, early_stop_threshold, update_attr, attr_name)
        finder._early_exit = True
        self._trainer.callbacks = [finder, *self._trainer.callbacks]
        try:
            with suppress(StageEnded):
                self._trainer.fit(model, train_dataloaders, val_dataloaders, datamodule)
        finally:
            self._trainer.callbacks = [each for each in self._trainer.callbacks if each is not finder]
        return finder.optimal_lr
