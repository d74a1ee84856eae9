"""Open a stage, guard it, and close it, whatever happens inside.

The one place that knows the order of everything around a loop; see `leyden.engine.session`
for the order of the set-up. Teardown hooks run after an exception, too, and loggers are
told how it ended.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from leyden import rng
from leyden.algorithms import algorithms, use_algorithms
from leyden.datamodule import LightningDataModule
from leyden.engine import checkpoint as checkpoints
from leyden.engine.compiled import compiler_of, unwrapped
from leyden.engine.evaluate import beginning_anew_on_resume, evaluate
from leyden.engine.extent import check_sizes
from leyden.engine.hooks import is_overridden
from leyden.engine.optimization import parse, use_fused
from leyden.engine.predict import predict
from leyden.engine.session import LOADER_HOOK, Loaders, Session, Stage, attached, merge_callbacks, open_session, prepare
from leyden.errors import ConfigurationError, StageEnded
from leyden.module import LightningModule
from leyden.plain import plain
from leyden.recency import newest
from leyden.state import RunningStage, StageOutcome, TrainerFn, TrainerStatus
from leyden.strategy import Strategy
from leyden.updates import without_compiler
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from leyden.trainer import Trainer

_STEP = {"validate": "validation_step", "test": "test_step"}
_STAGE = {
    TrainerFn.FITTING: RunningStage.TRAINING,
    TrainerFn.VALIDATING: RunningStage.VALIDATING,
    TrainerFn.TESTING: RunningStage.TESTING,
    TrainerFn.PREDICTING: RunningStage.PREDICTING,
}


@contextmanager
def opened(
    trainer: Trainer,
    fn: TrainerFn,
    model: LightningModule | None,
    given: dict[str, Any],
    datamodule: LightningDataModule | None,
    ckpt_path: str | os.PathLike[str] | None,
    weights_only: bool | None,
) -> Iterator[Session]:
    """Do everything before a stage, hand out its session, and everything after it.

    Args:
        trainer: Whose method was called.
        fn: Which method.
        model: What it was given; None takes the model of the latest call.
        given: Loaders by the name of the hook they replace.
        datamodule: What it was given.
        ckpt_path: Checkpoint to load.
        weights_only: Whether it may hold nothing but plain types and tensors.

    Raises:
        ConfigurationError: If something that the stage needs is missing; nothing has been touched then.
    """
    stage: Stage = fn.value
    trainer.strategy.open()
    given, datamodule = _data_module_in_place_of_loader(given, datamodule)
    model, compiler = unwrapped(model)
    module, ckpt_path = _module_and_checkpoint(trainer, stage, model, ckpt_path)
    loaders = Loaders(trainer, module, datamodule, given)
    trainer.strategy.check(trainer, module, stage)
    _check(trainer, stage, module, loaders)
    checkpoint = (
        trainer.strategy.load_checkpoint(ckpt_path, weights_only=weights_only) if ckpt_path is not None else None
    )
    if checkpoint is not None and ckpt_path is not None and stage == "fit":
        check_sizes(checkpoint, os.fspath(ckpt_path))

    trainer._module, trainer.datamodule, trainer._loaders = module, datamodule, loaders
    if model is not None:
        trainer._compiler = compiler or compiler_of(trainer.compile_steps)
    vars(module)["_trainer"] = trainer  # configure_callbacks may ask it
    trainer.ckpt_path = os.fspath(ckpt_path) if ckpt_path is not None else None
    trainer.state.fn, trainer.state.stage, trainer.state.status = fn, _STAGE[fn], TrainerStatus.RUNNING
    trainer.interrupted = False
    trainer.callbacks = merge_callbacks(trainer, module)
    status = StageOutcome.FAILED
    try:
        with _flags(trainer), attached(trainer, module, datamodule), trainer._stop.watching(trainer.strategy):
            try:
                prepare(trainer, module, datamodule, stage, checkpoint)
                session = _set_up(trainer, stage, loaders, checkpoint)
                trainer._session = session
                yield session
                _close(session)
                status = StageOutcome.SUCCESS
            except StageEnded:
                trainer.strategy.teardown(trainer.lightning_module)
                status, trainer.state.status = StageOutcome.SUCCESS, TrainerStatus.FINISHED
                raise
            except BaseException as error:
                explained = trainer.strategy.explained(error)
                _exception(trainer, explained)
                if explained is not error:
                    raise explained from error
                raise
            finally:
                _teardown(trainer, stage, status)
    finally:
        trainer._session = None
        trainer.state.stage = None
    trainer.state.status = TrainerStatus.FINISHED


def _set_up(trainer: Trainer, stage: Stage, loaders: Loaders, checkpoint: dict[str, Any] | None) -> Session:
    """Load, place and optimise the module; for a fit, everything up to the training loader."""
    module, path = trainer.lightning_module, trainer.ckpt_path or ""
    trainer.precision_plugin.convert_module(module)  # first, or 64-bit weights would be loaded into 32 bits
    late = trainer.strategy.divides
    trainer._setup.begin()
    if checkpoint is not None and not late:
        checkpoints.load_module(trainer, checkpoint, path)
    trainer._metrics.begin()
    trainer._metrics.reduce = trainer.strategy.reduce if trainer.strategy.world_size > 1 else None
    if stage == "fit" and trainer.sync_batchnorm and trainer.strategy.world_size > 1:
        share_batch_statistics(module, trainer.strategy)
    trainer.strategy.setup(module)
    if checkpoint is not None and late:
        checkpoints.load_module(trainer, checkpoint, path)
    if stage != "fit":
        _log_hyperparameters(trainer)
        module.zero_grad()
        return open_session(trainer, stage, loaders, None)
    trainer._metrics.hook = "configure_optimizers"
    without_compiler()
    optimization = trainer._optimization = parse(module.configure_optimizers())
    trainer._setup.note(trainer, optimization)
    if trainer.fused_optimizers:
        use_fused(optimization.optimizers)
    trainer.strategy.optimize(module, optimization.optimizers)
    trainer._clips = is_overridden(module, "configure_gradient_clipping", LightningModule)
    session = trainer._session = open_session(trainer, stage, loaders, optimization)
    trainer._progress.begin()
    session.hooks.call("on_fit_start")
    _log_hyperparameters(trainer)
    trainer._metrics.note_objects(module)
    if checkpoint is None:
        _begin(trainer)
    else:
        checkpoints.restore(session, optimization, checkpoint, path)
    if checkpoint is None or not checkpoint.get("leyden", {}).get("gradients"):
        module.zero_grad()
    torch.set_grad_enabled(True)
    if checkpoint is None or checkpoint.get("leyden", {}).get("sanity_checking"):
        _sanity_check(session)
    return session


def share_batch_statistics(module: LightningModule, strategy: Strategy) -> None:
    """Replace the batch normalisation in *module* by one whose statistics are those of all ranks.

    Raises:
        ConfigurationError: If it runs on CPUs, for which torch has none.
    """
    if strategy.root_device.type == "cpu":
        raise ConfigurationError(
            "Trainer(sync_batchnorm=True) on CPUs: torch's SyncBatchNorm works on accelerators only. Leave it out, or "
            "use a normalisation that does not look at the batch, such as LayerNorm or GroupNorm."
        )
    torch.nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]


def _begin(trainer: Trainer) -> None:
    """Forget the rest of an epoch that an earlier, broken-off fit left behind."""
    progress = trainer._progress
    progress.batch, progress.pending, progress.place, progress.last = 0, 0, "BATCH", False
    progress.validated = progress.seconds
    trainer._metrics.training.entries.clear()


def _sanity_check(session: Session) -> None:
    """Run a few validation batches before training, leaving no trace."""
    trainer = session.trainer
    if not trainer.num_sanity_val_steps or not trainer.enable_validation:
        return
    trainer.state.stage = RunningStage.SANITY_CHECKING
    evaluated = dict(session.progress.evaluated)
    place = session.progress.place
    with rng.isolated(), beginning_anew_on_resume(session):
        session.hooks.call("on_sanity_check_start")
        evaluate(session, "validation", trainer.num_sanity_val_steps)
        session.hooks.call("on_sanity_check_end")
    session.progress.evaluated, session.progress.place = evaluated, place
    session.metrics.evaluation.clear()
    session.metrics.active = session.metrics.training
    session.metrics.forget()
    trainer.state.stage = RunningStage.TRAINING


def _close(session: Session) -> None:
    """End a stage that went well."""
    trainer = session.trainer
    trainer.strategy.teardown(trainer.lightning_module)
    if session.stage == "fit":
        session.hooks.call("on_fit_end")
    trainer._metrics.to_cpu()


def _exception(trainer: Trainer, error: BaseException) -> None:
    """Tell callbacks and data module what was raised."""
    trainer.state.status = TrainerStatus.INTERRUPTED
    trainer.interrupted = isinstance(error, KeyboardInterrupt)
    trainer._metrics.hook = "on_exception"
    for callback in trainer.callbacks:
        callback.on_exception(trainer, trainer.lightning_module, error)
    if trainer.datamodule is not None:
        trainer.datamodule.on_exception(error)


def _teardown(trainer: Trainer, stage: Stage, status: StageOutcome) -> None:
    """Call the teardown hooks and close the loggers."""
    trainer._metrics.hook = "teardown"
    if trainer.datamodule is not None:
        trainer.datamodule.teardown(stage=stage)
    for callback in trainer.callbacks:
        callback.teardown(trainer, trainer.lightning_module, stage=stage)
    trainer.lightning_module.teardown(stage=stage)
    if status is StageOutcome.FAILED:
        trainer.strategy.teardown(trainer.lightning_module)
    for logger in trainer.loggers:
        logger.finalize(status)
    trainer._clock = None
    trainer.profiler.describe()


@contextmanager
def _flags(trainer: Trainer) -> Iterator[None]:
    """Set torch's global switches as the trainer asks, and put them back."""
    before = algorithms()
    benchmark, grad = torch.backends.cudnn.benchmark, torch.is_grad_enabled()
    if trainer.deterministic is not None:
        use_algorithms((bool(trainer.deterministic), trainer.deterministic == "warn"))
        if trainer.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if trainer.benchmark is not None or trainer.deterministic:
        torch.backends.cudnn.benchmark = bool(trainer.benchmark) and trainer.deterministic is not True
    try:
        with torch.autograd.set_detect_anomaly(trainer.detect_anomaly or torch.is_anomaly_enabled()):
            yield
    finally:
        use_algorithms(before)
        torch.backends.cudnn.benchmark = benchmark
        torch.set_grad_enabled(grad)


def _log_hyperparameters(trainer: Trainer) -> None:
    """Send the hyper-parameters of module and data module to the loggers.

    Raises:
        ConfigurationError: If both have one of the same name with different values.
    """
    if not trainer.loggers or not trainer.enable_autolog_hparams:
        return
    found: dict[str, Any] = {}
    for owner in (trainer.datamodule, trainer.lightning_module):
        if owner is None or not getattr(owner, "_log_hyperparams", False):
            continue
        own = plain(owner.hparams, f"{type(owner).__name__}.hparams")
        clash = [name for name in own if name in found and found[name] != own[name]]
        if clash:
            raise ConfigurationError(
                f"the hyper-parameter {clash[0]!r} is {own[clash[0]]!r} in the module and {found[clash[0]]!r} "
                "in the data module, so that loggers cannot tell them apart. Rename one, or save one with logger=False."
            )
        found |= own
    for logger in trainer.loggers:
        if found:
            logger.log_hyperparams(found)
        logger.log_graph(trainer.lightning_module)
        logger.save()


def validates(trainer: Trainer, loaders: Loaders) -> bool:
    """Whether a fit with these loaders validates."""
    module = trainer.lightning_module
    return (
        trainer.limit_val_batches != 0
        and is_overridden(module, "validation_step", LightningModule)
        and loaders.has("val")
    )


def _data_module_in_place_of_loader(
    given: dict[str, Any], datamodule: LightningDataModule | None
) -> tuple[dict[str, Any], LightningDataModule | None]:
    """Accept a data module where a loader is expected, as in ``fit(model, datamodule)``."""
    first = next(iter(given.values()))
    if isinstance(first, LightningDataModule):
        if datamodule is not None:
            raise ConfigurationError("two data modules were given, one in place of a loader. Pass one.")
        datamodule, given = first, dict.fromkeys(given)
    if datamodule is not None and any(loader is not None for loader in given.values()):
        raise ConfigurationError("loaders and a data module were given at the same time. Pass one or the other.")
    return given, datamodule


def _module_and_checkpoint(
    trainer: Trainer, stage: Stage, model: LightningModule | None, ckpt_path: Any
) -> tuple[LightningModule, str | os.PathLike[str] | None]:
    """Settle which module runs, and from which file."""
    module = model if model is not None else trainer._module
    if not isinstance(module, LightningModule):
        raise ConfigurationError(
            f"{stage}() needs a LightningModule; got {module!r:.80} of type {type(module).__name__}."
            + (" Derive the model from leyden.LightningModule." if isinstance(module, torch.nn.Module) else "")
        )
    if model is None and ckpt_path is None:
        ckpt_path = "best" if trainer.checkpoint_callbacks else None
        if ckpt_path is not None and not _best(trainer):
            ckpt_path = None
    if ckpt_path == "best":
        ckpt_path = _best(trainer)
        if not ckpt_path:
            raise ConfigurationError(
                f"{stage}(ckpt_path='best'), but no checkpoint has been saved by this trainer"
                + (" (fast_dev_run saves none)." if trainer.fast_dev_run else ".")
                + " Pass the path of a file."
            )
    elif ckpt_path == "last":
        ckpt_path = _last(trainer)
        if ckpt_path is None:
            warn_once("ckpt_path='last', but there is no last checkpoint: starting from scratch.")
    return module, ckpt_path


def _best(trainer: Trainer) -> str | None:
    callback = trainer.checkpoint_callback
    return getattr(callback, "best_model_path", None) or None


def _last(trainer: Trainer) -> str | None:
    """Return the newest of the last checkpoints of all checkpoint callbacks that is whole; damaged ones are named."""
    found = [path for callback in trainer.checkpoint_callbacks for path in callback.find_last_checkpoints(trainer)]
    return newest(found)


def check_needs(
    trainer: Trainer, stage: Stage, module: LightningModule, datamodule: LightningDataModule | None
) -> None:
    """Refuse a stage that lacks what it needs, without beginning it.

    Args:
        trainer: That will run it.
        stage: Which one.
        module: What it will be given.
        datamodule: Where its loaders come from, if not from the module.

    Raises:
        ConfigurationError: If a step, an optimizer or a loader is missing.
    """
    _check(trainer, stage, module, Loaders(trainer, module, datamodule, {}))


def _check(trainer: Trainer, stage: Stage, module: LightningModule, loaders: Loaders) -> None:
    """Refuse a stage that lacks what it needs, before anything is touched."""
    name = type(module).__name__
    if stage == "fit":
        if not is_overridden(module, "training_step", LightningModule):
            raise ConfigurationError(f"{name} has no training_step, so that fit() has nothing to do. Define it.")
        if not is_overridden(module, "configure_optimizers", LightningModule):
            raise ConfigurationError(
                f"{name} has no configure_optimizers, so that fit() could not change its weights. Define it, or choose "
                "the config group optimizer."
            )
        _check_manual(trainer, module)
        if loaders.has("val") and not is_overridden(module, "validation_step", LightningModule):
            warn_once(f"there is a validation loader, but {name} has no validation_step: validation is left out.")
    elif stage in _STEP and not is_overridden(module, _STEP[stage], LightningModule):
        raise ConfigurationError(f"{name} has no {_STEP[stage]}, so that {stage}() has nothing to do. Define it.")
    kind = LOADER_HOOK[stage]
    if not loaders.has(kind) and getattr(trainer, f"limit_{kind}_batches") != 0:
        raise ConfigurationError(
            f"{stage}() has no data: no loader was passed, and neither the data module nor {name} has a "
            f"{kind}_dataloader. Pass a loader or a data module, or define it."
        )


def _check_manual(trainer: Trainer, module: LightningModule) -> None:
    if module.automatic_optimization:
        return
    for option, value, idle in (
        ("gradient_clip_val", trainer.gradient_clip_val, None),
        ("accumulate_grad_batches", trainer.accumulate_grad_batches, 1),
    ):
        if value != idle:
            raise ConfigurationError(
                f"Trainer({option}={value!r}) does not work with manual optimisation, where the module steps its "
                f"optimizers itself. Leave it out and do it in {type(module).__name__}.training_step."
            )


__all__ = ["evaluate", "opened", "predict", "validates"]
