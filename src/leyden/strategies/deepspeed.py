"""DeepSpeed, which this version does not run: what does the same here is named in its place.

stage 1, 2    optimizer states and gradients are divided    FSDPStrategy(sharding_strategy="SHARD_GRAD_OP")
stage 3       parameters, too                               FSDPStrategy()
offload       to the CPU                                    cpu_offload=True
"""

from __future__ import annotations

from typing import NoReturn

from leyden.errors import ConfigurationError

NAMES = {
    "deepspeed": "strategy='fsdp'",
    "deepspeed_stage_1": "FSDPStrategy(sharding_strategy='SHARD_GRAD_OP')",
    "deepspeed_stage_1_offload": "FSDPStrategy(sharding_strategy='SHARD_GRAD_OP', cpu_offload=True)",
    "deepspeed_stage_2": "FSDPStrategy(sharding_strategy='SHARD_GRAD_OP')",
    "deepspeed_stage_2_offload": "FSDPStrategy(sharding_strategy='SHARD_GRAD_OP', cpu_offload=True)",
    "deepspeed_stage_3": "strategy='fsdp'",
    "deepspeed_stage_3_offload": "strategy='fsdp_cpu_offload'",
    "deepspeed_stage_3_offload_nvme": "strategy='fsdp_cpu_offload'",
}


def refuse(name: str) -> NoReturn:
    """Refuse ``Trainer(strategy=name)``, and say what to take instead.

    Raises:
        ConfigurationError: Always.
    """
    raise ConfigurationError(
        f"Trainer(strategy={name!r}): DeepSpeed is not supported by this version, installed or not. What comes closest "
        f"is {NAMES[name]}, which divides the same things by torch's own means; its checkpoints need no conversion."
    )


class DeepSpeedStrategy:
    """A name for programs that ask for DeepSpeed: making one is refused."""

    def __init__(self, stage: int = 2, **kwargs: object) -> None:
        name = f"deepspeed_stage_{stage}"
        offload = any(kwargs.get(each) for each in ("offload_optimizer", "offload_parameters"))
        name = f"{name}_offload" if offload else name
        refuse(name if name in NAMES else "deepspeed")
