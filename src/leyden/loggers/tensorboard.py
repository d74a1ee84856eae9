"""Metrics, hyper-parameters and graphs as TensorBoard event files."""

from __future__ import annotations

import os
import warnings
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from leyden.loggers.dummy import DummyExperiment
from leyden.loggers.folder import FolderLogger
from leyden.loggers.hparams import flat_params, plain_params, write_params
from leyden.loggers.row import number, prefixed
from leyden.warnings import rank, warn_once

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

    from leyden.module import LightningModule


class TensorBoardLogger(FolderLogger):
    """Write event files and ``hparams.yaml`` to ``<save_dir>/<name>/<version>/<sub_dir>``.

    After a resume the new event file starts with a mark that makes TensorBoard discard
    the points behind the restored step; the old file is left as it is.

    Args:
        save_dir: Parent folder; None means the trainer's ``default_root_dir``.
        name: Sub-folder of the experiment; None or empty for none.
        version: An int n stands for the sub-folder ``version_<n>``, a string is used as it
            is, None means the next free number.
        log_graph: Record the module's graph; needs its ``example_input_array``.
        default_hp_metric: Log a placeholder metric ``hp_metric`` with hyper-parameters that
            come without metrics; TensorBoard shows hyper-parameters only beside a metric.
        prefix: Put before every name, joined by ``-``.
        sub_dir: One more sub-folder below the version.
        **kwargs: Further arguments of `torch.utils.tensorboard.SummaryWriter`, such as
            ``max_queue`` and ``flush_secs``.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        log_graph: bool = False,
        default_hp_metric: bool = True,
        prefix: str = "",
        sub_dir: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(save_dir, name, version, sub_dir)
        self._log_graph = log_graph
        self._default_hp_metric = default_hp_metric
        self._prefix = prefix
        self._kwargs = kwargs
        self._hparams: dict[str, Any] = {}
        self._last_step: int | None = None
        self._purge_step: int | None = None
        self._writer: SummaryWriter | None = None

    @property
    def experiment(self) -> SummaryWriter | DummyExperiment:
        """The writer underneath; a do-nothing object on ranks other than 0."""
        if rank() != 0:
            return DummyExperiment()
        if self._writer is None:
            from torch.utils.tensorboard.writer import SummaryWriter

            options = self._kwargs if self._purge_step is None else self._kwargs | {"purge_step": self._purge_step}
            self._writer = SummaryWriter(log_dir=self.log_dir, **options)
            self._purge_step = None  # a writer opened later must not discard what this one wrote
        return self._writer

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add one point per metric; a dict of numbers becomes several curves in one chart.

        Raises:
            ConfigurationError: If a value is neither a number nor a dict of numbers.
        """
        if rank() != 0:
            return
        writer: Any = self.experiment
        points = {}
        for name, value in prefixed(metrics, self._prefix).items():
            if isinstance(value, Mapping):
                curves = {curve: number(f"{name}/{curve}", point) for curve, point in value.items()}
                writer.add_scalars(name, curves, step)
            else:
                points[name] = number(name, value)
        if points:
            writer.file_writer.add_summary(_summary(points), step)
        if step is not None:
            self._last_step = step

    def log_hyperparams(
        self,
        params: Mapping[str, Any] | Namespace | None = None,
        metrics: Mapping[str, float] | float | None = None,
        step: int | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Record hyper-parameters, beside the metrics that judge them.

        Args:
            params: The hyper-parameters; nested ones get names joined by ``/``.
            metrics: Metrics by name, or one number for ``hp_metric``.
            step: Position of these metrics on the step axis.
            *args: Not used.
            **kwargs: Not used.
        """
        if rank() != 0:
            return
        self._hparams |= plain_params(params)
        if metrics is None:
            metrics = {"hp_metric": -1} if self._default_hp_metric else {}
        elif not isinstance(metrics, Mapping):
            metrics = {"hp_metric": metrics}
        if metrics:
            self._add_hparams_summary(plain_params(params), metrics, step)
        folder = str(self.log_dir)
        os.makedirs(folder, exist_ok=True)
        write_params(os.path.join(folder, "hparams.yaml"), self._hparams)

    def _add_hparams_summary(self, params: dict[str, Any], metrics: Mapping[str, float], step: int | None) -> None:
        from torch.utils.tensorboard.summary import hparams

        self.log_metrics(metrics, step)
        texts_and_numbers = {
            name: value if isinstance(value, (bool, int, float, str)) else str(value)
            for name, value in flat_params(params).items()
        }
        writer: Any = self.experiment
        for summary in hparams(texts_and_numbers, prefixed(metrics, self._prefix)):  # type: ignore[no-untyped-call]
            writer.file_writer.add_summary(summary, step)

    def log_graph(self, model: LightningModule, input_array: Any = None) -> None:
        """Trace the module on *input_array*, by default its ``example_input_array``; only with ``log_graph=True``."""
        if not self._log_graph or rank() != 0:
            return
        example = model.example_input_array if input_array is None else input_array
        if not isinstance(example, (Tensor, tuple)):
            warn_once(
                f"TensorBoardLogger(log_graph=True) cannot trace {type(model).__name__}: its example_input_array is "
                f"a {type(example).__name__}. Set it to a tensor, or to a tuple of the arguments of forward."
            )
            return
        example = model.transfer_batch_to_device(model.on_before_batch_transfer(example, 0), model.device, 0)
        with _traceable(model):
            self.experiment.add_graph(model, model.on_after_batch_transfer(example, 0))

    def save(self) -> None:
        """Flush the event file."""
        if self._writer is not None:
            self._writer.flush()

    def finalize(self, status: str) -> None:
        """Close the event file; points logged later go to a new one in the same folder."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"step": last step logged}`` once the points are handed to the disk."""
        self.save()
        return {} if self._last_step is None else {"step": self._last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the step of the state: TensorBoard will not show points behind it."""
        if "step" not in state_dict:
            return
        self.finalize("success")
        self._last_step = int(state_dict["step"])
        self._purge_step = self._last_step + 1

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open file, so that the logger can be sent to another process."""
        return self.__dict__ | {"_writer": None}


def _summary(points: Mapping[str, float]) -> Any:
    """Put *points* into one record, as `SummaryWriter.add_scalar` does with each of them: a third of the time."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

    return Summary(value=[Summary.Value(tag=name, simple_value=point) for name, point in points.items()])


@contextmanager
def _traceable(model: Any) -> Iterator[None]:
    """Lend *model* a trainer if it has none: tracing reads every property, and ``trainer`` would raise."""
    trainer = model._trainer
    if trainer is None:
        model.trainer = SimpleNamespace()
    try:
        with warnings.catch_warnings():  # torch itself calls what it calls deprecated
            warnings.filterwarnings("ignore", message=r".*torch\.jit\.trace", category=DeprecationWarning)
            yield
    finally:
        model.trainer = trainer
