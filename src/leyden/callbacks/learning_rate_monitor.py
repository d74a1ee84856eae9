"""Write the learning rates (and momentum, weight decay) of all optimizers to the loggers.

Names are Lightning's: ``lr-Adam``; ``lr-Adam-1`` for the second Adam; ``lr-Adam/pg1`` for
the first of several parameter groups, or ``lr-Adam/<name>`` where groups have names; and
the ``name`` of a scheduler's configuration instead of all that where it has one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import torch

from leyden.callback import Callback
from leyden.errors import ConfigurationError
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class LearningRateMonitor(Callback):
    """Log the learning rate that an update is about to use, in the row of that update.

    Args:
        logging_interval: ``"step"``: with every row of training metrics; ``"epoch"``: at
            the start of each epoch; None: each optimizer as often as its scheduler steps,
            and optimizers without a scheduler on both occasions.
        log_momentum: Whether to log momentum (the first beta of Adam and its like), too.
        log_weight_decay: Whether to log weight decay, too.
        log_key_prefix: Put in front of every name as it is, e.g. ``"optim/"``.

    Attributes:
        lrs: Every learning rate logged so far, by name.
        last_momentum_values: The latest momentum by name.
        last_weight_decay_values: The latest weight decay by name.

    Raises:
        ConfigurationError: If *logging_interval* is unknown, or, at the start of training,
            if the trainer has no logger.
    """

    def __init__(
        self,
        logging_interval: Literal["step", "epoch"] | None = None,
        log_momentum: bool = False,
        log_weight_decay: bool = False,
        log_key_prefix: str | None = None,
    ) -> None:
        super().__init__()
        if logging_interval not in (None, "step", "epoch"):
            raise ConfigurationError(
                f"LearningRateMonitor(logging_interval={logging_interval!r}) is unknown. "
                "Expected 'step', 'epoch' or None."
            )
        self.logging_interval = logging_interval
        self.log_momentum = log_momentum
        self.log_weight_decay = log_weight_decay
        self.log_key_prefix = log_key_prefix or ""
        self.lrs: dict[str, list[float]] = {}
        self.last_momentum_values: dict[str, float] = {}
        self.last_weight_decay_values: dict[str, float] = {}
        self._step_logged = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that there is somewhere to log to, and something to log."""
        if not trainer.loggers and not trainer.fast_dev_run:
            raise ConfigurationError(
                "LearningRateMonitor has nowhere to log to: the trainer has no logger.\n"
                "  Give the trainer a logger, or remove the callback."
            )
        optimizers = [optimizer for optimizer, _, _ in named_optimizers(trainer)]
        if self.log_momentum and not all({"momentum", "betas"} & optimizer.defaults.keys() for optimizer in optimizers):
            warn_once(
                "LearningRateMonitor(log_momentum=True): an optimizer without momentum is logged with momentum 0."
            )
        self.lrs = {self.log_key_prefix + name: [] for _, names, _ in named_optimizers(trainer) for name in names}
        self._step_logged = _coming_step(trainer) if _resumes_before_an_update(trainer) else -1

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Log if the update that this batch belongs to gets a row."""
        if self.logging_interval == "epoch":
            return
        every, step = trainer.log_every_n_steps, _coming_step(trainer)
        if every and step != self._step_logged and ((step + 1) % every == 0 or trainer.should_stop):
            self._step_logged = step
            self._log(trainer, "step")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log once per epoch."""
        if self.logging_interval != "step":
            self._log(trainer, "epoch")

    def _log(self, trainer: Trainer, interval: str) -> None:
        """Log the optimizers that are due at *interval*."""
        row: dict[str, float] = {}
        for optimizer, names, steps_at in named_optimizers(trainer):
            if self.logging_interval is not None or steps_at in (interval, None):
                for group, name in zip(optimizer.param_groups, names, strict=True):
                    row.update(self._values(group, self.log_key_prefix + name))
        if not row:
            return
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in row.items()})
        for logger in trainer.loggers:
            logger.log_metrics(row, step=_coming_step(trainer))

    def _values(self, group: dict[str, Any], name: str) -> dict[str, float]:
        """Read what is to be logged of one parameter group, and remember it."""
        values = {name: float(group["lr"])}
        alone = name.removesuffix("/pg1")
        if alone != name and alone in self.lrs:
            self.lrs[name] = self.lrs.pop(alone)  # the optimizer has been given a second group
        self.lrs.setdefault(name, []).append(values[name])
        if self.log_momentum:
            momentum = group["betas"][0] if "betas" in group else group.get("momentum", 0)
            values[f"{name}-momentum"] = self.last_momentum_values[f"{name}-momentum"] = float(momentum)
        if self.log_weight_decay:
            decay = float(group.get("weight_decay", 0))
            values[f"{name}-weight_decay"] = self.last_weight_decay_values[f"{name}-weight_decay"] = decay
        return values


def _coming_step(trainer: Trainer) -> int:
    """Step of the row that the coming update gets; `log_step` is still that of the one before it."""
    return trainer.log_step + (1 if trainer.global_step > 0 else 0)


def _resumes_before_an_update(trainer: Trainer) -> bool:
    """Whether a batch of the coming update has been trained already, before which its row was logged."""
    progress = trainer._progress
    return progress.pending > 0 or (progress.updates == 0 and progress.batches > 0)


def named_optimizers(trainer: Trainer) -> Iterator[tuple[Optimizer, list[str], str | None]]:
    """Yield every optimizer with the names of its groups, those with a scheduler first.

    Yields:
        ``(optimizer, names, interval)``: one name per parameter group, and the interval of
        the scheduler, ``"step"`` or ``"epoch"``, or None without one.
    """
    seen: Counter[type[Optimizer]] = Counter()
    scheduled = []
    for config in trainer.lr_scheduler_configs:
        optimizer = config.scheduler.optimizer
        scheduled.append(optimizer)
        base = config.name if config.name is not None else _count_up(optimizer, seen)
        yield optimizer, _group_names(base, optimizer), config.interval
    for optimizer in trainer.optimizers:
        if not any(optimizer is other for other in scheduled):
            yield optimizer, _group_names(_count_up(optimizer, seen), optimizer), None


def _count_up(optimizer: Optimizer, seen: Counter[type[Optimizer]]) -> str:
    """Return ``lr-Adam`` for the first Adam, ``lr-Adam-1`` for the second ..."""
    kind = type(optimizer)
    seen[kind] += 1
    return f"lr-{kind.__name__}" + (f"-{seen[kind] - 1}" if seen[kind] > 1 else "")


def _group_names(base: str, optimizer: Optimizer) -> list[str]:
    """Return one name per parameter group; a single group without a name needs no suffix."""
    groups = optimizer.param_groups
    if len(groups) == 1 and not groups[0].get("name"):
        return [base]
    names = [group.get("name", f"pg{number}") for number, group in enumerate(groups, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"The parameter groups of {type(optimizer).__name__} have the same name: {', '.join(twice)}.\n"
            "  Their learning rates would be logged under one key. Give each group a name of its own."
        )
    return [f"{base}/{name}" for name in names]
