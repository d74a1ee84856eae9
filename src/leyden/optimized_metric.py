"""The result that a sweep looks at, looked for when it can first be there rather than after the whole training.

A name with a mistake in it would otherwise be found when all epochs are done. After the first validation every value of
training and validation has been logged once. A value of the test has not: one batch of it is tried on a copy then.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

from leyden import rng
from leyden.callback import Callback
from leyden.datamodule import LightningDataModule
from leyden.errors import ConfigurationError
from leyden.module import LightningModule
from leyden.trainer import Trainer

_Owner = TypeVar("_Owner", LightningModule, LightningDataModule)


class OptimizedMetric(Callback):
    """Refuses a run whose optimized metric nobody logs, once that can be told.

    Args:
        name: Of the metric.
        tested: Whether a test follows the fit, which may log it.
    """

    def __init__(self, name: str, tested: bool) -> None:
        self._name = name
        self._tested = tested
        self._known = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for the metric after the first validation that is none of a sanity check."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for it after the first epoch, where nothing is validated."""
        if not trainer.enable_validation:
            self._look(trainer, pl_module)

    def _look(self, trainer: Trainer, module: LightningModule) -> None:
        """Raise `ConfigurationError` if it cannot come any more."""
        if self._known:
            return
        self._known = True
        logged = set(trainer.callback_metrics)
        if self._name in logged or trainer.current_epoch:
            return
        if self._tested:
            in_test = _logged_in_test(trainer, module)
            if in_test is None or self._name in in_test:
                return
            logged |= set(in_test)
        raise ConfigurationError(missing(self._name, logged))


def missing(name: str, logged: set[str] | Mapping[str, Any]) -> str:
    """Say that nobody logs the metric called *name*."""
    return (
        f"optimized_metric={name!r} was not logged. Logged: {', '.join(sorted(logged)) or 'nothing'}. Expected one of "
        "these names. Name one of them, or log it."
    )


def _logged_in_test(trainer: Trainer, module: LightningModule) -> set[str] | None:
    """Return what one batch of the test logs; None where that cannot be tried."""
    if trainer.world_size > 1:
        return None
    with rng.isolated(), suppress(Exception):  # whatever a test raises is told when it is due
        other = Trainer(
            fast_dev_run=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
            accelerator="auto" if trainer.strategy.root_device.type != "cpu" else "cpu", devices=1,
            precision=trainer.precision,
        )  # fmt: skip
        data = trainer.datamodule
        other.test(_copied(module), datamodule=None if data is None else _copied(data), verbose=False)
        return set(other.callback_metrics)
    return None


def _copied(owner: _Owner) -> _Owner:
    """Return a copy of a module or of its data, which knows no trainer."""
    trainer, owner.trainer = owner._trainer if isinstance(owner, LightningModule) else owner.trainer, None
    try:
        return copy.deepcopy(owner)
    finally:
        owner.trainer = trainer
