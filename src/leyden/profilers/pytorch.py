"""Record every operator of torch, on the CPU and on the accelerator, with `torch.profiler`.

The recording begins with the first batch of a stage and advances by one after each batch,
as its schedule says:

    batch   0       1         2 3 4
            wait ─► warm up ─► record ─► on_trace_ready: trace to dirpath, table to the report

In a fit, training batches are counted; a validation inside is recorded if it falls into the
recorded part. Hooks, steps and submodules appear under their names (`record_function`).
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.profiler_util import EventList
from torch.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)

from leyden.errors import ConfigurationError
from leyden.profiler import Profiler
from leyden.profilers.module_names import ModuleNames

if TYPE_CHECKING:
    from leyden.trainer import Trainer

_STEPS = ("training_step", "validation_step", "test_step", "predict_step")
_BATCHES: dict[str, Callable[[Trainer], float]] = {
    "fit": lambda trainer: trainer.num_training_batches,
    "validate": lambda trainer: sum(trainer.num_val_batches),
    "test": lambda trainer: sum(trainer.num_test_batches),
    "predict": lambda trainer: sum(trainer.num_predict_batches),
}
_ENOUGH = 5
"""Batches the default schedule needs; a stage with fewer is recorded as a whole."""


class PyTorchProfiler(Profiler):
    """Report the most expensive operators, and write a trace that Perfetto, Chrome and TensorBoard show.

    Args:
        dirpath: Folder for traces and report; None means the trainer's `log_dir`.
        filename: Name of the report's file, without ending; None prints the report instead.
        group_by_input_shapes: One row for each shape of the inputs; needs ``record_shapes=True``.
        emit_nvtx: Not supported.
        export_to_chrome: Whether to write ``<stage>-<filename>.<time>.pt.trace.json`` for every recorded part.
        row_limit: Rows of the table; -1 for all.
        sort_by_key: Column to sort by; default the total time on the accelerator, else on the CPU.
        record_module_names: Whether the calls of submodules are labelled.
        table_kwargs: Further arguments of `EventList.table`.
        **profiler_kwargs: Arguments of `torch.profiler.profile`: ``schedule``, ``activities``,
            ``on_trace_ready``, ``record_shapes``, ``profile_memory``, ``with_stack`` ... The default
            schedule waits for one batch, warms up for one and records three, once.

    Raises:
        ConfigurationError: If an argument cannot be meant.
    """

    def __init__(
        self,
        dirpath: str | os.PathLike[str] | None = None,
        filename: str | None = None,
        group_by_input_shapes: bool = False,
        emit_nvtx: bool = False,
        export_to_chrome: bool = True,
        row_limit: int = 20,
        sort_by_key: str | None = None,
        record_module_names: bool = True,
        table_kwargs: dict[str, Any] | None = None,
        **profiler_kwargs: Any,
    ) -> None:
        super().__init__(dirpath, filename)
        if emit_nvtx:
            raise ConfigurationError(
                "PyTorchProfiler(emit_nvtx=True) is not supported. Expected False. To record with Nsight Systems, put "
                "`with torch.autograd.profiler.emit_nvtx():` around trainer.fit(...) and start the script under nsys."
            )
        _check(profile.__init__, profiler_kwargs, "profiler_kwargs", ("self",))
        _check(EventList.table, table_kwargs or {}, "table_kwargs", ("self", "sort_by", "row_limit"))
        _check_schedule(profiler_kwargs.get("schedule"))
        accelerated = torch.cuda.is_available()
        self._group_by_input_shapes = group_by_input_shapes
        self._export_to_chrome = export_to_chrome
        self._record_module_names = record_module_names
        self._table = {
            "row_limit": row_limit,
            "sort_by": sort_by_key or ("cuda_time_total" if accelerated else "cpu_time_total"),
            **(table_kwargs or {}),
        }
        self._options = {
            "activities": [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if accelerated else [])],
            **profiler_kwargs,
        }
        self.profiler: profile | None = None
        self._trainer: Trainer | None = None
        self._names: ModuleNames | None = None
        self._open: list[tuple[str, record_function]] = []
        self._reports: list[str] = []

    def attach(self, trainer: Trainer, stage: str) -> None:
        """Learn whose batches and submodules will be recorded."""
        super().attach(trainer, stage)
        self._trainer = trainer

    def start(self, action_name: str) -> None:
        """Begin the recording, if this is the first batch, and label what follows."""
        if self.profiler is None and self._is_batch(action_name):
            self._begin()
        if self.profiler is not None:
            label = record_function(action_name)
            label.__enter__()  # type: ignore[no-untyped-call]
            self._open.append((action_name, label))

    def stop(self, action_name: str) -> None:
        """End the label; after a batch, go one step on in the schedule."""
        index = next((i for i in reversed(range(len(self._open))) if self._open[i][0] == action_name), None)
        if index is None:
            return  # began before the recording did
        self._open.pop(index)[1].__exit__(None, None, None)
        if self.profiler is not None and self._is_batch(action_name):
            self._advance(self.profiler)

    def summary(self) -> str:
        """Return the table of operators of every recorded part."""
        self._end()
        return "\n\n".join(self._reports)

    def teardown(self, stage: str | None) -> None:
        """Stop recording, and forget the stage that is over."""
        self._end()
        self._reports.clear()
        self._trainer = None

    def _is_batch(self, action_name: str) -> bool:
        """Whether an action is what the schedule counts; the trainer's whole batch contains its `training_step`."""
        if self._stage == "fit":
            return action_name == "run_training_batch"
        return action_name.endswith(_STEPS)

    def _begin(self) -> None:
        options = {"schedule": self._default_schedule(), **self._options}
        ready = options.get("on_trace_ready")

        def keep(recorded: profile) -> None:
            self._keep(recorded)
            if ready is not None:
                ready(recorded)

        self.profiler = profile(**{**options, "on_trace_ready": keep})
        self.profiler.start()
        if self._trainer is not None and self._record_module_names:
            self._names = ModuleNames(self._trainer.lightning_module)

    def _advance(self, recording: profile) -> None:
        """Go one step on; a recording whose step fails must not be touched again: stopping it can end the process."""
        self.profiler = None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*clears events at the end of each cycle")  # each was kept
            recording.step()
        self.profiler = recording

    def _default_schedule(self) -> Callable[[int], ProfilerAction] | None:
        """Return the schedule for a stage of that length; None records everything."""
        if self._trainer is not None and self._stage is not None and _BATCHES[self._stage](self._trainer) < _ENOUGH:
            return None
        return schedule(wait=1, warmup=1, active=3, repeat=1)

    def _keep(self, recorded: profile) -> None:
        """Make the table of what has been recorded, and write its trace."""
        averages = recorded.key_averages(group_by_input_shape=self._group_by_input_shapes)
        self._reports.append(averages.table(**self._table))
        if self._export_to_chrome and self._options.get("on_trace_ready") is None:
            tensorboard_trace_handler(os.fspath(self.dirpath or "."), self._name())(recorded)

    def _end(self) -> None:
        if self._names is not None:
            self._names.remove()
            self._names = None
        while self._open:
            self._open.pop()[1].__exit__(None, None, None)
        if self.profiler is not None:
            self.profiler.stop()
            self.profiler = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the live recording behind."""
        return super().__getstate__() | {"profiler": None, "_trainer": None, "_names": None, "_open": []}


def _check(function: Callable[..., Any], given: dict[str, Any], option: str, taken: tuple[str, ...]) -> None:
    allowed = [name for name in inspect.signature(function).parameters if name not in taken]
    for name in given:
        if name not in allowed:
            raise ConfigurationError(
                f"PyTorchProfiler was given {name!r} in {option}, which {function.__qualname__} of torch "
                f"{torch.__version__} does not take. Expected one of: {', '.join(allowed)}."
            )


def _check_schedule(given: Any) -> None:
    if given is None:
        return
    if not callable(given) or not isinstance(given(0), ProfilerAction):
        raise ConfigurationError(
            f"PyTorchProfiler(schedule={given!r:.80}): expected a function from the number of a batch to a "
            "ProfilerAction. Make one with torch.profiler.schedule(wait=1, warmup=1, active=3)."
        )
