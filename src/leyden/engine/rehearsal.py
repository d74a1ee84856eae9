"""Train for a few steps within a fit, and be back where it was: how learning rates and batch sizes are tried.

What a checkpoint would hold is kept in memory meanwhile: weights, optimizers, schedulers,
counters, values logged, random numbers. Callbacks and loggers of the fit hear nothing, and
nothing is validated. What the module's own hooks do to attributes that no checkpoint holds
is theirs to undo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from leyden import rng
from leyden.callback import Callback
from leyden.combined_loader import CombinedLoader
from leyden.engine.fit import fit
from leyden.engine.position import generators
from leyden.engine.session import open_session
from leyden.metrics import Metrics

if TYPE_CHECKING:
    from leyden.trainer import Trainer

_OPTIONS = (
    *("callbacks", "loggers", "max_steps", "limit_val_batches", "forward_only", "accumulate_grad_batches"),
    *("val_check_batch", "_metrics", "_session", "_train_loader", "_clock"),
)


@contextmanager
def rehearsal(trainer: Trainer, steps: int, callbacks: list[Callback]) -> Iterator[Callable[[], None]]:
    """Set the fit aside; hand out what trains for *steps* optimizer steps with *callbacks*, and nothing else, around.

    Args:
        trainer: In a fit, at its start or between two epochs.
        steps: Fewer are done where the fit would end earlier.
        callbacks: All that hear the rehearsal beside the module.
    """
    session, module, metrics = trainer._running(), trainer.lightning_module, trainer._metrics
    options = {name: getattr(trainer, name) for name in _OPTIONS}
    with rng.isolated(), _kept(trainer, session.loaders.get("train")), torch.enable_grad():
        try:
            trainer.callbacks, trainer.loggers = callbacks, []
            trainer.max_steps, trainer.limit_val_batches = trainer.global_step + steps, 0
            trainer._metrics = vars(module)["_metrics"] = Metrics()
            trainer._metrics.device = metrics.device
            trainer._session = open_session(trainer, "fit", session.loaders, trainer._optimization)
            yield lambda: fit(trainer._running())
        finally:
            for name, value in options.items():
                setattr(trainer, name, value)
            vars(module)["_metrics"] = metrics


@contextmanager
def _kept(trainer: Trainer, sources: list[Any]) -> Iterator[None]:
    """Put everything back that training changes."""
    module, optimization, precision = trainer.lightning_module, trainer._optimization, trainer.precision_plugin
    schedulers = list(optimization.schedulers)
    owners = [*optimization.optimizers, *(config.scheduler for config in schedulers), precision, trainer._progress]
    states = [deepcopy(owner.state_dict()) for owner in owners]
    weights, logged = deepcopy(module.state_dict()), deepcopy(trainer._metrics.state_dict(module))
    orders = [(each, each.get_state()) for source in sources for each in _generators(source.loader)]
    try:
        yield
    finally:
        optimization.schedulers[:] = schedulers
        module.load_state_dict(weights)
        module.zero_grad()
        trainer._metrics.load_state_dict(logged, module)
        for owner, state in zip(owners, states, strict=True):
            owner.load_state_dict(state)
        for generator, order in orders:
            generator.set_state(order)


def _generators(loader: Any) -> list[torch.Generator]:
    loaders = loader.flattened if isinstance(loader, CombinedLoader) else [loader]
    return [generator for each in loaders for generator in generators(each)]
