"""The options of `DeepSpeedStrategy` as DeepSpeed's own configuration, and all that is refused of them.

The keys are those of https://www.deepspeed.ai/docs/config-json. What belongs to the trainer is asked of the trainer:
how many micro-batches make an update, where gradients are clipped, in which number format is computed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leyden.errors import ConfigurationError
from leyden.warnings import log

VARIABLE = "PL_DEEPSPEED_CONFIG_PATH"
"""Of the environment, as Lightning's: the path of a configuration, where none was given."""

_OF_THE_TRAINER = {
    "gradient_accumulation_steps": "Trainer(accumulate_grad_batches=...)",
    "fp16": "Trainer(precision='16-mixed') and the strategy's loss_scale and its like",
    "bf16": "Trainer(precision='bf16-mixed')",
    "amp": "Trainer(precision=...)",
    "optimizer": "configure_optimizers of the module",
    "scheduler": "configure_optimizers of the module",
}
_NVME = "belongs to what is kept on NVMe, which is not supported: offload to 'cpu'"
_UNSUPPORTED = {
    **dict.fromkeys(
        "nvme_path params_buffer_count params_buffer_size max_in_cpu optimizer_buffer_count block_size queue_depth "
        "single_submit overlap_events thread_count".split(),
        _NVME,
    ),
    "load_full_weights": "is always so, as a checkpoint is one file: leave it out",
    "exclude_frozen_parameters": "is not supported, a checkpoint holds everything: leave it out",
    **dict.fromkeys(
        ("accelerator", "parallel_devices", "cluster_environment", "precision_plugin"),
        "is settled by the Trainer: pass it there",
    ),
}


def refuse_unsupported(options: Mapping[str, Any]) -> None:
    """Refuse arguments of Lightning's strategy that have no meaning here, and unknown ones.

    Raises:
        ConfigurationError: Names the first of them, and says what to do.
    """
    for name, value in options.items():
        why = _UNSUPPORTED.get(name, "is no argument of it: leave it out, or write it into config={...}")
        raise ConfigurationError(f"DeepSpeedStrategy({name}={value!r:.80}): {name} {why}.")


def given(config: Mapping[str, Any] | str | os.PathLike[str] | None) -> dict[str, Any] | None:
    """Return the configuration that was passed, or that the environment names; None where there is none.

    Args:
        config: The configuration itself, or the path of a JSON file that holds it.

    Raises:
        ConfigurationError: If it cannot be read, or is no mapping.
    """
    where = "DeepSpeedStrategy(config=...)"
    if config is None and os.environ.get(VARIABLE):
        config, where = os.environ[VARIABLE], f"the variable {VARIABLE}"
        log.info("DeepSpeed is configured by %s, which %s names.", config, where)
    if config is None:
        return None
    found: object = config
    if isinstance(config, (str, os.PathLike)):
        try:
            found = json.loads(Path(config).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{where} names {os.fspath(config)}, which cannot be read: {error}. Expected the path of a JSON file."
            ) from error
    if not isinstance(found, Mapping):
        raise ConfigurationError(
            f"{where}: got {found!r:.80} of type {type(found).__name__}. Expected a dict of DeepSpeed's options, or "
            "the path of a JSON file with one."
        )
    return dict(found)


def made(
    stage: int,
    zero: Mapping[str, Any],
    offload: tuple[str | None, str | None],
    pin_memory: bool,
    untested: bool,
    activations: Mapping[str, bool],
) -> dict[str, Any]:
    """Return a configuration made of arguments.

    Args:
        stage: Of ZeRO.
        zero: What else is said of it in so many words.
        offload: Where states of the optimizer are kept and updated, and where parameters; None for the device.
        pin_memory: Whether what is kept there is page-locked.
        untested: Whether optimizers are accepted that DeepSpeed was not tested with.
        activations: How recomputed activations are kept.
    """
    section = {"stage": stage, **zero}
    for key, device in zip(("offload_optimizer", "offload_param"), offload, strict=True):
        if device is not None:
            section[key] = {"device": device, "pin_memory": pin_memory}
    return {
        "zero_allow_untested_optimizer": untested,
        "zero_force_ds_cpu_optimizer": False,  # the module's own optimizer runs where its states are kept
        "zero_optimization": section,
        "activation_checkpointing": dict(activations),
    }


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """Return *config* if every part of it can be done.

    Raises:
        ConfigurationError: If a part of it cannot.
    """
    for key, instead in _OF_THE_TRAINER.items():
        if key in config:
            raise ConfigurationError(
                f"the DeepSpeed configuration has {key}={config[key]!r:.80}, which would be said twice. "
                f"Leave it out there, and use {instead}."
            )
    section = config.get("zero_optimization") or {}
    stage = section.get("stage", 0)
    if stage not in (1, 2, 3) or isinstance(stage, bool):
        hint = " Use strategy='ddp', where every rank has everything." if stage in (0, None, False) else ""
        raise ConfigurationError(
            f"DeepSpeedStrategy(stage={stage!r}): expected 1 (optimizer states are divided among ranks), 2 (gradients, "
            f"too) or 3 (parameters, too), and zero_optimization.{hint}"
        )
    for key in ("offload_optimizer", "offload_param"):
        device = (section.get(key) or {}).get("device", "cpu")
        if device not in ("cpu", "none"):
            raise ConfigurationError(
                f"DeepSpeed is to keep what {key} names on {device!r}, which is not supported. Expected 'cpu'; "
                "or leave it out."
            )
    if section.get("offload_param") and stage != 3:
        raise ConfigurationError(
            f"DeepSpeedStrategy(stage={stage}, offload_parameters=True): parameters are divided in stage 3 only. Use "
            "stage=3, or offload_optimizer=True alone."
        )
    return config


def activations_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what *config* says of recomputed activations, as `deepspeed.checkpointing.configure` calls it."""
    names = {
        "partition_activations": "partition_activations",
        "contiguous_memory_optimization": "contiguous_checkpointing",
        "cpu_checkpointing": "checkpoint_in_cpu",
        "synchronize_checkpoint_boundary": "synchronize",
        "profile": "profile",
    }
    section = config.get("activation_checkpointing") or {}
    return {names[key]: value for key, value in section.items() if key in names and value}
