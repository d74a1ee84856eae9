"""Run a few steps within a stage, and be back where it was: how learning rates and batch sizes are tried.

What a checkpoint would hold is kept meanwhile: weights, optimizers, schedulers, counters,
values logged, random numbers. Callbacks and loggers of the stage hear nothing. What the
module's own hooks do to attributes that no checkpoint holds is theirs to undo.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from leyden import rng
from leyden.callback import Callback
from leyden.combined_loader import CombinedLoader, samples_of
from leyden.engine.evaluate import evaluate
from leyden.engine.fit import fit
from leyden.engine.generators import set_states, states_of
from leyden.engine.position import StatefulLoader, generators, stateful_samplers
from leyden.engine.predict import predict
from leyden.engine.session import LOADER_HOOK, Session, open_session
from leyden.engine.snapshot import unchanged
from leyden.errors import ConfigurationError
from leyden.metrics import Metrics

if TYPE_CHECKING:
    from leyden.trainer import Trainer

_OPTIONS = (
    *("callbacks", "loggers", "max_steps", "max_epochs", "max_time", "forward_only", "accumulate_grad_batches"),
    *("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches", "overfit_batches"),
    *("val_check_batch", "predict_loop", "_metrics", "_session", "_train_loader", "_clock"),
)
_BEGINNING = {"batch": 0, "pending": 0, "place": "BATCH", "last": False, "should_stop": False, "stops": []}


class Rehearsal:
    """Runs a few steps of a stage when it is called; the weights go on from one call to the next.

    Args:
        session: The stage that was set aside.
        steps: Optimizer steps of a fit, batches of other stages; fewer are done where the data end earlier.
        reload: Whether each call asks for the loaders again.
    """

    def __init__(self, session: Session, steps: int, reload: bool) -> None:
        self._session = session
        self._steps = steps
        self._reload = reload
        self._kind = LOADER_HOOK[session.stage]
        self._kinds = ("train", "val") if self._kind == "train" else (self._kind,)
        self._start = {**session.progress.state_dict(), **_BEGINNING}
        self._schedulers = [(each.scheduler, deepcopy(each.scheduler.state_dict())) for each in session.schedulers]
        self._orders: list[tuple[Any, Any]] = []  # generators and samplers of the loaders, each with its state
        self._calls = 0

    def __call__(self) -> None:
        """Run the steps, from the beginning of an epoch."""
        session, trainer = self._session, self._session.trainer
        session.progress.load_state_dict(deepcopy(self._start))
        if self._calls:
            for scheduler, state in self._schedulers:
                scheduler.load_state_dict(deepcopy(state))
        self._calls += 1
        if self._reload:
            self.forget_loaders()
        self._note_orders()
        metrics = trainer._metrics = vars(session.module)["_metrics"] = Metrics()
        metrics.device = session.metrics.device
        optimization = trainer._optimization if session.stage == "fit" else None
        trainer._session = open_session(trainer, session.stage, session.loaders, optimization)
        _run(trainer._session, self._steps)

    def samples(self) -> float:
        """Return how many samples the largest of the loaders has; ``inf`` where nobody knows."""
        return max((samples_of(source.loader) for source in self._session.loaders.get(self._kind)), default=0)

    def forget_loaders(self) -> None:
        """Let whoever needs the loaders next ask for them again."""
        for kind in self._kinds:
            self._session.loaders.forget(kind)

    def restore_orders(self) -> None:
        """Put back what the loaders keep themselves: generators, and what their samplers count."""
        for owner, state in self._orders:
            if isinstance(owner, StatefulLoader):
                owner.load_state_dict(state)
            else:
                set_states([owner], [state])

    def _note_orders(self) -> None:
        """Ask for the loaders, and note what those that have not been seen yet keep themselves."""
        for kind in self._kinds:
            if kind == "val" and self._kind == "train" and not self._session.trainer.enable_validation:
                continue
            for source in self._session.loaders.get(kind):
                loader = source.loader
                for each in loader.flattened if isinstance(loader, CombinedLoader) else [loader]:
                    for owner in (*generators(each), *stateful_samplers(each)):
                        if not any(owner is known for known, _ in self._orders):
                            self._orders.append((owner, _state(owner)))


def _state(owner: Any) -> Any:
    """Return the state of a generator or of a sampler."""
    return deepcopy(owner.state_dict()) if isinstance(owner, StatefulLoader) else states_of([owner])[0]


@contextmanager
def rehearsal(
    trainer: Trainer, steps: int, callbacks: list[Callback], validation: int = 0, reload: bool = False
) -> Iterator[Rehearsal]:
    """Set the stage aside; hand out what runs *steps* of it with *callbacks*, and nothing else, around.

    Args:
        trainer: In a fit, at its start or that of an epoch; or at the start of another stage.
        steps: Optimizer steps of a fit, batches of other stages.
        callbacks: All that hear the rehearsal beside the module.
        validation: Batches of each validation loader, where a validation is due within a fit; 0 leaves them out.
        reload: Whether loaders are asked for again each time, and once more by the stage that goes on.

    Raises:
        ConfigurationError: If loaders are to be asked for again, and were passed to the trainer instead; or if the
            strategy's updates cannot be undone.
    """
    if trainer.strategy.owns_update:
        raise ConfigurationError(
            f"steps are to be tried and undone, but {type(trainer.strategy).__name__} keeps what they change to "
            "itself. Find the learning rate or the batch size with strategy='ddp' or 'fsdp', and set it."
        )
    session, module, metrics = trainer._running(), trainer.lightning_module, trainer._metrics
    options = {name: getattr(trainer, name) for name in _OPTIONS}
    epoch = session.loaders.epoch
    if reload and session.loaders.given(LOADER_HOOK[session.stage]):
        raise ConfigurationError(
            f"a loader was passed to {session.stage}(), and has the batch size it was made with, so that no other can "
            f"be tried. Return it from {LOADER_HOOK[session.stage]}_dataloader() of the module or of a data module."
        )
    rehearse = Rehearsal(session, steps, reload)
    with rng.isolated(), unchanged(trainer), torch.enable_grad():
        try:
            trainer.callbacks, trainer.loggers, trainer.max_time = callbacks, [], None
            _set_limits(trainer, session, steps, validation, reload)
            yield rehearse
        finally:
            for name, value in options.items():
                setattr(trainer, name, value)
            vars(module)["_metrics"] = metrics
            session.loaders.epoch = epoch
            rehearse.restore_orders()
            if reload:
                rehearse.forget_loaders()
    if reload and trainer._clock is not None:  # training goes on, with the new loader
        trainer._ready_train_loader(session)


def _set_limits(trainer: Trainer, session: Session, steps: int, validation: int, reload: bool) -> None:
    if session.stage != "fit":
        setattr(trainer, f"limit_{LOADER_HOOK[session.stage]}_batches", steps)
        trainer.overfit_batches = 0
        return
    trainer.max_steps = trainer.global_step + steps
    if trainer.max_epochs != -1:
        trainer.max_epochs = max(trainer.max_epochs, trainer.current_epoch + 1)
    trainer.limit_val_batches = validation if trainer.limit_val_batches else 0
    if reload:
        trainer.limit_train_batches, trainer.overfit_batches = 1.0, 0


def _run(session: Session, steps: int) -> None:
    if session.stage == "fit":
        fit(session)
    elif session.stage == "predict":
        predict(session, keep=False)
    else:
        evaluate(session, "validation" if session.stage == "validate" else "test", steps)
