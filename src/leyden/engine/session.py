"""One stage being executed: everything a loop needs, set up, surrounded and taken down.

    configure_callbacks ─► prepare_data ─► loggers ─► setup ─► configure_model ─► [load checkpoint]
      ─► to the device ─► configure_optimizers ─► on_fit_start ─► [restore] ─► the stage ─► teardown

`Session` is frozen: what changes while it runs lives in `Progress`, `Metrics`, the module,
the optimizers and the loader, each with a state of its own that checkpoints collect.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from leyden import rng
from leyden.callback import Callback
from leyden.combined_loader import CombinedLoader
from leyden.datamodule import LightningDataModule
from leyden.engine.compiled import compiled
from leyden.engine.data import INFINITE, Source, TrainLoader, Wanted, members, request, sources, training_source
from leyden.engine.hooks import Hooks, check_names, is_overridden
from leyden.engine.optimization import Optimization, SchedulerConfig
from leyden.engine.parts import part
from leyden.engine.position import stand_again, standing
from leyden.engine.remarks import about_processes
from leyden.engine.shards import Share
from leyden.engine.signals import StopFlag
from leyden.engine.transfer import Transfer, TransferHook, transfer_function, transfer_hooks
from leyden.errors import ConfigurationError
from leyden.metrics import Metrics
from leyden.module import LightningModule
from leyden.precision import Precision
from leyden.progress import Progress
from leyden.strategy import Strategy

if TYPE_CHECKING:
    from leyden.profiler import Profiler
    from leyden.trainer import Trainer

Stage = Literal["fit", "validate", "test", "predict"]
LOADER_HOOK = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}


@dataclass(frozen=True)
class Session:
    """What the loops work with; see `leyden.engine.step` for the most demanding reader.

    Attributes:
        stage: What is being executed.
        trainer: The front door; holds the options.
        module: The user's model.
        datamodule: The user's data module, if there is one.
        hooks: Overridden hooks, ready to be called.
        strategy: Where it runs.
        precision: In which number formats.
        progress: How far it is.
        metrics: What was logged.
        stop: Whether a signal asked to stop.
        loaders: Where batches come from.
        transfer: Brings a batch to the device; None where nothing is to be done.
        transfer_hooks: What the user has overridden of it.
        profiler: Times hooks and steps, when there is one.
        optimizers: In the order the module returned them.
        schedulers: Likewise; the trainer's own list, which a callback may change.
        frequencies: How many batches in a row each of several optimizers takes; empty for all each time.
        forward: ``training_step`` of batch and index, as strategy and precision wrap it.
        backward: Differentiates a loss: torch's own method, unless the module overrides it.
        step: Runs one batch: one of the functions in `leyden.engine.step`.
    """

    stage: Stage
    trainer: Trainer
    module: LightningModule
    datamodule: LightningDataModule | None
    hooks: Hooks
    strategy: Strategy
    precision: Precision
    progress: Progress
    metrics: Metrics
    stop: StopFlag
    loaders: Loaders
    transfer: Transfer | None
    transfer_hooks: list[TransferHook]
    profiler: Profiler | None = None
    optimizers: tuple[Optimizer, ...] = ()
    schedulers: list[SchedulerConfig] = field(default_factory=list)
    frequencies: tuple[int, ...] = ()
    forward: Callable[..., Any] = LightningModule.training_step
    backward: Callable[..., Any] = Tensor.backward
    step: Callable[..., Any] = LightningModule.training_step


class Loaders:
    """The loaders of one stage, asked for when they are first needed.

    Args:
        trainer: Holds the limits.
        module: May bring loaders.
        datamodule: May bring loaders, and wins over the module.
        given: Loaders passed to the trainer, by the name of the hook they replace; win over both.
    """

    def __init__(
        self,
        trainer: Trainer,
        module: LightningModule,
        datamodule: LightningDataModule | None,
        given: dict[str, Any],
    ) -> None:
        self._trainer = trainer
        self._module = module
        self._datamodule = datamodule
        self._given = given
        self._found: dict[str, list[Source]] = {}
        self.raw: dict[str, Any] = {}
        self.even: dict[str, bool] = {}  # whether all ranks have as many batches of an evaluation
        self.epoch = trainer.current_epoch  # in which they were asked for
        self._asked: dict[str, dict[str, Any]] = {}  # when, where they are asked for more than once
        self._resumed: dict[str, Any] = {}

    def has(self, kind: str) -> bool:
        """Whether anybody brings loaders of *kind*: ``train``, ``val``, ``test`` or ``predict``."""
        name = f"{kind}_dataloader"
        if self._given.get(name) is not None or is_overridden(self._module, name, LightningModule):
            return True
        return self._datamodule is not None and is_overridden(self._datamodule, name, LightningDataModule)

    def given(self, kind: str) -> bool:
        """Whether loaders of *kind* were passed to the trainer, in the place of a hook."""
        return self._given.get(f"{kind}_dataloader") is not None

    def get(self, kind: str) -> list[Source]:
        """Return the loaders of *kind* with their numbers of batches; empty where there are none."""
        if kind not in self._found:
            self._found[kind] = self._request_as_then(kind)
            for loader, state in zip(self._members(kind), self._resumed.pop(kind, ()), strict=False):
                if state is not None:
                    stand_again(loader, state)
        return self._found[kind]

    def known(self, kind: str) -> list[Source]:
        """Return what `get` has found so far, without asking anybody."""
        return self._found.get(kind, [])

    def forget(self, kind: str) -> None:
        """Ask again the next time."""
        self._found.pop(kind, None)
        self._asked.pop(kind, None)
        self._resumed.pop(kind, None)

    def state_dict(self) -> dict[str, Any]:
        """Return what finds the loaders of a validation again, between two of them, and those that were exchanged."""
        training = self._members("train")
        return {
            "val": [
                None if any(each is other for other in training) else standing(each, between_passes=True)
                for each in self._members("val")
            ],
            "asked": self._asked,
            "epoch": self.epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned, before the loaders are asked for."""
        self._resumed = {"val": state.get("val", [])}
        self._asked = dict(state.get("asked", {}))
        self.epoch = state.get("epoch", self.epoch)

    def _members(self, kind: str) -> list[Any]:
        return [each for source in self.known(kind) for each in members(source.loader)]

    def _request_as_then(self, kind: str) -> list[Source]:
        """Ask for loaders; in a resumed run in the epoch and under the random numbers of when they were asked for."""
        trainer, then = self._trainer, self._asked.get(kind)
        if then is None:
            if trainer.reload_dataloaders_every_n_epochs:
                self._asked[kind] = {"epoch": trainer.current_epoch, "rng": rng.capture()}
            return self._request(kind)
        now = trainer._progress.epochs
        with rng.isolated():
            rng.restore(then["rng"])
            trainer._progress.epochs = then["epoch"]
            try:
                return self._request(kind)
            finally:
                trainer._progress.epochs = now

    def _request(self, kind: str) -> list[Source]:
        name, trainer = f"{kind}_dataloader", self._trainer
        limit: float = getattr(trainer, f"limit_{kind}_batches")
        if limit == 0:
            return []
        if self._trainer._metrics.hook:
            self._trainer._metrics.hook = name
        found = request(name, self._given.get(name), self._module, self._datamodule)
        if found is None:
            return []
        self.raw[kind] = found.iterables if isinstance(found, CombinedLoader) else found
        about_processes(trainer.strategy, self.raw[kind])
        wanted = Wanted(
            limit=limit,
            overfit=trainer.overfit_batches if kind in ("train", "val") else 0,
            where=f"{name}()",
            seed=trainer.sample_seed,
            share=_share(trainer),
            training=kind == "train",
        )
        if kind == "train":
            return _agreed([training_source(found, wanted)], trainer.strategy, wanted.where)
        found = sources(found, wanted, side_by_side=kind != "predict")
        self.even[kind] = _even(found, trainer.strategy)
        return found


def _share(trainer: Trainer) -> Share | None:
    """Return which part of the loaders is for this process; None for everything."""
    rank, world = trainer.strategy.share
    return Share(rank, world, trainer.strategy.broadcast) if world > 1 and trainer.use_distributed_sampler else None


def _even(found: list[Source], strategy: Strategy) -> bool:
    """Whether all ranks have as many batches of each loader."""
    if strategy.world_size == 1:
        return True
    counts = torch.tensor([source.batches if source.certain else INFINITE for source in found], dtype=torch.float64)
    same = bool((strategy.reduce(counts, "min") == strategy.reduce(counts, "max")).all())
    return same and bool(counts.isfinite().all())


def _agreed(found: list[Source], strategy: Strategy, where: str) -> list[Source]:
    """Return *found* if all ranks have as many batches: with fewer, a rank would leave the others waiting.

    Raises:
        ConfigurationError: If they have not.
    """
    if strategy.world_size == 1:
        return found
    count = torch.tensor(found[0].batches, dtype=torch.float64)
    least, most = strategy.reduce(count, "min").item(), strategy.reduce(count, "max").item()
    if least != most:
        raise ConfigurationError(
            f"{where} has {int(found[0].batches)} batches on rank {strategy.global_rank}, but the ranks have from "
            f"{int(least)} to {int(most)}: those with more would wait for the others for ever. Return the same loader "
            "on every rank and let it be divided (use_distributed_sampler=True), or set limit_train_batches="
            f"{int(least)}."
        )
    certain = bool(strategy.reduce(torch.tensor(float(found[0].certain)), "min"))
    return [found[0]._replace(certain=certain)]


def merge_callbacks(trainer: Trainer, module: LightningModule) -> list[Callback]:
    """Return the trainer's callbacks with the module's own, checkpoints last.

    A callback of the module replaces trainer callbacks of the same or a parent type.

    Raises:
        ConfigurationError: If two callbacks with a state share a key, or a hook's name is misspelt.
    """
    returned = module.configure_callbacks() if is_overridden(module, "configure_callbacks", LightningModule) else []
    own: list[Callback] = [returned] if isinstance(returned, Callback) else list(returned or [])
    kept = [callback for callback in trainer.callbacks if not any(isinstance(new, type(callback)) for new in own)]
    merged = in_order([*kept, *own])
    check_callbacks(merged)
    check_names(module)
    return merged


def in_order(callbacks: list[Callback]) -> list[Callback]:
    """Keep the user's order, with those that run last behind the others."""
    return sorted(callbacks, key=lambda callback: callback.runs_last)


def check_callbacks(callbacks: list[Callback]) -> None:
    """Refuse misspelt hooks, and callbacks whose states would overwrite one another."""
    keys: dict[str, Callback] = {}
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ConfigurationError(
                f"{callback!r:.80} of type {type(callback).__name__} was given as a callback. "
                "Expected an instance of a subclass of leyden.Callback."
            )
        check_names(callback)
        if not is_overridden(callback, "state_dict", Callback):
            continue
        if callback.state_key in keys:
            raise ConfigurationError(
                f"two callbacks of type {type(callback).__name__} share the state key {callback.state_key!r}, "
                "so that a "
                "checkpoint could keep only one of them. Give them different arguments, or override state_key."
            )
        keys[callback.state_key] = callback


def takes_index(step: Callable[..., Any]) -> bool:
    """Whether a step wants the index of the batch as its second argument, whatever its name."""
    parameters = list(inspect.signature(step).parameters.values())
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    starred = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return starred or "batch_idx" in (each.name for each in parameters) or len(positional) >= 2


def step_of(trainer: Trainer, name: str) -> Callable[..., Any]:
    """Return the step called *name*, compiled, timed and synchronised as the trainer is told to."""
    module = trainer.lightning_module
    step = compiled(module, getattr(module, name), trainer._compiler)
    if name == "training_step":
        step = trainer.strategy.wrap(step if takes_index(step) else _first(step), module)
    else:
        step = trainer.strategy.enclose(step, module)
    if trainer.profiler.measures:
        step = trainer.profiler.timed(f"[{type(module).__name__}] {name}", step)
    return step


def in_precision(precision: Precision, step: Callable[..., Any]) -> Callable[..., Any]:
    """Return *step* surrounded by the context of *precision*, where it has one."""
    if not is_overridden(precision, "forward_context", Precision):
        return step

    def surrounded(*args: Any, **kwargs: Any) -> Any:
        with precision.forward_context():
            return step(*args, **kwargs)

    return surrounded


def _first(step: Callable[..., Any]) -> Callable[..., Any]:
    """Adapt a step that wants nothing but the batch."""
    return lambda batch, batch_idx, **kwargs: step(batch, **kwargs)


def takes(step: Callable[..., Any], name: str) -> bool:
    """Whether a step has a parameter called *name*."""
    parameters = inspect.signature(step).parameters
    return name in parameters


@contextmanager
def attached(trainer: Trainer, module: LightningModule, datamodule: LightningDataModule | None) -> Iterator[None]:
    """Introduce module, data module and callbacks to the trainer for the time of a stage."""
    slots = vars(module)
    slots["_trainer"], slots["_metrics"] = trainer, trainer._metrics
    slots["_device"] = trainer.strategy.root_device
    if trainer.barebones:
        slots["log"] = slots["log_dict"] = _log_nothing
    if datamodule is not None:
        datamodule.trainer = trainer
    lent = [callback for callback in trainer.callbacks if not {"log", "log_dict"} & vars(callback).keys()]
    for callback in lent:
        vars(callback).update(log=module.log, log_dict=module.log_dict)
    try:
        yield
    finally:
        for callback in lent:
            vars(callback).pop("log", None)
            vars(callback).pop("log_dict", None)
        for name in ("_metrics", "_device", *(("log", "log_dict") if trainer.barebones else ())):
            slots.pop(name, None)


def _log_nothing(*args: Any, **kwargs: Any) -> None:
    """Take the place of ``self.log`` in a barebones run."""


def prepare(
    trainer: Trainer,
    module: LightningModule,
    datamodule: LightningDataModule | None,
    stage: Stage,
    checkpoint: dict[str, Any] | None,
) -> None:
    """Run everything up to `configure_model`: data, loggers, `setup`.

    Loggers learn what a resumed run had written before they open anything.
    """
    metrics, strategy = trainer._metrics, trainer.strategy
    metrics.device = strategy.root_device
    metrics.hook = "prepare_data"
    if strategy.local_rank == 0:
        for owner, contract in ((datamodule, LightningDataModule), (module, LightningModule)):
            if owner is not None and is_overridden(owner, "prepare_data", contract):
                owner.prepare_data()
    strategy.barrier("prepare_data")
    written = checkpoint.get("leyden", {}).get("loggers", []) if checkpoint is not None and stage == "fit" else []
    for logger in trainer.loggers:
        logger.attach(trainer.default_root_dir)
    for index, (logger, state) in enumerate(zip(trainer.loggers, written, strict=False)):
        with part(trainer.ckpt_path or "", f"leyden.loggers[{index}]"):
            logger.load_state_dict(state)
    for logger in trainer.loggers:
        _ = logger.experiment
    if strategy.world_size > 1:
        opened = strategy.broadcast([logger.version for logger in trainer.loggers])
        for logger, version in zip(trainer.loggers, opened, strict=True):
            logger.adopt(version)
    if trainer.profiler.measures:
        trainer.profiler.attach(trainer, stage)
    strategy.barrier("pre_setup")
    metrics.hook = "setup"
    if datamodule is not None:
        datamodule.setup(stage=stage)
    for callback in trainer.callbacks:
        callback.setup(trainer, module, stage=stage)
    module.setup(stage=stage)
    strategy.barrier("post_setup")
    if is_overridden(module, "configure_model", LightningModule):
        metrics.hook = "configure_model"
        with strategy.root_device, trainer.precision_plugin.init_context():
            module.configure_model()


def open_session(trainer: Trainer, stage: Stage, loaders: Loaders, optimization: Optimization | None) -> Session:
    """Resolve everything a loop would otherwise look up on every step."""
    module, datamodule = trainer.lightning_module, trainer.datamodule
    profiler = trainer.profiler if trainer.profiler.measures else None
    on_the_way = transfer_hooks(module, datamodule)
    hooks = Hooks(trainer, module, trainer.callbacks, trainer._metrics, profiler)
    common: dict[str, Any] = {
        "stage": stage,
        "trainer": trainer,
        "module": module,
        "datamodule": datamodule,
        "hooks": hooks,
        "strategy": trainer.strategy,
        "precision": trainer.precision_plugin,
        "progress": trainer._progress,
        "metrics": trainer._metrics,
        "stop": trainer._stop,
        "loaders": loaders,
        "profiler": profiler,
        "transfer": transfer_function(
            on_the_way, trainer.strategy.root_device, trainer.precision_plugin, trainer._metrics
        ),
        "transfer_hooks": on_the_way,
    }
    if optimization is None:
        return Session(**common)
    from leyden.engine.step import choose_step

    step = choose_step(module, optimization)
    forward = step_of(trainer, "training_step")
    if profiler is not None:
        step = profiler.timed("run_training_batch", step)
    return Session(
        **common,
        optimizers=optimization.optimizers,
        schedulers=optimization.schedulers,
        frequencies=optimization.frequencies,
        forward=in_precision(trainer.precision_plugin, forward),
        backward=module.backward if is_overridden(module, "backward", LightningModule) else trainer.strategy.backward,
        step=step,
    )


@contextmanager
def evaluating(
    module: LightningModule, stage: str, hooks: Hooks, grad: torch.no_grad | torch.inference_mode
) -> Iterator[None]:
    """Evaluation mode without gradients; every submodule's own flag is restored."""
    flags = {child: child.training for child in module.modules()}
    try:
        with grad:
            hooks.call(f"on_{stage}_model_eval")
            yield
            if hooks.heard(f"on_{stage}_model_train"):
                hooks.call(f"on_{stage}_model_train")
                flags = {}  # the hook decides
    finally:
        for child, flag in flags.items():
            child.training = flag


__all__ = ["Loaders", "Session", "Stage", "TrainLoader", "attached", "open_session", "prepare"]
