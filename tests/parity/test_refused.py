"""What the table of refusals names is refused, before anything is touched, with a message that says what to do."""

from __future__ import annotations

import re

import pytest
from differences import REFUSED
from twins import LEYDEN, quiet, regression, silence

from leyden import ConfigurationError
from leyden.errors import LeydenError
from leyden.lightning import names
from leyden.lightning.absent import stand_in
from leyden.strategies import DeepSpeedStrategy


def options(*given):
    """Attempts to make a trainer with each of the options *given*."""
    return [lambda tmp_path, one=one: quiet(LEYDEN, tmp_path, **one) for one in given]


def stand_ins(*paths):
    """Attempts to make an object of each of Lightning's classes *paths*."""

    def attempt(path):
        module, _, name = path.rpartition(".")
        assert names.read()[module][name][0] == names.ABSENT, f"{path} is there: strike it off the table"
        return lambda tmp_path: stand_in(f"lightning.{path}")()

    return [attempt(path) for path in paths]


def fits(**members):
    """Attempts to fit a module with one of *members*."""

    def attempt(name, member):
        return lambda tmp_path: quiet(LEYDEN, tmp_path, max_epochs=1).fit(
            type("Module", (regression(LEYDEN),), {name: member})()
        )

    return [attempt(name, member) for name, member in members.items()]


def fitted(tmp_path):
    """A trainer that has fitted."""
    trainer = quiet(LEYDEN, tmp_path, max_steps=1, limit_val_batches=0)
    trainer.fit(regression(LEYDEN)())
    return trainer


STRATEGIES = "deepspeed deepspeed_stage_2 deepspeed_stage_3_offload deepspeed_stage_3_offload_nvme xla"
LOGGERS = "comet.CometLogger litlogger.LitLogger neptune.NeptuneLogger"
IO = "plugins.io.CheckpointIO plugins.io.TorchCheckpointIO plugins.environments.SLURMEnvironment"
OLD = "training_epoch_end validation_epoch_end test_epoch_end on_epoch_end on_batch_end".split()

ATTEMPTS = {
    "strategies": (
        [
            *options(*({"strategy": name} for name in STRATEGIES.split())),
            lambda tmp_path: DeepSpeedStrategy(stage=3),
            *stand_ins("pytorch.strategies.xla.XLAStrategy", "pytorch.strategies.single_xla.SingleDeviceXLAStrategy"),
        ],
        r"What comes closest is|Use 'deepspeed|Known: auto|takes 'auto'",
    ),
    "accelerators": (options({"accelerator": "tpu"}, {"accelerator": "hpu"}), "Use accelerator='auto'"),
    "precisions": (
        options({"precision": "transformer-engine"}, {"precision": "transformer-engine-float16"})
        + stand_ins("pytorch.plugins.precision.bitsandbytes.BitsandbytesPrecision"),
        r"expected one of: 32-true|Trainer\(precision=\.\.\.\)",
    ),
    "profilers": (
        options({"profiler": "xla"}) + stand_ins("pytorch.profilers.xla.XLAProfiler"),
        "expected 'simple', 'advanced', 'pytorch'|no counterpart",
    ),
    "plugins": (stand_ins(*(f"pytorch.{path}" for path in IO.split())), "Leave it out: "),
    "storage_options": (
        [lambda tmp_path: fitted(tmp_path).save_checkpoint(tmp_path / "saved.ckpt", storage_options={"a": 1})],
        "upload the file in a logger's after_save_checkpoint",
    ),
    "places_of_checkpoints": (
        [
            lambda tmp_path, place=place: fitted(tmp_path).fit(regression(LEYDEN)(), ckpt_path=place)
            for place in ("hpc", "registry:name")
        ],
        "there is no checkpoint at",
    ),
    "steps_that_fetch": (
        fits(**dict.fromkeys(("training_step", "validation_step"), lambda self, dataloader_iter: None)),
        r"Write \w+_step\(self, batch, batch_idx\)",
    ),
    "configure_sharded_model": (fits(configure_sharded_model=lambda self: None), "Rename it to configure_model"),
    "hooks_of_lightning_1": (fits(**dict.fromkeys(OLD, lambda self, outputs: None)), r"\bon_\w+_(epoch|batch)_end\b"),
    "tensorrt": ([lambda tmp_path: regression(LEYDEN)().to_tensorrt("engine")], "with to_onnx, which TensorRT reads"),
    "command_line": (stand_ins("pytorch.cli.LightningCLI"), "config groups"),
    "fabric": (stand_ins("fabric.Fabric", "lightning.Fabric"), "automatic_optimization = False"),
    "callbacks": (stand_ins("pytorch.callbacks.ModelPruning", "pytorch.callbacks.SpikeDetection"), "of a callback"),
    "loggers": (stand_ins(*(f"pytorch.loggers.{path}" for path in LOGGERS.split())), "Use WandbLogger"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_listed_is_refused_with_what_to_do_instead(name, tmp_path):
    attempts, remedy = ATTEMPTS[name]

    for attempt in attempts:
        with pytest.raises(LeydenError) as caught, silence():
            attempt(tmp_path)

        assert re.search(remedy, str(caught.value)), str(caught.value)


def test_every_refusal_that_is_tried_is_listed():
    assert set(ATTEMPTS) == set(REFUSED)


def test_a_refused_option_is_a_mistake_of_the_user(tmp_path):
    with pytest.raises(ConfigurationError):
        quiet(LEYDEN, tmp_path, strategy="deepspeed")
