"""From the trainer's options to objects: device, strategy, loggers, callbacks, profiler."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from leyden import ranks
from leyden.callback import Callback, Checkpoint
from leyden.errors import ConfigurationError
from leyden.logger import Logger
from leyden.precision import Precision
from leyden.profiler import Profiler
from leyden.strategy import Strategy

if TYPE_CHECKING:
    from leyden.plugins import AsyncCheckpointIO

_ANY_GPU = ("gpu",)
_ASYNC = "async_checkpoint_io"


def choose_strategy(strategy: Any, accelerator: Any, devices: Any, num_nodes: int) -> Strategy:
    """Return where to run.

    Raises:
        ConfigurationError: If the accelerator is not there, or several devices are asked for.
    """
    from leyden.strategies import Distributed, SingleDevice, named

    if isinstance(strategy, Strategy) and not isinstance(strategy, Distributed):
        return strategy
    kind = _accelerator(accelerator)
    indices = _device_indices(devices, kind)
    started = ranks.current()
    several = len(indices) * num_nodes > 1 or (started is not None and started.world_size > 1)
    if strategy in ("auto", None):
        strategy = "ddp" if several else "single_device"
    if strategy == "single_device":
        if len(indices) * num_nodes > 1:
            raise ConfigurationError(
                f"Trainer(strategy='single_device', devices={devices!r}, num_nodes={num_nodes}) asks for several "
                "devices. Use strategy='auto', which takes 'ddp' for them."
            )
        return SingleDevice(torch.device(kind) if kind == "cpu" else torch.device(kind, indices[0]))
    made = strategy if isinstance(strategy, Distributed) else named(strategy)
    made.place(kind, indices, num_nodes, asked=devices not in ("auto", None))
    return made


def _accelerator(accelerator: Any) -> str:
    """Return the type of device meant by *accelerator*; what torch offers wins over the CPU."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if accelerator == "auto" or accelerator is None:
        return found.type if found is not None else "cpu"
    if accelerator == "cpu":
        return "cpu"
    if found is not None and accelerator in (*_ANY_GPU, found.type):
        return found.type
    there = f"'cpu' and {found.type!r}" if found is not None else "'cpu' only"
    raise ConfigurationError(
        f"Trainer(accelerator={accelerator!r}): torch finds no such device here; it finds {there}. "
        "Use accelerator='auto' to take the best there is."
    )


def _device_indices(devices: Any, kind: str) -> list[int]:
    """Return which devices of this machine to take; processors are one device for each rank that is asked for."""
    found = 1 if kind == "cpu" else torch.accelerator.device_count()
    given = devices
    if devices in ("auto", None):
        return list(range(max(1, found)))
    if isinstance(devices, str) and devices.lstrip("-").isdigit():
        devices = int(devices)
    if isinstance(devices, str) and "," in devices:
        devices = [int(part) for part in devices.split(",") if part.strip().isdigit()]
    if devices == -1 and type(devices) is int:
        return list(range(max(1, found)))
    if type(devices) is int and devices >= 1 and (kind == "cpu" or devices <= found):
        return list(range(devices))
    listed = isinstance(devices, (list, tuple)) and 0 < len(devices) == len(set(devices))
    if listed and all(type(each) is int and each in range(found) for each in devices):
        return list(devices)
    if kind == "cpu":
        raise ConfigurationError(
            f"Trainer(devices={given!r}) on CPUs: expected 'auto' or -1 for one process, or how many processes to "
            "train with, 1 or more."
        )
    raise ConfigurationError(
        f"Trainer(devices={given!r}): there are {found} of type {kind}, counted from 0. Expected 'auto', -1 for all, a "
        "number of them, or a list of indices."
    )


def choose_loggers(logger: Any, fast_dev_run: int) -> list[Logger]:
    """Return the loggers: those given; for True or None, TensorBoard with CSV beside it; for False, none."""
    if logger is False:
        return []
    if fast_dev_run:
        from leyden.loggers import DummyLogger

        return [DummyLogger()]
    if logger is None or logger is True:
        from leyden.loggers import default_loggers

        return default_loggers()
    found = [logger] if isinstance(logger, Logger) else list(logger) if isinstance(logger, Iterable) else None
    wrong = [each for each in found or [] if not isinstance(each, Logger)]
    if found is None or wrong:
        value = wrong[0] if wrong else logger
        raise ConfigurationError(
            f"Trainer(logger=...) was given {value!r:.80} of type {type(value).__name__}. "
            "Expected a Logger, a list of them, True or False."
        )
    return found


def choose_callbacks(given: Any, checkpointing: bool | None, bar: bool | None, summary: bool | None) -> list[Callback]:
    """Return the user's callbacks and the default ones: checkpoint, progress bar, summary.

    Raises:
        ConfigurationError: If a callback is given and its kind is switched off at the same time.
    """
    callbacks: list[Any] = list(given or []) if given is None or isinstance(given, Iterable) else [given]
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ConfigurationError(
                f"Trainer(callbacks=...) was given {callback!r:.80} of type {type(callback).__name__}. "
                "Expected instances of leyden.Callback."
            )
    wanted = {"enable_checkpointing": checkpointing, "enable_progress_bar": bar, "enable_model_summary": summary}
    for switch in switches():
        present = [callback for callback in callbacks if isinstance(callback, switch.kind)]
        if wanted[switch.option] is False and present:
            raise ConfigurationError(
                f"Trainer({switch.option}=False) was given together with the callback {type(present[0]).__name__}. "
                "Drop one of the two."
            )
        if not present and wanted[switch.option] is not False:
            callbacks.append(switch.make())
    return callbacks


@dataclass(frozen=True)
class Switch:
    """An option of the trainer that leaves out a kind of callback.

    Args:
        option: Its name; False leaves the kind out.
        name: Of the one that the default config has.
        kind: Of the callbacks.
        make: Makes the one that the trainer takes by itself.
    """

    option: str
    name: str
    kind: type[Callback]
    make: Callable[[], Callback]


def switches() -> tuple[Switch, ...]:
    """Return the options that leave out a kind of callback."""
    from leyden.callbacks import ModelCheckpoint, ModelSummary, ProgressBar, default_progress_bar

    return (
        Switch("enable_checkpointing", "model_checkpoint", Checkpoint, ModelCheckpoint),
        Switch("enable_progress_bar", "progress_bar", ProgressBar, default_progress_bar),
        Switch("enable_model_summary", "model_summary", ModelSummary, ModelSummary),
    )


def choose_plugins(plugins: Any, precision: Any) -> tuple[Any, AsyncCheckpointIO | None]:
    """Return the precision among *plugins*, or *precision* where there is none, and what writes checkpoints.

    Raises:
        ConfigurationError: If there is anything else among them, or two of a kind are given.
    """
    from leyden.plugins import AsyncCheckpointIO

    given = [] if plugins is None else list(plugins) if isinstance(plugins, (list, tuple)) else [plugins]
    given = [AsyncCheckpointIO() if each == _ASYNC else each for each in given]
    for plugin in given:
        if not isinstance(plugin, (Precision, AsyncCheckpointIO)):
            raise ConfigurationError(
                f"Trainer(plugins=...) was given {plugin!r:.80} of type {type(plugin).__name__}. "
                f"Expected a Precision, an AsyncCheckpointIO or {_ASYNC!r}; a strategy goes to strategy=..."
            )
    writers = [plugin for plugin in given if isinstance(plugin, AsyncCheckpointIO)]
    precisions = [plugin for plugin in given if isinstance(plugin, Precision)]
    if len(precisions) + (precision is not None) > 1:
        raise ConfigurationError("Trainer(...) was given two precisions, in plugins=... and precision=.... Pass one.")
    if len(writers) > 1:
        raise ConfigurationError("Trainer(plugins=...) was given AsyncCheckpointIO twice. Pass one.")
    return precisions[0] if precisions else precision, writers[0] if writers else None


def choose_profiler(profiler: Any) -> Profiler:
    """Return the profiler meant by ``"simple"``, ``"advanced"``, ``"pytorch"`` or an object; for None, an idle one.

    Raises:
        ConfigurationError: If it is none of these.
    """
    if isinstance(profiler, Profiler):
        return profiler
    from leyden import profilers

    if profiler is None:
        return profilers.PassThroughProfiler()
    if profiler == "simple":
        return profilers.SimpleProfiler()
    if profiler == "advanced":
        return profilers.AdvancedProfiler()
    if profiler == "pytorch":
        return profilers.PyTorchProfiler()
    raise ConfigurationError(
        f"Trainer(profiler={profiler!r}): expected 'simple', 'advanced', 'pytorch', a Profiler or None."
    )
