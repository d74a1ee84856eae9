"""Metrics in a CSV file and hyper-parameters in a YAML file: nothing to install, nothing to start."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge

from leyden.loggers.dummy import DummyExperiment
from leyden.loggers.folder import FolderLogger
from leyden.loggers.hparams import plain_params, write_params
from leyden.loggers.metrics_file import MetricsFile
from leyden.loggers.row import number, prefixed
from leyden.warnings import rank, warn_once


class CSVLogger(FolderLogger):
    """Write ``metrics.csv`` and ``hparams.yaml`` to ``<save_dir>/<name>/<version>``.

    With ``name=""`` and ``version=""`` both lie directly in *save_dir*.

    Args:
        save_dir: Parent folder; None means the trainer's ``default_root_dir``.
        name: Sub-folder of the experiment; None or empty for none.
        version: An int n stands for the sub-folder ``version_<n>``, a string is used as it
            is, None means the next free number.
        prefix: Put before every name, joined by ``-``.
        flush_logs_every_n_steps: How many steps may pass between two writes to the file.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        prefix: str = "",
        flush_logs_every_n_steps: Annotated[int, Ge(1)] = 100,
    ) -> None:
        super().__init__(save_dir, name, version)
        self._prefix = prefix
        self._flush_every = max(1, flush_logs_every_n_steps)
        self._flushed_steps = 0
        self._hparams: dict[str, Any] = {}
        self._file: MetricsFile | None = None

    @property
    def experiment(self) -> MetricsFile | DummyExperiment:
        """The file underneath; a do-nothing object on ranks other than 0."""
        return self._metrics_file() if rank() == 0 else DummyExperiment()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add one row with the column ``step``; a missing *step* counts rows.

        Raises:
            ConfigurationError: If a value is not a number.
        """
        if rank() != 0:
            return
        file = self._metrics_file()
        step = file.rows if step is None else step
        row: dict[str, float] = {"step": step}
        row |= {name: number(name, value) for name, value in prefixed(metrics, self._prefix).items() if name != "step"}
        file.append(row)
        if (step + 1) // self._flush_every != self._flushed_steps // self._flush_every:
            file.flush()
            self._flushed_steps = step + 1

    def log_hyperparams(self, params: Mapping[str, Any] | Namespace | None = None, *args: Any, **kwargs: Any) -> None:
        """Write ``hparams.yaml`` at once; later calls add to it."""
        if rank() != 0:
            return
        self._hparams |= plain_params(params)
        os.makedirs(os.path.dirname(self._hparams_path()), exist_ok=True)
        write_params(self._hparams_path(), self._hparams)

    def save(self) -> None:
        """Write pending rows to the file."""
        if self._file is not None:
            self._file.flush()

    def finalize(self, status: str) -> None:
        """Write pending rows; rows logged later, by a test run say, are appended."""
        self.save()

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"rows": n}`` once n rows are safely on disk."""
        if self._file is None:
            return {"rows": 0}
        self._file.sync()
        return {"rows": self._file.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Cut an existing ``metrics.csv`` back to the rows of the state, and append from there.

        Rows that the state counts and the file has lost are told: nothing can bring them back. With a version still to
        be chosen there is no such file: the run gets a new folder.
        """
        if rank() != 0 or self._version is None:
            return
        file, rows = self._metrics_file(), int(state_dict.get("rows", 0))
        begun = os.path.exists(file.path) or os.path.exists(self._hparams_path())
        file.keep(rows)
        if begun and file.rows < rows:
            warn_once(
                f"{file.path} holds {file.rows} of the {rows} rows that were written before the checkpoint: "
                f"{rows - file.rows} are lost, and not written again. Expected all of them. Restore the file from a "
                "copy and go on once more, or read those rows in another logger."
            )

    def _hparams_path(self) -> str:
        return os.path.join(os.path.dirname(self._metrics_file().path), "hparams.yaml")

    def _metrics_file(self) -> MetricsFile:
        if self._file is None:
            self._file = MetricsFile(os.path.join(str(self.log_dir), "metrics.csv"))
        return self._file
