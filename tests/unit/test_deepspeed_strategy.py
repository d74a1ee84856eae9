"""DeepSpeed is asked for by Lightning's names; what it cannot do is refused, and without the package all of it.

What it does where it is installed: ``tests/third_party/test_deepspeed.py``.
"""

import json
import signal

import pytest
import torch

import leyden as L
from leyden.errors import Interrupted
from leyden.strategies import DeepSpeedStrategy, SingleDevice
from leyden.testing import TinyData, TinyModule

NAMES = """
deepspeed deepspeed_stage_1 deepspeed_stage_1_offload deepspeed_stage_2 deepspeed_stage_2_offload deepspeed_stage_3
deepspeed_stage_3_offload
""".split()


@pytest.mark.parametrize("name", NAMES)
def test_without_the_package_the_extra_and_what_comes_closest_are_named(name):
    with pytest.raises(L.ConfigurationError) as caught:
        L.Trainer(strategy=name)

    message = str(caught.value)
    assert "no module 'deepspeed'" in message
    assert 'pip install "leyden[deepspeed]"' in message
    assert "What comes closest is" in message
    assert ("cpu_offload" in message) == name.endswith("offload")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"stage": 0}, r"stage=0\): expected 1 .* Use strategy='ddp'"),
        ({"stage": 4}, r"stage=4\): expected 1"),
        ({"zero_optimization": False}, "Use strategy='ddp'"),
        ({"stage": 2, "offload_parameters": True}, "parameters are divided in stage 3 only"),
        ({"offload_optimizer": True, "offload_optimizer_device": "nvme"}, "on 'nvme', which is not supported"),
        ({"nvme_path": "/fast"}, "nvme_path belongs to what is kept on NVMe"),
        ({"load_full_weights": True}, "load_full_weights is always so"),
        ({"zero_optimisation": True}, "zero_optimisation is no argument of it"),
        ({"config": {"gradient_accumulation_steps": 2}}, r"use Trainer\(accumulate_grad_batches=...\)"),
        ({"config": {"bf16": {"enabled": True}}}, r"use Trainer\(precision='bf16-mixed'\)"),
        ({"config": {"zero_optimization": {"stage": 0}}}, "expected 1"),
        ({"config": ["stage"]}, "of type list. Expected a dict"),
        ({"config": "nowhere.json"}, "names nowhere.json, which cannot be read"),
    ],
)
def test_what_cannot_be_done_is_refused(options, told):
    with pytest.raises(L.ConfigurationError, match=told):
        DeepSpeedStrategy(**options)


def test_nvme_is_refused_by_its_name():
    with pytest.raises(L.ConfigurationError, match="Use 'deepspeed_stage_3_offload'"):
        L.Trainer(strategy="deepspeed_stage_3_offload_nvme")


def test_the_environment_names_a_configuration(tmp_path, monkeypatch):
    (tmp_path / "zero.json").write_text(json.dumps({"zero_optimization": {"stage": 7}}))
    monkeypatch.setenv("PL_DEEPSPEED_CONFIG_PATH", str(tmp_path / "zero.json"))

    with pytest.raises(L.ConfigurationError, match="stage=7"):
        DeepSpeedStrategy()


class Alone(SingleDevice):
    """A strategy that keeps the gradients of a window to itself, as DeepSpeed does."""

    owns_update = True


class Stop(L.Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 0:
            trainer.request_stop(signal.SIGTERM)


def test_a_signal_within_a_window_is_obeyed_at_its_end(tmp_path):
    trainer = L.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        strategy=Alone(),
        accumulate_grad_batches=3,
        callbacks=[Stop()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )

    with pytest.raises(Interrupted) as caught:
        trainer.fit(TinyModule(), TinyData(train=5))

    saved = torch.load(caught.value.checkpoint)
    assert saved["leyden"]["progress"]["batch"] == 3
    assert saved["global_step"] == 1
