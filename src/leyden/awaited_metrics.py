"""Metrics that a run is going to need, looked for when they can first be there rather than after the whole training.

The result that a sweep looks at, and what a schedule reads: a name with a mistake in it would otherwise be found when
all epochs are done. After the first epoch every value of training and validation has been logged once. A value of the
test has not: one batch of it is tried on a copy then.
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


class AwaitedMetrics(Callback):
    """Refuses a run that waits for a metric nobody logs, at the end of the first epoch with a validation.

    All has been logged once by then, whatever hook it is logged in, and callbacks that save come afterwards. A resumed
    run has been there before.

    Args:
        names: Each with the key that names it, ``{"val_acc": "optimized_metric"}`` say.
        tested: Whether a test follows the fit, which may log them.
    """

    monitors = True

    def __init__(self, names: Mapping[str, str], tested: bool) -> None:
        self._names = dict(names)
        self._tested = tested
        self._validated = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave a resumed run alone."""
        if trainer.ckpt_path is not None:
            self._names.clear()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that there was a validation, other than a sanity check."""
        self._validated |= not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raise `ConfigurationError` for a name that cannot come any more."""
        if self._names and (self._validated or not trainer.enable_validation):
            logged = set(trainer.callback_metrics)
            names = {name: where for name, where in self._names.items() if name not in logged}
            self._names.clear()
            if names and self._tested:
                in_test = _logged_in_test(trainer, pl_module)
                logged |= set(names) if in_test is None else in_test
            for name, where in names.items():
                if name not in logged:
                    raise ConfigurationError(missing(where, name, logged))


def missing(where: str, name: str, logged: set[str] | Mapping[str, Any]) -> str:
    """Say that nobody logs the metric called *name*, for which *where* waits."""
    return (
        f"{where}={name!r} was not logged. Logged: {', '.join(sorted(logged)) or 'nothing'}. Expected one of "
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
