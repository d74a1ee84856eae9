"""Every class and function that a stranger's config may name computes and nothing else, or was looked at, by name.

Everything callable below torch, torchmetrics and leyden is gone through, under every name it can be reached by.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
import warnings

import pytest

from leyden.config.harmless import is_harmless, is_public, leads_there
from leyden.config.places import FURTHER, GUARDED

PACKAGES = ("torch.nn", "torch.optim", "torch.distributions", "torch.amp", "torch.profiler", "torch.utils.data",
            "torchmetrics", "leyden")  # fmt: skip
WORDS = (
    "address backend class cls cmd code collate command config dir dirpath entity factory file filename files fn "
    "folder func funcs function functions hook hooks host impl kwargs lambda lib library model models module modules "
    "name names operator path paths pattern policy port project root script settings tokenizer transform type uri url "
    "wrapper"
).split()
SUSPICIOUS = re.compile("|".join(f"(?:^|_){word}(?:_|$)" for word in WORDS))

CALLED = {  # is given a callable and calls it: what builds that callable is judged like everything else
    "leyden.callbacks.backbone_finetuning.BackboneFinetuning": {"lambda_func"},
    "leyden.callbacks.lambda_callback.LambdaCallback": {"hooks"},
    "leyden.callbacks.stochastic_weight_averaging.StochasticWeightAveraging": {"avg_fn"},
    "leyden.callbacks.throughput_monitor.ThroughputMonitor": {"batch_size_fn", "length_fn"},
    "leyden.datasets.in_memory.InMemory": {"transform"},
    "leyden.strategies.ddp.DDPStrategy": {"ddp_comm_hook", "ddp_comm_wrapper"},
    "leyden.strategies.fsdp.FSDPStrategy": {"auto_wrap_policy", "activation_checkpointing_policy"},
    "torch.nn.functional.triplet_margin_with_distance_loss": {"distance_function"},
    "torch.nn.modules.loss.TripletMarginWithDistanceLoss": {"distance_function"},
    "torch.optim.lr_scheduler.CyclicLR": {"scale_fn"},
    "torch.optim.lr_scheduler.LambdaLR": {"lr_lambda"},
    "torch.optim.lr_scheduler.MultiplicativeLR": {"lr_lambda"},
    "torch.optim.swa_utils.AveragedModel": {"avg_fn", "multi_avg_fn"},
    "torch.utils.data.dataloader.DataLoader": {"collate_fn", "worker_init_fn"},
    "torchmetrics.aggregation.BaseAggregator": {"fn"},
    "torchmetrics.metric.CompositionalMetric": {"operator"},
    "torchmetrics.wrappers.transformations.LambdaInputTransformer": {"transform_pred", "transform_target"},
}
CHOSEN = {  # takes one word of a few, or the name of an attribute, a column or a run: nothing is found by it
    "leyden.callbacks.batch_size_finder.BatchSizeFinder": {"batch_arg_name"},
    "leyden.callbacks.learning_rate_finder.LearningRateFinder": {"attr_name"},
    "leyden.callbacks.model_checkpoint.ModelCheckpoint": {"auto_insert_metric_name"},
    "leyden.loggers.mlflow.MLFlowLogger": {"experiment_name", "run_name", "log_model"},
    "leyden.loggers.wandb.WandbLogger": {"log_model", "add_file_policy"},
    "leyden.precisions.mixed.MixedPrecision": {"name", "device_type"},
    "leyden.precisions.true.TruePrecision": {"name"},
    "leyden.profilers.pytorch.PyTorchProfiler": {"record_module_names"},
    "leyden.strategies.ddp.DDPStrategy": {"process_group_backend"},
    "leyden.strategies.deepspeed.DeepSpeedStrategy": {"process_group_backend"},
    "leyden.strategies.distributed.Distributed": {"process_group_backend"},
    "leyden.strategies.fsdp.FSDPStrategy": {"process_group_backend", "state_dict_type"},
    "leyden.strategies.model_parallel.ModelParallelStrategy": {"process_group_backend"},
    "leyden.trainer.Trainer": {"enable_model_summary", "model_registry"},
    "torch.amp.autocast_mode.autocast": {"device_type"},
    "torch.nn.functional.assert_int_or_pair": {"arg_name"},
    "torch.nn.utils.parametrizations.orthogonal": {"name"},
    "torch.nn.utils.parametrizations.spectral_norm": {"name"},
    "torch.nn.utils.parametrizations.weight_norm": {"name"},
    "torch.nn.utils.spectral_norm.spectral_norm": {"name"},
    "torch.nn.utils.weight_norm.weight_norm": {"name"},
    "torch.optim.Muon": {"adjust_lr_fn"},
    "torch.optim.lbfgs.LBFGS": {"line_search_fn"},
    "torchmetrics.aggregation.BaseAggregator": {"state_name"},
    "torchmetrics.detection.mean_ap.MeanAveragePrecision": {"backend", "iou_type"},
    "torchmetrics.functional.detection.map.mean_average_precision": {"backend", "iou_type"},
}
MODULES = {  # takes a module, a metric or a transform that was built before, or many of them
    "leyden.experiment.Experiment": {"model"},
    "torch.distributions.transforms.IndependentTransform": {"base_transform"},
    "torch.nn.modules.container.ModuleDict": {"modules"},
    "torch.nn.modules.container.ModuleList": {"modules"},
    "torch.nn.utils.parametrizations.orthogonal": {"module"},
    "torch.nn.utils.parametrizations.spectral_norm": {"module"},
    "torch.nn.utils.parametrizations.weight_norm": {"module"},
    "torch.nn.utils.spectral_norm.spectral_norm": {"module"},
    "torch.nn.utils.weight_norm.weight_norm": {"module"},
    "torch.optim.swa_utils.AveragedModel": {"model"},
}
PASSED_ON = {  # ``**kwargs`` for a class that is on the list itself, or that takes numbers and truth values alone
    "leyden.callbacks.ema_weight_averaging.EMAWeightAveraging", "leyden.callbacks.weight_averaging.WeightAveraging",
    "leyden.callbacks.rich_progress_bar.RichProgressBar", "leyden.module.LightningModule",
    "leyden.profilers.pytorch.PyTorchProfiler", "leyden.strategies.ddp.DDPStrategy",
    "leyden.strategies.fsdp.FSDPStrategy", "pathlib.Path", "pathlib.PosixPath",
    "torch.utils.data.dataset.StackDataset",
}  # fmt: skip
NUMBERS = {"norm_type", "d_model", "class_metrics", "per_class", "return_per_class", "weight_type", "print_config"}


FIXED = {  # import a module whose name stands in their code
    "torch.nn.functional.interpolate", "torch.nn.functional.max_pool3d_with_indices", "torch.nn.functional.pad",
}  # fmt: skip


def modules():
    """Return every module that a config may lead to, imported; their parents with them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for package in PACKAGES:
            folder = importlib.import_module(package).__path__
            for info in pkgutil.walk_packages(folder, f"{package}.", onerror=lambda name: None):
                if leads_there(info.name):
                    try:
                        importlib.import_module(info.name)
                    except ImportError:
                        continue  # needs a package that is not installed
    return {name: each for name, each in sys.modules.items() if each is not None and leads_there(name)}


@pytest.fixture(scope="module")
def allowed():
    """Everything that passes, with all names it is reached by."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module, content in modules().items():
            for name in dir(content):
                value = getattr(content, name, None)
                if callable(value) and is_harmless(value):
                    found.setdefault(id(value), (value, set()))[1].add(f"{module}.{name}")
    return list(found.values())


def home(value):
    return f"{value.__module__}.{value.__qualname__}"


def parameters(value):
    try:
        return inspect.signature(value).parameters
    except (TypeError, ValueError):
        return {}


def reviewed(value):
    """Return the parameters of *value* that were looked at."""
    names = set(NUMBERS)
    for each in getattr(value, "__mro__", (value,)):
        names |= GUARDED.get(home(each), {}).keys()
        for table in (CALLED, CHOSEN, MODULES):
            names |= table.get(home(each), set())
        if home(each) in PASSED_ON or home(each) in FURTHER:
            names |= {"kwargs", "profiler_kwargs", "table_kwargs", "console_kwargs"}
    if home(value).startswith(("torchmetrics", "torch.nn.modules")):
        names.add("kwargs")
    return names


def test_what_passes_was_looked_at_where_a_parameter_sounds_as_if_it_did_more(allowed):
    open_ones = {
        home(value): sorted(name for name in set(parameters(value)) - reviewed(value) if SUSPICIOUS.search(name))
        for value, _ in allowed
        if value.__module__ != "builtins"
    }

    assert {name: found for name, found in open_ones.items() if found} == {}


def test_nothing_was_looked_at_that_is_not_there(allowed):
    there = {home(value): set(parameters(value)) for value, _ in allowed}
    for table in (CALLED, CHOSEN, MODULES):
        assert {name for name, params in table.items() if params - there.get(name, set())} == set()


def test_hundreds_pass_and_thousands_do_not(allowed):
    passing = len(allowed)
    every = {
        id(value)
        for content in modules().values()
        for value in vars(content).values()
        if callable(value) and isinstance(value, type) | inspect.isroutine(value)
    }

    assert 1000 < passing < 2000
    assert len(every) > passing


def test_what_passes_is_public_where_it_was_defined(allowed):
    for value, names in allowed:
        if inspect.isbuiltin(value) or value.__module__ in ("torch._C", "builtins"):
            continue  # operations on tensors are all defined in C; so are torch.device, torch.Generator
        assert is_public(home(value)), names


def test_what_imports_modules_by_name_never_passes(allowed):
    importing = {
        home(value)
        for value, _ in allowed
        if inspect.isfunction(value) and {"importlib", "import_module", "__import__"} & set(value.__code__.co_names)
    }

    assert importing == FIXED


@pytest.mark.parametrize(
    "name",
    [
        "torch.nn.attention._fa3.register_flash_attention_fa3",
        "torch.nn.attention._fa4.register_flash_attention_fa4",
        "torch.nn.attention.register_flash_attention_impl",
        "torch.nn.attention.activate_flash_attention_impl",
        "torch.nn.utils._deprecation_utils.lazy_deprecated_import",
        "torch.nn.utils.init.skip_init",
        "torch.nn.utils.stateless.functional_call",
        "torch.nn.utils.parametrize.register_parametrization",
        "torch.nn.parallel.parallel_apply.parallel_apply",
        "torch.nn.modules.module.register_module_forward_hook",
        "torch.nn.attention.flex_attention.create_mask",
        "torch.optim.optimizer.register_optimizer_step_pre_hook",
        "torch.optim._multi_tensor.partialclass",
        "torch.distributions.utils.lazy_property",
        "torch.amp.autocast_mode.custom_fwd",
        "torch.from_file",
        "torch.profiler.tensorboard_trace_handler",
        "leyden.datasets.idx.read_idx",
        "leyden.loggers.default.BesideLogger",
        "leyden.strategies.sharded.Sharded",
    ],
)
def test_what_calls_imports_or_opens_what_it_is_given_does_not_pass(name):
    module, _, last = name.rpartition(".")

    assert not is_harmless(getattr(importlib.import_module(module), last))


def test_what_only_says_that_it_is_from_torch_does_not_pass():
    def relu():
        """Pretend to be an operation."""

    relu.__module__, relu.__qualname__ = "torch.nn.functional", "relu"
    Linear = type("Linear", (), {"__module__": "torch.nn.modules.linear"})

    assert not is_harmless(relu)
    assert not is_harmless(Linear)
