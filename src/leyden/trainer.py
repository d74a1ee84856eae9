"""The front door: options in, one method per stage.

    trainer = Trainer(max_epochs=3)
    trainer.fit(model, datamodule)
    trainer.test(model, datamodule)

A `Trainer` holds the options and what outlives a stage: callbacks, loggers, progress,
metrics. How a stage runs is `leyden.engine`; how options become objects is
`leyden.selection`. Names and arguments are Lightning's.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from torch import Tensor
from torch.optim import Optimizer

from leyden import options, selection, spawn
from leyden.accelerators import Accelerator, accelerator_of
from leyden.callback import Callback, Checkpoint
from leyden.datamodule import LightningDataModule
from leyden.engine import checkpoint as checkpoints
from leyden.engine import fit as fitting
from leyden.engine import saving, stages
from leyden.engine.compiled import Compiler
from leyden.engine.data import TrainLoader
from leyden.engine.empty_init import EmptyInit
from leyden.engine.facade import FitLoop
from leyden.engine.optimization import Optimization, SchedulerConfig, parse
from leyden.engine.parts import part
from leyden.engine.predict import PredictLoop
from leyden.engine.rehearsal import Rehearsal, rehearsal
from leyden.engine.session import Loaders, Session, check_callbacks, in_order
from leyden.engine.setup import Setup
from leyden.engine.signals import StopFlag
from leyden.engine.step import clip, manual_backward, manual_update
from leyden.errors import ConfigurationError
from leyden.identity import Identity
from leyden.logger import Logger
from leyden.metrics import Metrics, numbers
from leyden.module import LightningModule
from leyden.optimizer import LightningOptimizer
from leyden.precision import Precision
from leyden.precisions import choose as choose_precision
from leyden.profiler import Profiler
from leyden.progress import SOMEBODY, Progress
from leyden.state import RunningStage, TrainerFn, TrainerState
from leyden.strategy import Strategy
from leyden.terminal import encodable, number
from leyden.warnings import warn_once

Count = Annotated[int, Ge(0)]
_STAGES = {
    "validation": RunningStage.VALIDATING,
    "test": RunningStage.TESTING,
    "predict": RunningStage.PREDICTING,
}


class Trainer:
    """Train, validate, test and predict with a `LightningModule`.

    Args:
        accelerator: ``"auto"`` takes the best device torch finds; ``"cpu"``, ``"gpu"``, ``"cuda"``, ``"mps"`` ...
        strategy: ``"auto"``, or a `Strategy`.
        devices: ``"auto"``, 1, or a list with one index.
        num_nodes: Number of machines.
        precision: ``"32-true"``, ``"64-true"``, ``"bf16-mixed"``, ``"bf16-true"``, ``"16-mixed"``, ``"16-true"``,
            and the short forms 16, 32, 64, ``"bf16"``.
        logger: A `Logger`, several, True for TensorBoard and CSV, or False for none.
        callbacks: One or several; checkpoints are moved behind the others.
        fast_dev_run: Run this many batches of everything, to see whether it runs; writes no files.
        max_epochs: Stop after so many epochs; -1 for no limit; 1000 when no limit is given at all.
        min_epochs: Do not stop early before.
        max_steps: Stop after so many optimizer steps; -1 for no limit.
        min_steps: Do not stop early before.
        max_time: Stop after so long, over all attempts: ``"DD:HH:MM:SS"``, a timedelta, or a dict of its arguments.
        limit_train_batches: How much of an epoch to run: a count (int) or a fraction (float).
        limit_val_batches: Likewise for each validation loader.
        limit_test_batches: Likewise for each test loader.
        limit_predict_batches: Likewise for each prediction loader.
        overfit_batches: Train and validate on so few batches, the same ones each epoch.
        val_check_interval: Validate every so many batches (int), that fraction of an epoch (float), or so long
            after the latest validation (``"DD:HH:MM:SS"``, a timedelta, or a dict of its arguments).
        check_val_every_n_epoch: Validate every n epochs; None counts batches across epochs.
        num_sanity_val_steps: Validation batches run before training; -1 for all.
        log_every_n_steps: Steps between two rows in the loggers.
        enable_checkpointing: Whether to save; False refuses checkpoint callbacks.
        enable_progress_bar: Whether to show progress.
        enable_model_summary: Whether to print a table of the layers.
        accumulate_grad_batches: Micro-batches per update.
        gradient_clip_val: Largest norm or value of gradients.
        gradient_clip_algorithm: ``"norm"`` (default) or ``"value"``.
        deterministic: Refuse nondeterministic kernels (True), or ``"warn"``.
        benchmark: Let cuDNN try kernels; default off where *deterministic*.
        inference_mode: Use `torch.inference_mode` outside of fits, else `torch.no_grad`.
        use_distributed_sampler: Shard loaders over ranks.
        profiler: ``"simple"``, ``"advanced"``, ``"pytorch"`` or a `Profiler`.
        detect_anomaly: Find the operation that made a gradient NaN; slow.
        barebones: Switch off everything that costs, to measure.
        plugins: A `Precision`, to be used instead of *precision*; an `AsyncCheckpointIO`, or
            ``"async_checkpoint_io"``, which writes checkpoints while training goes on; or a list of both.
        sync_batchnorm: Share batch statistics over ranks.
        reload_dataloaders_every_n_epochs: Ask for the loaders again every n epochs.
        default_root_dir: Where files go that nobody gave another place; default the working directory.
        enable_autolog_hparams: Whether the loggers get the hyper-parameters.
        model_registry: Accepted for compatibility.
        compile_steps: Compile the steps with `torch.compile`: True, or a dict of its arguments, such as
            ``{"mode": "reduce-overhead"}``, which records CUDA graphs. `self.log` may be called in them. Not an
            argument of Lightning's; ``fit(torch.compile(module))`` works, too.
        fused_optimizers: Use torch's fused kernels in optimizers that have one; faster, and equal to the plain
            update but for the last bits. Not an argument of Lightning's.

    Raises:
        ConfigurationError: If an option cannot be meant. Nothing has been touched then.
    """

    @options.accepts_legacy
    def __init__(
        self,
        *,
        accelerator: str = "auto",
        strategy: str | Strategy = "auto",
        devices: list[int] | str | int = "auto",
        num_nodes: Annotated[int, Ge(1)] = 1,
        precision: int | str | Precision | None = None,
        logger: Logger | Iterable[Logger] | bool | None = None,
        callbacks: list[Callback] | Callback | None = None,
        fast_dev_run: int | bool = False,
        max_epochs: Annotated[int, Ge(-1)] | None = None,
        min_epochs: Count | None = None,
        max_steps: Annotated[int, Ge(-1)] = -1,
        min_steps: Count | None = None,
        max_time: str | timedelta | dict[str, int] | None = None,
        limit_train_batches: int | float | None = None,
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        overfit_batches: int | float = 0.0,
        val_check_interval: int | float | str | timedelta | dict[str, int] | None = None,
        check_val_every_n_epoch: Annotated[int, Ge(1)] | None = 1,
        num_sanity_val_steps: Annotated[int, Ge(-1)] | None = None,
        log_every_n_steps: Annotated[int, Ge(1)] | None = None,
        enable_checkpointing: bool | None = None,
        enable_progress_bar: bool | None = None,
        enable_model_summary: bool | None = None,
        accumulate_grad_batches: Annotated[int, Ge(1)] = 1,
        gradient_clip_val: Annotated[float, Ge(0)] | None = None,
        gradient_clip_algorithm: Literal["norm", "value"] | None = None,
        deterministic: bool | Literal["warn"] | None = None,
        benchmark: bool | None = None,
        inference_mode: bool = True,
        use_distributed_sampler: bool = True,
        profiler: str | Profiler | None = None,
        detect_anomaly: bool = False,
        barebones: bool = False,
        plugins: Any = None,
        sync_batchnorm: bool = False,
        reload_dataloaders_every_n_epochs: Count = 0,
        default_root_dir: str | os.PathLike[str] | None = None,
        enable_autolog_hparams: bool = True,
        model_registry: str | None = None,
        fused_optimizers: bool = False,
        compile_steps: bool | dict[str, Any] = False,
    ) -> None:
        self.barebones = options.flag("barebones", barebones)
        if barebones:
            options.refuse_beside_barebones(
                logger=logger,
                enable_checkpointing=enable_checkpointing,
                enable_progress_bar=enable_progress_bar,
                enable_model_summary=enable_model_summary,
                num_sanity_val_steps=num_sanity_val_steps,
                log_every_n_steps=log_every_n_steps,
                fast_dev_run=fast_dev_run,
                profiler=profiler,
                detect_anomaly=detect_anomaly,
            )
            logger = enable_checkpointing = enable_progress_bar = enable_model_summary = False
            num_sanity_val_steps = 0
        precision, self.checkpoint_io = selection.choose_plugins(plugins, precision)
        self.fast_dev_run: int = options.dry_run("fast_dev_run", fast_dev_run)
        self.max_time = options.duration(max_time)
        self.max_steps: int = options.whole("max_steps", max_steps, -1, special=", or -1 for no limit")
        self.max_epochs: int = _max_epochs(max_epochs, self.max_steps, self.max_time)
        self.min_epochs: int | None = options.whole("min_epochs", min_epochs, 0, none=True)
        self.min_steps: int | None = options.whole("min_steps", min_steps, 0, none=True)
        self.limit_train_batches = options.limit("limit_train_batches", limit_train_batches)
        self.limit_val_batches = options.limit("limit_val_batches", limit_val_batches)
        self.limit_test_batches = options.limit("limit_test_batches", limit_test_batches)
        self.limit_predict_batches = options.limit("limit_predict_batches", limit_predict_batches)
        self.overfit_batches = options.limit("overfit_batches", overfit_batches)
        self.val_check_interval = options.interval(val_check_interval, check_val_every_n_epoch)
        self.check_val_every_n_epoch: int | None = options.whole(
            "check_val_every_n_epoch", check_val_every_n_epoch, 1, none=True
        )
        self.num_sanity_val_steps: float = _sanity_steps(num_sanity_val_steps)
        self.log_every_n_steps: int = options.whole(
            "log_every_n_steps", 50 if log_every_n_steps is None else log_every_n_steps, 1
        )
        self.accumulate_grad_batches: int = options.whole("accumulate_grad_batches", accumulate_grad_batches, 1)
        self.gradient_clip_val: float | None = options.positive("gradient_clip_val", gradient_clip_val)
        self.gradient_clip_algorithm: str | None = options.choice(
            "gradient_clip_algorithm", gradient_clip_algorithm, (None, "norm", "value")
        )
        self.deterministic = options.choice("deterministic", deterministic, (None, True, False, "warn"))
        self.benchmark = options.choice("benchmark", benchmark, (None, True, False))
        self.inference_mode = options.flag("inference_mode", inference_mode)
        self.use_distributed_sampler = options.flag("use_distributed_sampler", use_distributed_sampler)
        self.sync_batchnorm = options.flag("sync_batchnorm", sync_batchnorm)
        self.detect_anomaly = options.flag("detect_anomaly", detect_anomaly)
        self.reload_dataloaders_every_n_epochs: int = options.whole(
            "reload_dataloaders_every_n_epochs", reload_dataloaders_every_n_epochs, 0
        )
        self.enable_autolog_hparams = options.flag("enable_autolog_hparams", enable_autolog_hparams)
        self.num_nodes: int = options.whole("num_nodes", num_nodes, 1)
        self.fused_optimizers = options.flag("fused_optimizers", fused_optimizers)
        self.compile_steps = options.arguments("compile_steps", compile_steps)
        self.default_root_dir = os.fspath(default_root_dir) if default_root_dir is not None else os.getcwd()
        if self.fast_dev_run:
            self._limit_to(self.fast_dev_run)

        self.strategy = selection.choose_strategy(strategy, accelerator, devices, self.num_nodes)
        self.precision_plugin = self.strategy.precision(choose_precision(precision, self.strategy.root_device))
        self.profiler = selection.choose_profiler(profiler)
        self.loggers: list[Logger] = selection.choose_loggers(logger, self.fast_dev_run)
        switches = options.switches(
            enable_checkpointing=enable_checkpointing,
            enable_progress_bar=enable_progress_bar,
            enable_model_summary=enable_model_summary,
        )
        self.callbacks: list[Callback] = in_order(selection.choose_callbacks(callbacks, *switches))
        check_callbacks(self.callbacks)

        self.state = TrainerState()
        self.datamodule: LightningDataModule | None = None
        self.ckpt_path: str | None = None
        self.interrupted = False
        self.forward_only = False  # from the next epoch on, run steps without backward and update
        self.sample_seed: int | None = None  # given one, batches depend on it and the epoch: leyden.engine.seeded
        self.identity: Identity | None = None  # the attempt at a run that this is: goes into every checkpoint
        self.row_listener: Callable[[dict[str, float], int], None] | None = None  # hears what the loggers are sent
        self.predictions: list[Any] | None = None
        self._slowest_save = 0.0
        self.fit_loop = FitLoop(self)
        self.predict_loop = PredictLoop()
        self.val_check_batch: float | None = math.inf
        self._module: LightningModule | None = None
        self._progress = Progress()
        self._metrics = Metrics()
        self._stop = StopFlag()
        self._optimization = Optimization((), [])
        self._setup = Setup()
        self._session: Session | None = None
        self._loaders: Loaders | None = None
        self._train_loader: TrainLoader | None = None
        self._resumed_rng: dict[str, Any] | None = None
        self._resumed_loader: dict[str, Any] | None = None
        self._validating: dict[str, Any] | None = None  # how things stood when the validation began that is going on
        self._clock: float | None = None
        self._clips = False
        self._compiler: Compiler | None = None

    def _limit_to(self, batches: int) -> None:
        """Apply ``fast_dev_run``: so many batches of everything, one epoch, no sanity check."""
        self.limit_train_batches = self.limit_val_batches = batches
        self.limit_test_batches = self.limit_predict_batches = batches
        self.max_steps, self.max_epochs, self.num_sanity_val_steps = batches, 1, 0
        self.val_check_interval, self.check_val_every_n_epoch, self.overfit_batches = 1.0, 1, 0.0

    # --- the stages --------------------------------------------------------------------------

    def fit(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Train *model*.

        Args:
            model: What is trained.
            train_dataloaders: A loader, a nested collection of loaders, or a data module in its place.
            val_dataloaders: One loader or several.
            datamodule: Brings the loaders.
            ckpt_path: Checkpoint to go on from: a path, ``"best"`` or ``"last"``.
            weights_only: False allows arbitrary pickles in it, which can execute code.

        Raises:
            ConfigurationError: If something that a fit needs is missing; nothing has been touched then.
            Interrupted: If a signal asked to stop. The state has been saved.
        """
        if self.strategy.to_start:
            spawn.start(
                self, "fit", model=model, train_dataloaders=train_dataloaders, val_dataloaders=val_dataloaders,
                datamodule=datamodule, ckpt_path=ckpt_path, weights_only=weights_only,
            )  # fmt: skip
            return
        given = {"train_dataloader": train_dataloaders, "val_dataloader": val_dataloaders}
        with stages.opened(self, TrainerFn.FITTING, model, given, datamodule, ckpt_path, weights_only) as session:
            fitting.fit(session)

    def validate(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        verbose: bool = True,
        datamodule: LightningDataModule | None = None,
        weights_only: bool | None = None,
    ) -> list[dict[str, float]]:
        """Run one validation; returns the metrics, one dict for each loader.

        Without *model*, the best checkpoint of the latest fit is evaluated.
        """
        if self.strategy.to_start:
            found = spawn.start(
                self, "validate", model=model, dataloaders=dataloaders, ckpt_path=ckpt_path, verbose=verbose,
                datamodule=datamodule, weights_only=weights_only,
            )  # fmt: skip
            return list(found)
        given = {"val_dataloader": dataloaders}
        with stages.opened(self, TrainerFn.VALIDATING, model, given, datamodule, ckpt_path, weights_only) as session:
            found = stages.evaluate(session, "validation")
        return self._report(found, "validation", verbose)

    def test(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        verbose: bool = True,
        datamodule: LightningDataModule | None = None,
        weights_only: bool | None = None,
    ) -> list[dict[str, float]]:
        """Run one test; returns the metrics, one dict for each loader.

        Without *model*, the best checkpoint of the latest fit is tested.
        """
        if self.strategy.to_start:
            found = spawn.start(
                self, "test", model=model, dataloaders=dataloaders, ckpt_path=ckpt_path, verbose=verbose,
                datamodule=datamodule, weights_only=weights_only,
            )  # fmt: skip
            return list(found)
        given = {"test_dataloader": dataloaders}
        with stages.opened(self, TrainerFn.TESTING, model, given, datamodule, ckpt_path, weights_only) as session:
            found = stages.evaluate(session, "test")
        return self._report(found, "test", verbose)

    def predict(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        return_predictions: bool | None = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        weights_only: bool | None = None,
    ) -> list[Any] | None:
        """Run `predict_step` on every batch; returns what it returned, nested where there are several loaders."""
        keep = return_predictions is not False
        if self.strategy.to_start:
            spawn.start(
                self, "predict", model=model, dataloaders=dataloaders, datamodule=datamodule,
                return_predictions=return_predictions, ckpt_path=ckpt_path, weights_only=weights_only,
            )  # fmt: skip
            return self.predictions if keep else None
        given = {"predict_dataloader": dataloaders}
        with stages.opened(self, TrainerFn.PREDICTING, model, given, datamodule, ckpt_path, weights_only) as session:
            self.predictions = stages.predict(session, keep)
        return self.predictions if keep else None

    def save_checkpoint(
        self, filepath: str | os.PathLike[str], weights_only: bool | None = None, storage_options: Any = None
    ) -> None:
        """Write everything needed to go on from here, whole or not at all.

        With an `AsyncCheckpointIO`, and while there are batches to train, the file is there later; see
        `finish_saving` and `once_saved`.

        Args:
            filepath: Target file.
            weights_only: Leave out the states of training.
            storage_options: Not supported.

        Raises:
            CheckpointError: If it cannot be written; of one written beside training, later.
            ConfigurationError: If there is no model yet, or *storage_options* are given.
        """
        if storage_options is not None:
            raise ConfigurationError(
                f"save_checkpoint(storage_options={storage_options!r:.80}) is not supported: checkpoints are written "
                "to a file system. Leave it out, and upload the file in a logger's after_save_checkpoint."
            )
        if self._module is None:
            raise ConfigurationError(
                f"save_checkpoint({os.fspath(filepath)!r}) was called before any model was attached. "
                "Call it after, or during, fit, validate, test or predict."
            )
        if self.strategy.to_start:  # the ranks have ended, and what they knew beside the weights with them
            if not weights_only:
                warn_once(
                    "save_checkpoint() after the ranks have ended writes the weights only, and no training can go on "
                    "from them. Use the checkpoints of ModelCheckpoint for that, or pass weights_only=True to say so."
                )
            checkpoints.save(self, filepath, weights_only=True)
            return
        if self.checkpoint_io is not None and self.checkpoint_io.active:
            saving.begin(self, filepath, bool(weights_only))
            return
        began = time.monotonic()
        checkpoints.save(self, filepath, bool(weights_only))
        self.strategy.barrier("save_checkpoint")
        self._slowest_save = max(self._slowest_save, time.monotonic() - began)

    def finish_saving(self) -> None:
        """Wait until what is being saved is on disk; every rank calls this.

        Raises:
            CheckpointError: If it could not be written.
            RankError: On other ranks, if it could not be written.
        """
        saving.finish(self)

    def once_saved(self, action: Callable[[], None]) -> None:
        """Call *action* once the latest save is on disk: at once, or after the batch in which it gets there.

        It is not called if that save fails. Where there are several ranks, rank 0 alone writes, and can tell.
        """
        if self.checkpoint_io is None:
            action()
        else:
            self.checkpoint_io.then(action)

    @property
    def slowest_save(self) -> float:
        """Seconds from asking for a checkpoint to having it on disk, the longest so far; 0 before the first."""
        return max(self._slowest_save, self.checkpoint_io.slowest if self.checkpoint_io is not None else 0.0)

    def request_stop(self, signum: int) -> None:
        """Stop at the next boundary as if the signal *signum* had arrived: save, and raise `Interrupted`."""
        self._stop.ask(signum)

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on rank 0, without tearing the progress bar."""
        if not self.is_global_zero:
            return
        bar = self.progress_bar_callback
        if bar is not None:
            bar.print(*args, **kwargs)
        else:
            print(*args, **kwargs)  # noqa: T201

    @contextmanager
    def init_module(self, empty_init: bool | None = None) -> Iterator[None]:
        """Build a module right where and as it will be trained: on the device, in the type of the precision.

        Args:
            empty_init: True leaves the parameters as the memory was: for what is loaded from a checkpoint next.
        """
        with (
            self.strategy.root_device,
            self.precision_plugin.init_context(),
            EmptyInit() if empty_init else nullcontext(),
        ):
            yield

    # --- what is running -----------------------------------------------------------------------

    @property
    def lightning_module(self) -> LightningModule:
        """The module being run.

        Raises:
            RuntimeError: If there is none yet.
        """
        if self._module is None:
            raise RuntimeError("no module is attached to this Trainer yet: call fit, validate, test or predict.")
        return self._module

    @property
    def model(self) -> LightningModule | None:
        """The module being run, or None."""
        return self._module

    @property
    def current_epoch(self) -> int:
        """Epochs completed; so also the index of the one being run."""
        return self._progress.epochs

    @property
    def global_step(self) -> int:
        """Optimizer steps done, over all optimizers and epochs."""
        return self._progress.updates

    @property
    def log_step(self) -> int:
        """Position of a row on the run's one axis."""
        return self._progress.log_step

    @property
    def should_stop(self) -> bool:
        """Whether somebody asked to stop; set it to end training after the current batch, or to take all stops back."""
        return self._progress.should_stop

    @should_stop.setter
    def should_stop(self, value: bool) -> None:
        for who in [SOMEBODY] if value else list(self._progress.stops):
            self._progress.ask_to_stop(who, bool(value))

    def ask_to_stop(self, who: str, wanted: bool = True) -> None:
        """Ask for a stop under a name, or take back what was asked for under it.

        Training ends once `min_epochs` and `min_steps` are reached and somebody still asks. What depends on a value
        that may change until then is to be asked for in this way, and not by setting `should_stop`.
        """
        self._progress.ask_to_stop(who, wanted)

    @property
    def is_last_batch(self) -> bool:
        """Whether the training batch being run is the last one of its epoch."""
        return self._progress.last

    @property
    def callback_metrics(self) -> dict[str, Tensor]:
        """Logged values by name, for callbacks to monitor."""
        return self._metrics.callback

    @property
    def logged_metrics(self) -> dict[str, Tensor]:
        """Logged values by name, as sent to the loggers."""
        return self._metrics.logged

    @property
    def progress_bar_metrics(self) -> dict[str, float]:
        """Numbers for the progress bar; reading them waits for the device."""
        return self._metrics.bar

    @property
    def training(self) -> bool:
        """Whether the training loop is running."""
        return self.state.stage is RunningStage.TRAINING

    @property
    def validating(self) -> bool:
        """Whether a validation is running."""
        return self.state.stage is RunningStage.VALIDATING

    @property
    def testing(self) -> bool:
        """Whether a test is running."""
        return self.state.stage is RunningStage.TESTING

    @property
    def predicting(self) -> bool:
        """Whether a prediction is running."""
        return self.state.stage is RunningStage.PREDICTING

    @property
    def sanity_checking(self) -> bool:
        """Whether the short validation before training is running."""
        return self.state.stage is RunningStage.SANITY_CHECKING

    @property
    def evaluating(self) -> bool:
        """Whether a validation or a test is running."""
        return self.state.stage is not None and self.state.stage.evaluating

    @property
    def received_sigterm(self) -> bool:
        """Whether SIGTERM asked to stop."""
        return self._stop.signum == 15

    # --- data ------------------------------------------------------------------------------------

    @property
    def num_training_batches(self) -> float:
        """Micro-batches of an epoch; ``inf`` where the loader has no length."""
        sources = self._loaders.get("train") if self._loaders is not None else []
        return sources[0].batches if sources else 0

    @property
    def batches_of_epoch(self) -> float:
        """Micro-batches of the epoch being run: fewer than usual where `max_steps` will end it."""
        if self.max_steps == -1:
            return self.num_training_batches
        progress = self._progress
        left = (self.max_steps - progress.updates) * self.accumulate_grad_batches
        return min(self.num_training_batches, progress.batch - progress.pending + left)

    def _counts(self, kind: str) -> list[float]:
        return [source.batches for source in self._loaders.known(kind)] if self._loaders is not None else []

    @property
    def num_val_batches(self) -> list[float]:
        """Batches of each validation loader."""
        return self._counts("val")

    @property
    def num_sanity_val_batches(self) -> list[float]:
        """Batches of each validation loader in the sanity check."""
        return [min(self.num_sanity_val_steps, count) for count in self._counts("val")]

    @property
    def num_test_batches(self) -> list[float]:
        """Batches of each test loader."""
        return self._counts("test")

    @property
    def num_predict_batches(self) -> list[float]:
        """Batches of each prediction loader."""
        return self._counts("predict")

    def _raw(self, kind: str) -> Any:
        return self._loaders.raw.get(kind) if self._loaders is not None else None

    @property
    def train_dataloader(self) -> Any:
        """The training loader, once it has been asked for."""
        return self._raw("train")

    @property
    def val_dataloaders(self) -> Any:
        """The validation loaders, once they have been asked for."""
        return self._raw("val")

    @property
    def test_dataloaders(self) -> Any:
        """The test loaders, once they have been asked for."""
        return self._raw("test")

    @property
    def predict_dataloaders(self) -> Any:
        """The prediction loaders, once they have been asked for."""
        return self._raw("predict")

    @property
    def enable_validation(self) -> bool:
        """Whether this fit validates: there is a `validation_step`, a loader, and a limit above 0."""
        return self._loaders is not None and stages.validates(self, self._loaders)

    @property
    def validation_to_come(self) -> bool:
        """Whether the first validation of this fit, which logs what others wait for, is yet to come."""
        return self.enable_validation and self._progress.validations == 0 and any(self.num_val_batches)

    @property
    def validation_due(self) -> bool:
        """Whether a validation comes right after the training batch that has just been completed."""
        return fitting.validation_due(self._running())

    @property
    def validation_before_update(self) -> bool:
        """Whether a validation comes after the training batch just completed, before the weights change again."""
        return fitting.validation_before_update(self._running())

    @property
    def estimated_stepping_batches(self) -> float:
        """Optimizer steps the whole fit will do, as far as can be told; asks for the training loader."""
        if self.max_epochs == -1 or self.num_training_batches == math.inf:
            return math.inf if self.max_steps == -1 else self.max_steps
        updates = sum(
            count * math.ceil(self.num_training_batches / size) for count, size in self._accumulations(self.max_epochs)
        )
        return min(updates, self.max_steps) if self.max_steps != -1 else updates

    def _accumulations(self, epochs: int) -> list[tuple[int, int]]:
        """Return pairs of a number of epochs and the micro-batches per update in them."""
        from leyden.callbacks import GradientAccumulationScheduler

        for callback in self.callbacks:
            if isinstance(callback, GradientAccumulationScheduler):
                return callback.periods(epochs)
        return [(max(epochs, 1), self.accumulate_grad_batches)]

    # --- plug-ins ----------------------------------------------------------------------------------

    @property
    def logger(self) -> Logger | None:
        """The first logger."""
        return self.loggers[0] if self.loggers else None

    @logger.setter
    def logger(self, logger: Logger | None) -> None:
        self.loggers = [logger] if logger is not None else []

    @property
    def log_dir(self) -> str | None:
        """Folder of the first logger's files, or the default root."""
        first = self.logger
        return (first.log_dir or first.save_dir) if first is not None else self.default_root_dir

    @property
    def checkpoint_callbacks(self) -> list[Checkpoint]:
        """All callbacks that save checkpoints."""
        return [callback for callback in self.callbacks if isinstance(callback, Checkpoint)]

    @property
    def checkpoint_callback(self) -> Any:
        """The first callback that saves checkpoints."""
        return next(iter(self.checkpoint_callbacks), None)

    @property
    def early_stopping_callbacks(self) -> list[Any]:
        """All early stopping callbacks."""
        from leyden.callbacks import EarlyStopping

        return [callback for callback in self.callbacks if isinstance(callback, EarlyStopping)]

    @property
    def early_stopping_callback(self) -> Any:
        """The first early stopping callback."""
        return next(iter(self.early_stopping_callbacks), None)

    @property
    def progress_bar_callback(self) -> Any:
        """The progress bar."""
        from leyden.callbacks import ProgressBar

        return next((callback for callback in self.callbacks if isinstance(callback, ProgressBar)), None)

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers of the fit."""
        return list(self._optimization.optimizers)

    @property
    def lr_scheduler_configs(self) -> list[SchedulerConfig]:
        """The schedulers of the fit, and when each is stepped; what is changed in the list counts at once."""
        return self._optimization.schedulers

    def replace_schedulers(self, *schedulers: Any) -> None:
        """Step these *schedulers*, in any form `configure_optimizers` may return them, for the rest of the fit."""
        optimizers = self._optimization.optimizers
        self._optimization.schedulers[:] = parse((optimizers, list(schedulers))).schedulers

    @property
    def precision(self) -> str:
        """Canonical spelling of the precision."""
        return self.precision_plugin.name

    @property
    def scaler(self) -> Any:
        """The loss scaler of 16-mixed precision, or None."""
        return self.precision_plugin.scaler

    @property
    def is_global_zero(self) -> bool:
        """Whether this process is rank 0."""
        return self.strategy.is_global_zero

    @property
    def global_rank(self) -> int:
        """Index of this process among all."""
        return self.strategy.global_rank

    @property
    def local_rank(self) -> int:
        """Index of this process on its machine."""
        return self.strategy.local_rank

    @property
    def node_rank(self) -> int:
        """Index of this machine."""
        return self.strategy.node_rank

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self.strategy.world_size

    @property
    def accelerator(self) -> Accelerator:
        """The kind of device that is used."""
        return accelerator_of(self.strategy.root_device)

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any] | None:
        """Arguments of the samplers that divide the data among processes; None where there is one process."""
        rank, world = self.strategy.share
        return {"num_replicas": world, "rank": rank} if world > 1 else None

    @property
    def num_devices(self) -> int:
        """Number of devices on this machine."""
        return self.strategy.num_processes

    @property
    def device_ids(self) -> list[int]:
        """Indices of the devices on this machine."""
        first = self.strategy.root_device.index or 0
        return [first] if self.num_devices == 1 else list(range(self.num_devices))

    def rehearsal(
        self, steps: int, callbacks: list[Callback], validation: int = 0, reload: bool = False
    ) -> AbstractContextManager[Rehearsal]:
        """Set a running stage aside; what is handed out runs *steps* of it, and afterwards all is as it was.

        For callbacks that try something, when a stage or an epoch begins; see `leyden.engine.rehearsal`.
        """
        return rehearsal(self, steps, callbacks, validation, reload)

    # --- for the engine ------------------------------------------------------------------------------

    def _elapsed(self) -> float:
        """Seconds spent in training, over all attempts."""
        return time.monotonic() - self._clock if self._clock is not None else self._progress.seconds

    @contextmanager
    def _in_stage(self, kind: str) -> Iterator[None]:
        """Show in `state` that an evaluation is running."""
        before = self.state.stage
        if before is not RunningStage.SANITY_CHECKING:
            self.state.stage = _STAGES[kind]
        try:
            yield
        finally:
            self.state.stage = before

    def _clip_gradients(self, optimizer: Optimizer, value: float | None, algorithm: str | None) -> None:
        """Clip as the module asks, unless that contradicts the trainer's own options."""
        for name, asked, own in (
            ("gradient_clip_val", value, self.gradient_clip_val),
            ("gradient_clip_algorithm", algorithm, self.gradient_clip_algorithm),
        ):
            if asked is not None and own is not None and asked != own:
                raise ConfigurationError(
                    f"clip_gradients({name}={asked!r}) contradicts Trainer({name}={own!r}). Set it in one place."
                )
        inner = optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        clip(
            inner,
            value if value is not None else self.gradient_clip_val,
            options.choice(
                "gradient_clip_algorithm", algorithm or self.gradient_clip_algorithm, (None, "norm", "value")
            ),
        )

    def _running(self) -> Session:
        if self._session is None:
            raise RuntimeError("this can be called only while a stage is running.")
        return self._session

    def _manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        session = self._running()
        if session.module.automatic_optimization:
            raise ConfigurationError(
                "manual_backward was called, but automatic optimisation is on. "
                "Set self.automatic_optimization = False in the module's constructor, or return the loss."
            )
        manual_backward(session, loss, *args, **kwargs)

    def _module_optimizers(self, wrapped: bool) -> list[Any]:
        if not wrapped:
            return list(self._optimization.optimizers)

        def step(optimizer: Optimizer, closure: Any, **kwargs: Any) -> Any:
            return manual_update(self._running(), optimizer, closure, **kwargs)

        module = self.lightning_module
        return [LightningOptimizer(each, step, module.toggled_optimizer) for each in self._optimization.optimizers]

    def _ready_train_loader(self, session: Session) -> None:
        """Ask for the training loader, and go back to its position on a resumed run."""
        self._train_loader = (
            TrainLoader(session.loaders.get("train")[0], self.strategy) if session.loaders.get("train") else None
        )
        if self._train_loader is not None and self._resumed_loader:
            with part(self.ckpt_path or "", "leyden.loader"):
                self._train_loader.load_state_dict(self._resumed_loader)
            self._resumed_loader = None
        self.val_check_batch = (
            fitting.validation_interval(
                self.val_check_interval, self.num_training_batches, self.check_val_every_n_epoch is None
            )
            if self.enable_validation
            else math.inf
        )

    def _save_on_interruption(self) -> str | None:
        """Save where the checkpoints are, if any are kept; returns the path."""
        if not self.checkpoint_callbacks or self.fast_dev_run:
            return None
        folder = next((found for each in self.checkpoint_callbacks if (found := getattr(each, "dirpath", None))), None)
        path = Path(folder or Path(self.default_root_dir, "checkpoints"), "interrupted.ckpt")
        self.save_checkpoint(path)
        self.finish_saving()  # on all ranks, or some would stop well where rank 0 fails
        return str(path)

    def _report(self, found: list[dict[str, Tensor]], kind: str, verbose: bool) -> list[dict[str, float]]:
        results = [numbers(values) for values in found]
        if verbose and any(results):
            self.print(encodable(_table(results, kind)))
        return results


def _max_epochs(max_epochs: int | None, max_steps: int, max_time: timedelta | None) -> int:
    if max_epochs is None:
        return 1000 if max_steps == -1 and max_time is None else -1
    return int(options.whole("max_epochs", max_epochs, -1, special=", or -1 for no limit"))


def _sanity_steps(steps: int | None) -> float:
    if steps is None:
        return 2
    checked: int = options.whole("num_sanity_val_steps", steps, -1, special=", or -1 for all")
    return math.inf if checked == -1 else checked


def _table(results: list[dict[str, float]], kind: str) -> str:
    """Format metrics as an aligned table, one column for each loader."""
    plain = [{name.split("/dataloader_idx_")[0]: value for name, value in result.items()} for result in results]
    names = sorted({name for result in plain for name in result})
    head = [f"{kind} metric", *(["value"] if len(plain) == 1 else [f"loader {index}" for index in range(len(plain))])]
    rows = [[name, *(number(result[name]) if name in result else "" for result in plain)] for name in names]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
    rule = "─" * max(map(len, lines))
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])
