"""The config groups ``optimizer`` and ``scheduler``: what stands in for a module's `configure_optimizers`.

    configure    the optimizer and its scheduler, as `configure_optimizers` returns them
    prove        the same on the module's own parameters before a run is made, and a few steps of the schedule on a
                 parameter of its own: a value that torch refuses, or with which it divides by zero, is found there

torch says what is wrong with a value in its own words, and often only when a schedule is first stepped. Each of its
errors comes out as one `ConfigurationError` that names the group.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.parameter import UninitializedParameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from leyden import rng, updates
from leyden.engine.optimization import SchedulerConfig, parse
from leyden.engine.schedules import check_length
from leyden.errors import ConfigurationError
from leyden.module import LightningModule

if TYPE_CHECKING:
    from leyden.trainer import Trainer

OptimizerGroup = Callable[..., Optimizer]
SchedulerGroup = Mapping[str, Any] | Callable[[Optimizer], Any]

_REFUSED = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, AssertionError, RuntimeError)
_STEPS = 3  # of a schedule, on trial: the first two divide by whatever it divides by
_UPDATES = 2**40  # of the run on trial, where nobody knows yet how many there will be: no warm-up is longer


def configure(
    model: LightningModule, optimizer: OptimizerGroup, scheduler: SchedulerGroup | None
) -> Optimizer | dict[str, Any]:
    """Do what `configure_optimizers` does, with what the optimizer and scheduler groups describe.

    A scheduler that wants to know ``total_steps`` and was not told gets the trainer's estimate.

    Raises:
        ConfigurationError: If one of them refuses its arguments, or nobody knows how many updates there will be.
    """
    made = _made(optimizer, _trainable(model))
    if scheduler is None:
        return made
    both = _with_scheduler(made, scheduler, lambda: _updates(model))
    check_length(model.trainer, parse(both).schedulers[0])
    return both


class Length(NamedTuple):
    """How long a fit is at most, as a trainer is told.

    Attributes:
        max_epochs: -1 for no limit.
        max_steps: Updates; -1 for no limit.
        fast_dev_run: Whether it is a few batches only, for a look at the code.
    """

    max_epochs: int | None
    max_steps: int | None
    fast_dev_run: int | bool | None

    @classmethod
    def of(cls, trainer: Trainer) -> Length:
        """Return that of *trainer*."""
        return cls(trainer.max_epochs, trainer.max_steps, trainer.fast_dev_run)


def prove(
    optimizer: OptimizerGroup | None,
    scheduler: SchedulerGroup | None,
    length: Length,
    model: LightningModule | None = None,
) -> None:
    """Make both as `configure` will, without data and without consequences.

    Args:
        optimizer: The group; None where there is none.
        scheduler: The group; None where there is none.
        length: Of the fit.
        model: As it was built. Where there is none, and where its parameters come into being later (`configure_model`,
            lazy modules), one parameter of two rows and two columns stands for them.

    Raises:
        ConfigurationError: As `configure`; also if the schedule leads to a learning rate below zero, or to none.
    """
    if optimizer is None:
        return
    updates.without_compiler()
    complete = model is not None and _is_complete(model)
    with rng.isolated(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever is worth a warning is said when it is made in earnest
        made = _made(optimizer, _trainable(model) if model is not None and complete else [_parameter()])
        if scheduler is None:
            return
        parse(_with_scheduler(made, scheduler, lambda: _known_updates(length)))
        _step(optimizer, scheduler, lambda: _known_updates(length))


def monitored(scheduler: SchedulerGroup) -> dict[str, str]:
    """Return the metric that the schedule reads after each epoch, if it reads one, with the key that names it."""
    group: Mapping[str, Any] = scheduler if isinstance(scheduler, Mapping) else {}
    every = group.get("interval", "epoch") == "epoch" and group.get("frequency", 1) == 1 and group.get("strict", True)
    return {group["monitor"]: "scheduler.monitor"} if group.get("monitor") is not None and every else {}


def _trainable(model: LightningModule) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _is_complete(model: LightningModule) -> bool:
    later = type(model).configure_model is not LightningModule.configure_model
    return not later and not any(isinstance(each, UninitializedParameter) for each in model.parameters())


def _parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.zeros(2, 2))


@contextmanager
def _refused(group: str, made: Any) -> Iterator[None]:
    """Turn what torch raises about arguments into one error that names the group."""
    try:
        yield
    except ConfigurationError:
        raise
    except _REFUSED as error:
        keywords = made.keywords if isinstance(made, partial) else {}
        given = ", ".join(f"{key}={value!r}" for key, value in keywords.items()) or "nothing"
        what = getattr(made.func, "__name__", group) if isinstance(made, partial) else group
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ConfigurationError(
            f"{group}: {what} does not take these values: {said.strip().rstrip('.')}. It was given {given}. Change "
            f"them: {group}.<argument>=<value>"
        ) from error


def _made(optimizer: OptimizerGroup, parameters: list[torch.nn.Parameter]) -> Optimizer:
    if not parameters:
        raise ConfigurationError(
            "optimizer: the model has no parameter that requires a gradient. Expected at least one. Choose "
            "optimizer=none for a model that is not trained."
        )
    with _refused("optimizer", optimizer):
        return optimizer(parameters)


def _with_scheduler(made: Optimizer, scheduler: SchedulerGroup, count: Callable[[], int]) -> dict[str, Any]:
    group = dict(scheduler) if isinstance(scheduler, Mapping) else {"scheduler": scheduler}
    make = group.get("scheduler")
    if not callable(make):
        raise ConfigurationError(
            f"scheduler: holds {', '.join(map(str, group)) or 'nothing'}, and nothing that makes a scheduler. Expected "
            "a node with a _target_ and _partial_: true under the key 'scheduler'."
        )
    _check_keys(group, make)
    missing = isinstance(make, partial) and "total_steps" in make.keywords and make.keywords["total_steps"] is None
    extra = {"total_steps": count()} if missing else {}
    settings = {key: value for key, value in group.items() if value is not None}
    with _refused("scheduler.scheduler", make):
        return {"optimizer": made, "lr_scheduler": {**settings, "scheduler": make(made, **extra)}}


def _check_keys(group: Mapping[str, Any], make: Any) -> None:
    """Refuse keys beside a scheduler that nobody reads."""
    known = sorted(field.name for field in fields(SchedulerConfig))
    strange = sorted(set(map(str, group)) - set(known))
    if strange:
        raise ConfigurationError(
            f"scheduler: has the keys {', '.join(strange)}, which nobody reads. Expected some of {', '.join(known)}. "
            "Arguments of the scheduler itself belong below scheduler.scheduler."
        )
    if not isinstance(group.get("strict", True), bool):
        raise ConfigurationError(f"scheduler: strict={group['strict']!r} is neither true nor false.")
    reads = getattr(make, "func", make) is ReduceLROnPlateau or group.get("reduce_on_plateau")
    if group.get("monitor") is not None and isinstance(make, partial) and not reads and _is_torchs(make.func):
        raise ConfigurationError(
            f"scheduler: monitor={group['monitor']!r} has no effect: {make.func.__name__} reads no metric. Leave it "
            "out, or choose scheduler=plateau."
        )


def _is_torchs(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).startswith(("torch.optim", "leyden.schedulers"))


def _updates(model: LightningModule) -> int:
    """Return how many updates the fit makes, as far as its loader tells."""
    if model.trainer.fast_dev_run:  # the beginning of a long run
        return _UPDATES
    return _counted(model.trainer.estimated_stepping_batches, "the training data have no length")


def _known_updates(length: Length) -> int:
    """Return how many updates a fit makes at most, without a look at its data."""
    if length.fast_dev_run:
        return _UPDATES
    steps = length.max_steps or -1
    if length.max_epochs == -1:
        return _counted(math.inf if steps == -1 else steps, "trainer.max_epochs is -1")
    return steps if steps > 0 else _UPDATES


def _counted(updates: float, why: str) -> int:
    if math.isinf(updates):
        raise ConfigurationError(
            f"scheduler: its total_steps are those of the whole run, and nobody knows how many that will be: {why}. "
            "Expected a number of updates. Give one: scheduler.scheduler.total_steps=<updates>, or "
            "trainer.max_steps=<updates>"
        )
    return int(updates)


def _step(optimizer: OptimizerGroup, scheduler: SchedulerGroup, count: Callable[[], int]) -> None:
    """Take a few steps of the schedule on a parameter of its own."""
    made = None
    with suppress(Exception):  # an optimizer that wants the parameters of a model: its schedule is not tried
        made = optimizer([_parameter()])
    if made is None:
        return
    config = parse(_with_scheduler(made, scheduler, count)).schedulers[0]
    make = scheduler["scheduler"] if isinstance(scheduler, Mapping) else scheduler
    for _ in range(min(_STEPS, getattr(config.scheduler, "total_steps", _STEPS))):
        with suppress(Exception):
            updates.step(made)
        with _refused("scheduler.scheduler", make):
            _advance(config)
        for rate in (float(group["lr"]) for group in made.param_groups if "lr" in group):
            if not 0 <= rate < math.inf:
                raise ConfigurationError(
                    f"scheduler: leads to a learning rate of {rate:g} within {_STEPS} steps. Expected one from 0 on. "
                    "Change scheduler.scheduler.<argument>"
                )


def _advance(config: SchedulerConfig) -> None:
    if isinstance(config.scheduler, ReduceLROnPlateau):
        config.scheduler.step(1.0)
    else:
        config.scheduler.step()
