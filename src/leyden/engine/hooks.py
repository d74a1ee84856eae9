"""Which hooks are overridden: looked up once, when a stage opens.

Two names of the table differ from the plain rule "callbacks in their order, then the
module": `on_train_epoch_end`, where callbacks that monitor a metric come after the module
so that they see what it logged there, and `setup` / `teardown`, which start with the data
module.

A method that looks like a hook but is none would be dead code; it is refused here.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from leyden.callback import Callback
from leyden.errors import ConfigurationError
from leyden.module import LightningModule

if TYPE_CHECKING:
    from leyden.metrics import Metrics
    from leyden.profiler import Profiler

_EVALUATIONS = ("validation", "test", "predict")
_SHARED = (
    "on_fit_start on_fit_end on_train_start on_train_end on_train_epoch_start on_train_epoch_end "
    "on_train_batch_start on_train_batch_end on_before_zero_grad on_before_backward on_after_backward "
    "on_before_optimizer_step"
).split() + [
    f"on_{stage}_{when}"
    for stage in _EVALUATIONS
    for when in ("start", "end", "epoch_start", "epoch_end", "batch_start", "batch_end")
]
CALLBACK_HOOKS = (*_SHARED, "on_sanity_check_start", "on_sanity_check_end", "on_exception")
MODULE_HOOKS = (
    *_SHARED,
    "on_validation_model_zero_grad",
    *(f"on_{stage}_model_{mode}" for stage in _EVALUATIONS for mode in ("eval", "train")),
)
_OTHER_NAMES = frozenset(
    "on_save_checkpoint on_load_checkpoint on_before_batch_transfer on_after_batch_transfer on_gpu".split()
)

_EPOCH_END_REMEDY = (
    "Collect what you need in a list of your own during the steps and use it in on_{stage}_epoch_end(self)."
)
REMOVED = {
    "training_epoch_end": _EPOCH_END_REMEDY.format(stage="train"),
    "validation_epoch_end": _EPOCH_END_REMEDY.format(stage="validation"),
    "test_epoch_end": _EPOCH_END_REMEDY.format(stage="test"),
    "training_step_end": "Move its body to the end of training_step.",
    "validation_step_end": "Move its body to the end of validation_step.",
    "test_step_end": "Move its body to the end of test_step.",
    "on_epoch_start": "Use on_train_epoch_start, on_validation_epoch_start or on_test_epoch_start.",
    "on_epoch_end": "Use on_train_epoch_end, on_validation_epoch_end or on_test_epoch_end.",
    "on_batch_start": "Use on_train_batch_start.",
    "on_batch_end": "Use on_train_batch_end.",
    "on_pretrain_routine_start": "Use on_fit_start.",
    "on_pretrain_routine_end": "Use on_fit_start.",
    "on_init_start": "Put it into the constructor, or use setup.",
    "on_init_end": "Put it into the constructor, or use setup.",
    "on_keyboard_interrupt": "Use on_exception and test for KeyboardInterrupt.",
    "on_hpc_save": "Use on_save_checkpoint.",
    "on_hpc_load": "Use on_load_checkpoint.",
    "on_train_dataloader": "Use setup, or on_train_start.",
    "on_val_dataloader": "Use setup, or on_validation_start.",
    "on_test_dataloader": "Use setup, or on_test_start.",
    "on_configure_sharded_model": "Use setup.",
    "configure_sharded_model": "Rename it to configure_model.",
    "on_before_accelerator_backend_setup": "Use setup.",
    "tbptt_split_batch": "Use manual optimisation (self.automatic_optimization = False) for truncated backpropagation.",
}
_STEPS = "training_step validation_step test_step predict_step".split()
_REMOVED_CALLBACK = {name: remedy for name, remedy in REMOVED.items() if name.startswith("on_")}


def is_overridden(owner: Any, name: str, contract: type) -> bool:
    """Whether *owner* brings its own *name*, on its class or assigned to the instance."""
    if name in vars(owner):
        return callable(vars(owner)[name])
    own = getattr(type(owner), name, None)
    return callable(own) and own is not getattr(contract, name, None)


class Hooks:
    """The hooks of one stage, each a tuple of calls that are ready to be made.

    Args:
        trainer: First argument of every callback hook.
        module: Second argument of every callback hook, and the last to hear each one.
        callbacks: In the order they are to be called.
        metrics: Told which hook is running, as the meaning of ``self.log`` depends on it.
        profiler: Times every call, when there is one.
    """

    def __init__(
        self,
        trainer: Any,
        module: LightningModule,
        callbacks: Iterable[Callback],
        metrics: Metrics,
        profiler: Profiler | None = None,
    ) -> None:
        self._metrics = metrics
        self._profiler = profiler
        callbacks = list(callbacks)
        bind = partial(self._bind, trainer, module)
        self._table: dict[str, tuple[Callable[..., Any], ...]] = {}
        self._answering: set[str] = set()  # hooks of the module: what they return may mean something
        for name in {*CALLBACK_HOOKS, *MODULE_HOOKS}:
            before, after = callbacks, []
            if name == "on_train_epoch_end":
                before = [callback for callback in callbacks if not callback.monitors]
                after = [callback for callback in callbacks if callback.monitors]
            own = [self._timed(module, name)] if self._wants(module, name) else []
            self._table[name] = (*bind(before, name), *own, *bind(after, name))
            if own:
                self._answering.add(name)
        self._monitoring = bind([callback for callback in callbacks if callback.monitors], "on_train_epoch_end")

    def _bind(
        self, trainer: Any, module: LightningModule, callbacks: list[Callback], name: str
    ) -> tuple[Callable[..., Any], ...]:
        return tuple(
            partial(self._timed(callback, name), trainer, module)
            for callback in callbacks
            if is_overridden(callback, name, Callback)
        )

    def _timed(self, owner: Any, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(owner, name)
        if self._profiler is None:
            return method
        return self._profiler.timed(f"[{type(owner).__name__}] {name}", method)

    def _wants(self, module: LightningModule, name: str) -> bool:
        if name.endswith(("_model_eval", "_model_zero_grad")):
            return True  # their defaults do something
        return name in MODULE_HOOKS and is_overridden(module, name, LightningModule)

    def call(self, name: str, *args: Any) -> Any:
        """Call hook *name* wherever it is overridden; returns what the module returned.

        The module comes last; what callbacks return means nothing.
        """
        calls = self._table[name]
        if not calls:
            return None
        self._metrics.hook, result = name, None
        for hook in calls:
            result = hook(*args)
        return result if name in self._answering else None

    def call_epoch_end(self, before_monitoring: Callable[[], None]) -> None:
        """Call `on_train_epoch_end`, and *before_monitoring* ahead of the callbacks that may save."""
        calls = self._table["on_train_epoch_end"]
        self._metrics.hook = "on_train_epoch_end"
        first = len(calls) - len(self._monitoring)
        for hook in calls[:first]:
            hook()
        before_monitoring()
        for hook in calls[first:]:
            hook()

    def heard(self, name: str) -> bool:
        """Whether anybody overrides hook *name*."""
        return bool(self._table[name])


def check_names(owner: Callback | LightningModule) -> None:
    """Refuse hooks that were removed, and methods that miss a hook's name by a letter or two.

    Raises:
        ConfigurationError: Names the method, its class and file, and the right spelling.
    """
    contract, removed = (
        (LightningModule, REMOVED) if isinstance(owner, LightningModule) else (Callback, _REMOVED_CALLBACK)
    )
    if isinstance(owner, LightningModule):
        _refuse_iterators(owner)
    known = [name for name in (*MODULE_HOOKS, *CALLBACK_HOOKS, *_OTHER_NAMES) if hasattr(contract, name)]
    for name in dir(type(owner)):
        if hasattr(contract, name) or not callable(getattr(type(owner), name, None)):
            continue
        if name in removed and not _called_by_itself(owner, name):
            raise ConfigurationError(
                f"{type(owner).__name__}.{name} is a hook that no longer exists, so it would never be called."
                f"{_place(owner, name)}\n  {removed[name]}"
            )
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.88) if name.startswith("on_") else []
        if close:
            raise ConfigurationError(
                f"{type(owner).__name__}.{name} is not a hook, so it would never be called.{_place(owner, name)}\n"
                f"  Did you mean {close[0]!r}?\n"
                "  If it is a method of your own, rename it without the 'on_' prefix."
            )


def _refuse_iterators(module: LightningModule) -> None:
    """Refuse steps that want to fetch their batches themselves."""
    for name in _STEPS:
        if "dataloader_iter" in inspect.signature(getattr(module, name)).parameters:
            raise ConfigurationError(
                f"{type(module).__name__}.{name} takes dataloader_iter, to fetch its batches itself, which is not "
                f"supported.{_place(module, name)}\n"
                f"  Write {name}(self, batch, batch_idx): every step is given its batch."
            )


def _called_by_itself(owner: Any, name: str) -> bool:
    """Whether a method of *owner*'s own classes mentions *name*: then it is no dead code."""
    functions = (each for cls in type(owner).__mro__ for each in vars(cls).values())
    return any(name in code.co_names for each in functions if (code := getattr(each, "__code__", None)) is not None)


def _place(owner: Any, name: str) -> str:
    code = getattr(getattr(type(owner), name), "__code__", None)
    return f"\n  defined at: {code.co_filename}:{code.co_firstlineno}" if code is not None else ""
