"""Memory of the device and load of the processor, on their way to the loggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from leyden.callback import Callback
from leyden.callbacks.cpu_usage import CpuUsage
from leyden.errors import ConfigurationError

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class DeviceStatsMonitor(Callback):
    """Log statistics before and after the batches whose row is due (``log_every_n_steps``).

    Keys are ``DeviceStatsMonitor.{hook}/{statistic}``. Statistics of the CPU are
    ``cpu_percent``, ``cpu_vm_percent`` and ``cpu_swap_percent``, of the whole machine; those of
    a CUDA device are torch's `torch.cuda.memory_stats`, such as
    ``allocated_bytes.all.current``. Reading them does not wait for the device.

    Args:
        cpu_stats: Whether to log those of the CPU; None does so where training runs on it.

    Raises:
        ConfigurationError: When a fit opens, if the trainer has no logger; if the statistics of
            the CPU cannot be read on this system.
    """

    def __init__(self, cpu_stats: bool | None = None) -> None:
        super().__init__()
        self._cpu_stats = cpu_stats
        self._cpu: CpuUsage | None = None
        self._step: int | None = None  # of the row that is due, if one is
        self._evaluated = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that there is somewhere to log to."""
        if stage == "fit" and not trainer.loggers:
            raise ConfigurationError(
                "DeviceStatsMonitor has nowhere to log to: the trainer has no logger.\n"
                "  Give the trainer a logger, or remove the callback."
            )
        wanted = trainer.strategy.root_device.type == "cpu" if self._cpu_stats is None else self._cpu_stats
        self._cpu = CpuUsage() if wanted else None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Log, if the update that this batch belongs to gets a row."""
        step = _coming_step(trainer)
        due = (step + 1) % trainer.log_every_n_steps == 0 or trainer.should_stop
        self._step = step if due else None
        self._log(trainer, "on_train_batch_start")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log in the same row."""
        self._log(trainer, "on_train_batch_end")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from 0."""
        self._evaluated = 0

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from 0."""
        self._evaluated = 0

    def on_validation_batch_start(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Log, if the batch is due."""
        self._count(trainer)
        self._log(trainer, "on_validation_batch_start")

    def on_validation_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Log in the same row."""
        self._log(trainer, "on_validation_batch_end")

    def on_test_batch_start(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Log, if the batch is due."""
        self._count(trainer)
        self._log(trainer, "on_test_batch_start")

    def on_test_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Log in the same row."""
        self._log(trainer, "on_test_batch_end")

    def _count(self, trainer: Trainer) -> None:
        """Settle whether this batch of an evaluation is due; none is in the sanity check."""
        self._evaluated += 1
        due = self._evaluated % trainer.log_every_n_steps == 0 and not trainer.sanity_checking
        position = trainer.log_step if trainer.state.fn == "fit" else _coming_step(trainer)
        self._step = position if due else None

    def _log(self, trainer: Trainer, hook: str) -> None:
        """Read the statistics and send them to the loggers, if a row is due."""
        if self._step is None or not trainer.loggers:
            return
        device = trainer.strategy.root_device
        stats: dict[str, float] = dict(torch.cuda.memory_stats(device)) if device.type == "cuda" else {}
        if self._cpu is not None:
            stats |= self._cpu.read()
        if not stats:
            return
        row = {f"{type(self).__qualname__}.{hook}/{name}": value for name, value in stats.items()}
        for logger in trainer.loggers:
            logger.log_metrics(row, step=self._step)


def _coming_step(trainer: Trainer) -> int:
    """Step of the row that the coming update gets; `log_step` is still that of the one before it."""
    return trainer.log_step + (1 if trainer.global_step > 0 else 0)
