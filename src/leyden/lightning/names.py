"""Which name of Lightning's is which name of Leyden's: the one table of the alias layer.

Three columns: a module of Lightning, the module that stands in for it, and the names it
offers. ``A=B`` means that Lightning's *A* is called *B* here. A ``-`` in the middle says
that Lightning has these names and Leyden has no counterpart: importing one works, so that
the rest of a file does, and using it is a clear error (`leyden.lightning.absent`). A line
without names is a module with nothing in it that anybody should need.

Two rules keep the table short. A package offers, beside its own names, those of every
module below it, as Lightning's packages do for the most part. And everything is written
once: ``pytorch`` is both `lightning.pytorch` and `pytorch_lightning`, ``fabric`` is both
`lightning.fabric` and `lightning_fabric`, and ``lightning`` is the root of both.

Nothing is imported before a name is used.
"""

from __future__ import annotations

VERSION = "2.6.6"  # the Lightning whose names these are

TABLE = """
lightning                                   leyden                              Trainer LightningModule LightningDataModule Callback seed_everything
lightning                                   -                                   Fabric

pytorch                                     leyden                              Trainer LightningModule LightningDataModule Callback seed_everything
pytorch                                     leyden.lightning.warned             disable_possible_user_warnings
pytorch                                     -                                   cli_lightning_logo LIGHTNING_LOGO
pytorch.accelerators                        -                                   AcceleratorRegistry
pytorch.accelerators                        leyden.accelerators                 find_usable_cuda_devices
pytorch.accelerators.accelerator            leyden.accelerators                 Accelerator
pytorch.accelerators.cpu                    leyden.accelerators                 CPUAccelerator
pytorch.accelerators.cpu                    -                                   get_cpu_stats
pytorch.accelerators.cuda                   leyden.accelerators                 CUDAAccelerator
pytorch.accelerators.cuda                   -                                   get_nvidia_gpu_stats
pytorch.accelerators.mps                    leyden.accelerators                 MPSAccelerator
pytorch.accelerators.mps                    -                                   get_device_stats
pytorch.accelerators.xla                    -                                   XLAAccelerator

pytorch.callbacks.batch_size_finder         leyden.callbacks                    BatchSizeFinder
pytorch.callbacks.callback                  leyden.callback                     Callback
pytorch.callbacks.checkpoint                leyden.callback                     Checkpoint
pytorch.callbacks.device_stats_monitor      leyden.callbacks                    DeviceStatsMonitor
pytorch.callbacks.early_stopping            leyden.callbacks                    EarlyStopping EarlyStoppingReason
pytorch.callbacks.finetuning                leyden.callbacks                    BaseFinetuning BackboneFinetuning
pytorch.callbacks.finetuning                leyden.callbacks.backbone_finetuning  multiplicative
pytorch.callbacks.gradient_accumulation_scheduler  leyden.callbacks             GradientAccumulationScheduler
pytorch.callbacks.lambda_function           leyden.callbacks                    LambdaCallback
pytorch.callbacks.lr_finder                 leyden.callbacks                          LearningRateFinder
pytorch.callbacks.lr_monitor                leyden.callbacks                    LearningRateMonitor
pytorch.callbacks.model_checkpoint          leyden.callbacks                    ModelCheckpoint
pytorch.callbacks.model_checkpoint          leyden.lightning.rank_zero          warning_cache
pytorch.callbacks.model_summary             leyden.callbacks                    ModelSummary
pytorch.callbacks.on_exception_checkpoint   leyden.callbacks                    OnExceptionCheckpoint
pytorch.callbacks.prediction_writer         leyden.callbacks                    BasePredictionWriter
pytorch.callbacks.prediction_writer         leyden.callbacks.base_prediction_writer  WriteInterval
pytorch.callbacks.progress.progress_bar     leyden.callbacks                    ProgressBar
pytorch.callbacks.progress.progress_bar     -                                   get_standard_metrics
pytorch.callbacks.progress.rich_progress    leyden.callbacks                    RichProgressBar RichProgressBarTheme
pytorch.callbacks.progress.tqdm_progress    leyden.callbacks                    TQDMProgressBar
pytorch.callbacks.progress.tqdm_progress    -                                   Tqdm convert_inf
pytorch.callbacks.pruning                   -                                   ModelPruning
pytorch.callbacks.rich_model_summary        leyden.callbacks                    RichModelSummary
pytorch.callbacks.spike                     -                                   SpikeDetection
pytorch.callbacks.stochastic_weight_avg     leyden.callbacks                    StochasticWeightAveraging
pytorch.callbacks.throughput_monitor        leyden.callbacks                    ThroughputMonitor
pytorch.callbacks.timer                     leyden.callbacks                    Timer
pytorch.callbacks.timer                     leyden.lightning.choices            Interval
pytorch.callbacks.weight_averaging          leyden.callbacks                    WeightAveraging EMAWeightAveraging

pytorch.cli                                 leyden.lightning.signatures         ArgsType OptimizerCallable LRSchedulerCallable LRSchedulerTypeTuple LRSchedulerTypeUnion LRSchedulerType ReduceLROnPlateau instantiate_class
pytorch.cli                                 -                                   LightningCLI LightningArgumentParser SaveConfigCallback ModuleType instantiate_module

pytorch.core.datamodule                     leyden.datamodule                   LightningDataModule
pytorch.core.hooks                          -                                   ModelHooks DataHooks CheckpointHooks
pytorch.core.mixins.hparams_mixin           leyden.lightning.hparams            HyperparametersMixin
pytorch.core.module                         leyden.module                       LightningModule
pytorch.core.module                         leyden.lightning.rank_zero          warning_cache
pytorch.core.module                         -                                   MODULE_OPTIMIZERS
pytorch.core.optimizer                      leyden.optimizer                    LightningOptimizer
pytorch.core.optimizer                      -                                   do_nothing_closure
pytorch.core.saving                         leyden.lightning.hparams            load_hparams_from_yaml save_hparams_to_yaml
pytorch.core.saving                         -                                   CHECKPOINT_PAST_HPARAMS_KEYS update_hparams load_hparams_from_tags_csv save_hparams_to_tags_csv convert

pytorch.demos.boring_classes                leyden.lightning.boring             RandomDataset RandomDictDataset RandomIterableDataset RandomIterableDatasetWithLen BoringModel ManualOptimBoringModel BoringDataModule BoringDataModuleNoLen DemoModel Net
pytorch.demos.boring_classes                -                                   IterableBoringDataModule
pytorch.demos.lstm                          -                                   SimpleLSTM SequenceSampler LightningLSTM
pytorch.demos.mnist_datamodule              -                                   MNIST MNISTDataModule
pytorch.demos.transformer                   -                                   Transformer PositionalEncoding WikiText2 Dictionary tokenize LightningTransformer

pytorch.loggers.comet                       -                                   CometLogger comet_experiment FRAMEWORK_NAME
pytorch.loggers.csv_logs                    leyden.loggers                      CSVLogger
pytorch.loggers.csv_logs                    -                                   ExperimentWriter
pytorch.loggers.litlogger                   -                                   LitLogger
pytorch.loggers.logger                      leyden.loggers                      Logger DummyLogger
pytorch.loggers.logger                      leyden.lightning.rank_zero          rank_zero_experiment rank_zero_only
pytorch.loggers.logger                      -                                   merge_dicts
pytorch.loggers.mlflow                      leyden.loggers                      MLFlowLogger
pytorch.loggers.mlflow                      -                                   LOCAL_FILE_URI_PREFIX
pytorch.loggers.neptune                     -                                   NeptuneLogger
pytorch.loggers.tensorboard                 leyden.loggers                      TensorBoardLogger
pytorch.loggers.utilities
pytorch.loggers.wandb                       leyden.loggers                      WandbLogger

pytorch.loops.evaluation_loop               -                                   RestartStage
pytorch.loops.fetchers
pytorch.loops.fit_loop                      -                                   RestartStage
pytorch.loops.loop
pytorch.loops.optimization.automatic        -                                   ClosureResult Closure
pytorch.loops.optimization.closure          -                                   T OutputResult AbstractClosure
pytorch.loops.optimization.manual           -                                   ManualResult
pytorch.loops.prediction_loop
pytorch.loops.progress
pytorch.loops.training_epoch_loop           -                                   RestartStage
pytorch.loops.utilities                     -                                   check_finite_loss

pytorch.overrides.distributed               -                                   prepare_for_backward UnrepeatedDistributedSampler UnrepeatedDistributedSamplerWrapper

pytorch.plugins                             -                                   CheckpointIO TorchCheckpointIO XLACheckpointIO
pytorch.plugins.environments                -                                   ClusterEnvironment KubeflowEnvironment LightningEnvironment LSFEnvironment MPIEnvironment SLURMEnvironment TorchElasticEnvironment XLAEnvironment
pytorch.plugins.io                          -                                   CheckpointIO TorchCheckpointIO XLACheckpointIO
pytorch.plugins.io.async_plugin             leyden.plugins.io                   AsyncCheckpointIO
pytorch.plugins.io.checkpoint_plugin        -                                   CheckpointIO
pytorch.plugins.io.torch_plugin             -                                   TorchCheckpointIO
pytorch.plugins.io.wrapper
pytorch.plugins.io.xla_plugin               -                                   XLACheckpointIO
pytorch.plugins.layer_sync                  -                                   LayerSync TorchSyncBatchNorm
pytorch.plugins.precision.amp               leyden.lightning.precisions         MixedPrecision
pytorch.plugins.precision.bitsandbytes      -                                   BitsandbytesPrecision
pytorch.plugins.precision.deepspeed         -                                   DeepSpeedPrecision warning_cache
pytorch.plugins.precision.double            leyden.lightning.precisions         DoublePrecision
pytorch.plugins.precision.double            -                                   LightningDoublePrecisionModule
pytorch.plugins.precision.fsdp              -                                   FSDPPrecision
pytorch.plugins.precision.half              leyden.lightning.precisions         HalfPrecision
pytorch.plugins.precision.precision         leyden.precision                    Precision
pytorch.plugins.precision.transformer_engine  -                                 TransformerEnginePrecision
pytorch.plugins.precision.xla               -                                   XLAPrecision

pytorch.profilers.advanced                  leyden.profilers                    AdvancedProfiler
pytorch.profilers.base                      leyden.profilers                    PassThroughProfiler
pytorch.profilers.profiler                  leyden.profiler                     Profiler
pytorch.profilers.pytorch                   leyden.profilers                    PyTorchProfiler
pytorch.profilers.pytorch                   -                                   RegisterRecordFunction ScheduleWrapper warning_cache
pytorch.profilers.simple                    leyden.profilers                    SimpleProfiler
pytorch.profilers.xla                       -                                   XLAProfiler

pytorch.serve.servable_module               -                                   ServableModule
pytorch.serve.servable_module_validator     -                                   ServableModuleValidator

pytorch.strategies                          -                                   StrategyRegistry
pytorch.strategies.ddp                      leyden.strategies                   DDPStrategy
pytorch.strategies.deepspeed                leyden.strategies                   DeepSpeedStrategy
pytorch.strategies.deepspeed                -                                   remove_module_hooks warning_cache
pytorch.strategies.fsdp                     leyden.strategies                   FSDPStrategy
pytorch.strategies.launchers.launcher
pytorch.strategies.launchers.multiprocessing
pytorch.strategies.launchers.subprocess_script
pytorch.strategies.launchers.xla
pytorch.strategies.model_parallel           leyden.strategies                   ModelParallelStrategy
pytorch.strategies.parallel                 -                                   ParallelStrategy
pytorch.strategies.single_device            leyden.strategies                   SingleDeviceStrategy=SingleDevice
pytorch.strategies.single_xla               -                                   SingleDeviceXLAStrategy
pytorch.strategies.strategy                 leyden.strategy                     Strategy
pytorch.strategies.strategy                 -                                   TBroadcast TReduce
pytorch.strategies.xla                      -                                   XLAStrategy

pytorch.trainer                             leyden                              seed_everything
pytorch.trainer.call
pytorch.trainer.configuration_validator
pytorch.trainer.connectors.accelerator_connector
pytorch.trainer.connectors.callback_connector
pytorch.trainer.connectors.checkpoint_connector
pytorch.trainer.connectors.data_connector   -                                   warning_cache
pytorch.trainer.connectors.logger_connector.fx_validator
pytorch.trainer.connectors.logger_connector.logger_connector  -                 warning_cache
pytorch.trainer.connectors.logger_connector.result  -                           warning_cache
pytorch.trainer.connectors.signal_connector
pytorch.trainer.setup
pytorch.trainer.states                      leyden.state                        TrainerStatus TrainerFn RunningStage TrainerState
pytorch.trainer.trainer                     leyden.trainer                      Trainer

pytorch.tuner.batch_size_scaling
pytorch.tuner.lr_finder
pytorch.tuner.tuning                        leyden.tuner                        Tuner

pytorch.utilities                           leyden.lightning.transfer           move_data_to_device
pytorch.utilities                           leyden.hyperparameters              AttributeDict
pytorch.utilities                           leyden.lightning.lengths            suggested_max_num_workers
pytorch.utilities                           leyden.lightning.flops              measure_flops
pytorch.utilities                           lightning_utilities.core.enums      LightningEnum=StrEnum
pytorch.utilities                           -                                   is_shared_filesystem FLOAT16_EPSILON FLOAT32_EPSILON FLOAT64_EPSILON
pytorch.utilities.argparse
pytorch.utilities.combined_loader           leyden.combined_loader              CombinedLoader
pytorch.utilities.compile                   -                                   from_compiled to_uncompiled
pytorch.utilities.consolidate_checkpoint
pytorch.utilities.data                      leyden.lightning.transfer           extract_batch_size
pytorch.utilities.data                      leyden.lightning.rank_zero          warning_cache
pytorch.utilities.data                      -                                   BType has_len_all_ranks
pytorch.utilities.deepspeed                 -                                   CPU_DEVICE ds_checkpoint_dir convert_zero_checkpoint_to_fp32_state_dict
pytorch.utilities.enums                     leyden.lightning.choices            GradClipAlgorithmType
pytorch.utilities.exceptions                leyden.errors                       MisconfigurationException=ConfigurationError SIGTERMException=Interrupted
pytorch.utilities.grads                     leyden.lightning.gradients          grad_norm
pytorch.utilities.imports
pytorch.utilities.memory                    leyden.lightning.transfer           recursive_detach
pytorch.utilities.memory                    leyden.memory                       garbage_collection_cuda=release is_oom_error=is_out_of_memory
pytorch.utilities.memory                    leyden.lightning.memory             is_cuda_out_of_memory is_cudnn_snafu is_out_of_cpu_memory
pytorch.utilities.migration.migration
pytorch.utilities.migration.utils           -                                   migrate_checkpoint pl_legacy_patch
pytorch.utilities.model_helpers             leyden.lightning.parsing            is_overridden
pytorch.utilities.model_helpers             -                                   get_torchvision_model
pytorch.utilities.model_registry            -                                   find_model_local_ckpt_path download_model_from_registry
pytorch.utilities.model_summary.model_summary  leyden.lightning.summary          ModelSummary summarize PARAMETER_NUM_UNITS UNKNOWN_SIZE LEFTOVER_PARAMS_NAME NOT_APPLICABLE get_formatted_model_size get_human_readable_count
pytorch.utilities.model_summary.model_summary  leyden.lightning.rank_zero        warning_cache
pytorch.utilities.model_summary.model_summary  -                                 LayerSummary parse_batch_shape
pytorch.utilities.model_summary.model_summary_deepspeed  -                      DeepSpeedLayerSummary DeepSpeedSummary deepspeed_param_size
pytorch.utilities.parameter_tying           leyden.lightning.sharing            find_shared_parameters set_shared_parameters
pytorch.utilities.parsing                   leyden.hyperparameters              AttributeDict
pytorch.utilities.parsing                   leyden.lightning.parsing            get_init_args is_picklable lightning_hasattr lightning_getattr lightning_setattr
pytorch.utilities.parsing                   leyden.lightning.hparams            save_hyperparameters
pytorch.utilities.parsing                   -                                   clean_namespace parse_class_init_keys collect_init_args
pytorch.utilities.rank_zero                 leyden.lightning.rank_zero          rank_zero_only rank_zero_info rank_zero_warn rank_zero_debug rank_zero_deprecation rank_prefixed_message WarningCache LightningDeprecationWarning
pytorch.utilities.seed                      leyden.lightning.seeds              isolate_rng
pytorch.utilities.seed                      leyden.rng                          seed_everything
pytorch.utilities.signature_utils           leyden.lightning.parsing            is_param_in_hook_signature
pytorch.utilities.testing
pytorch.utilities.types                     leyden.lightning.types              STEP_OUTPUT TRAIN_DATALOADERS EVAL_DATALOADERS LRSchedulerTypeTuple LRSchedulerTypeUnion LRSchedulerType LRSchedulerPLType LRSchedulerConfigType OptimizerConfig OptimizerLRSchedulerConfig OptimizerLRScheduler _EVALUATE_OUTPUT _PREDICT_OUTPUT _METRIC _NUMBER _PATH _MAP_LOCATION_TYPE
pytorch.utilities.types                     leyden.engine.optimization          LRSchedulerConfig=SchedulerConfig
pytorch.utilities.types                     torch.nn.parallel                   DistributedDataParallel
pytorch.utilities.upgrade_checkpoint        -                                   main
pytorch.utilities.warnings                  leyden.lightning.warned             PossibleUserWarning disable_possible_user_warnings

fabric                                      leyden                              seed_everything
fabric                                      leyden.lightning.warned             disable_possible_user_warnings
fabric                                      -                                   Fabric is_wrapped
fabric.accelerators                         -                                   ACCELERATOR_REGISTRY
fabric.accelerators.accelerator             leyden.accelerators                 Accelerator
fabric.accelerators.cpu                     leyden.accelerators                 CPUAccelerator
fabric.accelerators.cuda                    leyden.accelerators                 CUDAAccelerator find_usable_cuda_devices num_cuda_devices is_cuda_available
fabric.accelerators.mps                     leyden.accelerators                 MPSAccelerator
fabric.accelerators.registry                -                                   call_register_accelerators
fabric.accelerators.xla                     -                                   XLAAccelerator
fabric.cli                                  -                                   main
fabric.connector
fabric.fabric                               -                                   Fabric
fabric.loggers.csv_logs                     leyden.loggers                      CSVLogger
fabric.loggers.logger                       leyden.loggers                      Logger
fabric.loggers.logger                       leyden.lightning.rank_zero          rank_zero_experiment rank_zero_only
fabric.loggers.tensorboard                  leyden.loggers                      TensorBoardLogger
fabric.plugins.collectives.collective       -                                   Collective
fabric.plugins.collectives.single_device    -                                   SingleDeviceCollective
fabric.plugins.collectives.torch_collective  -                                  TorchCollective
fabric.plugins.environments.cluster_environment  -                              ClusterEnvironment
fabric.plugins.environments.kubeflow        -                                   KubeflowEnvironment
fabric.plugins.environments.lightning       -                                   LightningEnvironment find_free_network_port
fabric.plugins.environments.lsf             -                                   LSFEnvironment
fabric.plugins.environments.mpi             -                                   MPIEnvironment
fabric.plugins.environments.slurm           -                                   SLURMEnvironment
fabric.plugins.environments.torchelastic    -                                   TorchElasticEnvironment
fabric.plugins.environments.xla             -                                   XLAEnvironment
fabric.plugins.io.checkpoint_io             -                                   CheckpointIO
fabric.plugins.io.torch_io                  -                                   TorchCheckpointIO
fabric.plugins.io.xla                       -                                   XLACheckpointIO
fabric.plugins.precision.amp                leyden.lightning.precisions         MixedPrecision
fabric.plugins.precision.bitsandbytes       -                                   BitsandbytesPrecision
fabric.plugins.precision.deepspeed          -                                   DeepSpeedPrecision
fabric.plugins.precision.double             leyden.lightning.precisions         DoublePrecision
fabric.plugins.precision.fsdp               -                                   FSDPPrecision
fabric.plugins.precision.half               leyden.lightning.precisions         HalfPrecision
fabric.plugins.precision.precision          leyden.precision                    Precision
fabric.plugins.precision.transformer_engine  -                                  TransformerEnginePrecision
fabric.plugins.precision.utils
fabric.plugins.precision.xla                -                                   XLAPrecision
fabric.strategies                           -                                   STRATEGY_REGISTRY
fabric.strategies.ddp                       -                                   DDPStrategy
fabric.strategies.deepspeed                 -                                   DeepSpeedStrategy
fabric.strategies.dp                        -                                   DataParallelStrategy
fabric.strategies.fsdp                      -                                   FSDPStrategy
fabric.strategies.launchers.launcher
fabric.strategies.launchers.multiprocessing
fabric.strategies.launchers.subprocess_script
fabric.strategies.launchers.xla
fabric.strategies.model_parallel            -                                   ModelParallelStrategy TModel
fabric.strategies.parallel                  -                                   ParallelStrategy
fabric.strategies.registry
fabric.strategies.single_device             leyden.strategies                   SingleDeviceStrategy=SingleDevice
fabric.strategies.single_xla                -                                   SingleDeviceXLAStrategy
fabric.strategies.strategy                  leyden.strategy                     Strategy
fabric.strategies.strategy                  -                                   TBroadcast TReduce
fabric.strategies.xla                       -                                   XLAStrategy
fabric.strategies.xla_fsdp                  -                                   XLAFSDPStrategy
fabric.utilities                            leyden.hyperparameters              AttributeDict
fabric.utilities                            lightning_utilities.core.enums      LightningEnum=StrEnum
fabric.utilities.apply_func                 leyden.lightning.transfer           move_data_to_device convert_tensors_to_scalars
fabric.utilities.apply_func                 lightning_utilities.core.apply_func  apply_to_collection
fabric.utilities.apply_func                 -                                   CONVERSION_DTYPES convert_to_tensors
fabric.utilities.cloud_io                   leyden.lightning.files              get_filesystem
fabric.utilities.consolidate_checkpoint
fabric.utilities.data                       leyden.hyperparameters              AttributeDict
fabric.utilities.data                       leyden.lightning.lengths            has_iterable_dataset sized_len has_len suggested_max_num_workers
fabric.utilities.device_dtype_mixin
fabric.utilities.device_parser
fabric.utilities.distributed                -                                   is_shared_filesystem DistributedSamplerWrapper
fabric.utilities.enums
fabric.utilities.exceptions                 leyden.errors                       MisconfigurationException=ConfigurationError
fabric.utilities.imports
fabric.utilities.init
fabric.utilities.load
fabric.utilities.logger
fabric.utilities.optimizer
fabric.utilities.rank_zero                  leyden.lightning.rank_zero          rank_zero_only rank_zero_info rank_zero_warn rank_zero_debug rank_zero_deprecation rank_prefixed_message WarningCache LightningDeprecationWarning
fabric.utilities.registry
fabric.utilities.seed                       leyden.rng                          seed_everything
fabric.utilities.seed                       leyden.lightning.seeds              max_seed_value min_seed_value reset_seed pl_worker_init_function
fabric.utilities.spike                      -                                   SpikeDetection TrainingSpikeException
fabric.utilities.testing
fabric.utilities.throughput                 leyden.lightning.flops              measure_flops
fabric.utilities.throughput                 -                                   Throughput ThroughputMonitor get_available_flops T
fabric.utilities.types                      leyden.lightning.types              _PATH _MAP_LOCATION_TYPE
fabric.utilities.types                      torch                               UntypedStorage
fabric.utilities.types                      -                                   CollectibleGroup Steppable Optimizable
fabric.utilities.warnings                   leyden.lightning.warned             PossibleUserWarning disable_possible_user_warnings
fabric.wrappers                             -                                   is_wrapped T_destination
"""  # noqa: E501 - one line a module is what makes it readable

ROOTS = {"lightning": "lightning", "pytorch_lightning": "pytorch", "lightning_fabric": "fabric"}
ABSENT = "-"


def read(table: str = TABLE) -> dict[str, dict[str, tuple[str, str]]]:
    """Return ``{module: {name: (home, name there)}}``, every package on the way included.

    Modules are written as in the table; below the root ``lightning`` stand ``lightning.pytorch``
    and ``lightning.fabric``, which are ``pytorch`` and ``fabric`` once more (see `written`).
    """
    own: dict[str, dict[str, tuple[str, str]]] = {}
    for line in filter(None, table.splitlines()):
        module, home, *names = (*line.split(), ABSENT)[: max(2, len(line.split()))]
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            own.setdefault(".".join(parts[:length]), {})
        for name in names:
            here, _, there = name.partition("=")
            own[module][here] = (home, there or here)
    return {module: _with_those_below(module, own) for module in own}


def _with_those_below(module: str, own: dict[str, dict[str, tuple[str, str]]]) -> dict[str, tuple[str, str]]:
    if "." not in module:
        return own[module]  # `lightning.pytorch` itself offers a handful of names, not all there are
    gathered: dict[str, tuple[str, str]] = {}
    for below, names in own.items():
        if below.startswith(f"{module}."):
            gathered |= {name: place for name, place in names.items() if place[0] != ABSENT or name not in gathered}
    return gathered | own[module]


def written(module: str) -> str:
    """Return how the table writes the module that Python calls *module*."""
    root, _, rest = module.partition(".")
    if root == "lightning" and rest:
        return rest
    return ".".join(filter(None, (ROOTS[root], rest)))
