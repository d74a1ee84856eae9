"""What DeepSpeed cannot do with a module, said before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

from torch.optim import LBFGS, Adagrad, Optimizer

from leyden.errors import ConfigurationError
from leyden.module import LightningModule

if TYPE_CHECKING:
    from leyden.trainer import Trainer

_CLOSEST = {
    1: "FSDPStrategy(sharding_strategy='SHARD_GRAD_OP')",
    2: "FSDPStrategy(sharding_strategy='SHARD_GRAD_OP')",
    3: "strategy='fsdp'",
}
_OVERRIDES = {
    "backward": "DeepSpeed differentiates the loss: change it in training_step",
    "configure_gradient_clipping": "DeepSpeed clips while it updates: use Trainer(gradient_clip_val=...)",
}
_REPLACED = (Adagrad, LBFGS)


def check_installed(stage: int, offload: bool) -> None:
    """Refuse to do without the package.

    Raises:
        ConfigurationError: If it is not installed; says how to get it, and what comes closest.
    """
    if find_spec("deepspeed") is not None:
        return
    closest = _CLOSEST[stage]
    if offload:
        closest = "strategy='fsdp_cpu_offload'" if stage == 3 else f"{closest[:-1]}, cpu_offload=True)"
    raise ConfigurationError(
        f"DeepSpeedStrategy(stage={stage}) needs DeepSpeed, which is not installed here: no module 'deepspeed'. "
        f'Install it with pip install "leyden[deepspeed]". What comes closest is {closest}, which divides the same '
        "things by torch's own means."
    )


def check_module(trainer: Trainer, module: LightningModule) -> None:
    """Refuse to fit what DeepSpeed cannot.

    Raises:
        ConfigurationError: If the module optimises by hand or overrides what DeepSpeed does, or gradients are to be
            clipped by value.
    """
    name = type(module).__name__
    if not module.automatic_optimization:
        raise ConfigurationError(
            f"{name}.automatic_optimization is False, which DeepSpeedStrategy cannot do: it updates where a window of "
            "the engine ends. Let the engine optimise, or use strategy='fsdp'."
        )
    for method, why in _OVERRIDES.items():
        if getattr(type(module), method) is not getattr(LightningModule, method):
            raise ConfigurationError(f"{name}.{method} would never be called under DeepSpeedStrategy. {why}.")
    if trainer.gradient_clip_val and trainer.gradient_clip_algorithm == "value":
        raise ConfigurationError(
            f"Trainer(gradient_clip_val={trainer.gradient_clip_val}, gradient_clip_algorithm='value'): DeepSpeed clips "
            "gradients by their norm only. Leave gradient_clip_algorithm out, or use strategy='fsdp'."
        )


def check_length(trainer: Trainer) -> None:
    """Refuse to accumulate over a loader without a length.

    Raises:
        ConfigurationError: If nobody knows which window is the last one of an epoch.
    """
    if trainer.num_training_batches == float("inf"):
        raise ConfigurationError(
            f"Trainer(accumulate_grad_batches={trainer.accumulate_grad_batches}, strategy='deepspeed') with a training "
            "loader that has no length: the gradients of a last, shorter window could not be brought to its size. Give "
            "limit_train_batches=N, or accumulate_grad_batches=1."
        )


def only(module: LightningModule, optimizers: Sequence[Optimizer]) -> Optimizer:
    """Return the one optimizer there is.

    Raises:
        ConfigurationError: If there is another number of them, or DeepSpeed would put another one in its place.
    """
    found = [each for each in optimizers if each.param_groups]
    name = type(module).__name__
    if len(found) != 1:
        raise ConfigurationError(
            f"{name}.configure_optimizers returned {len(found)} optimizers, but DeepSpeedStrategy updates with exactly "
            "one. Return one, with groups of parameters where they differ, or use strategy='fsdp'."
        )
    if isinstance(found[0], _REPLACED):
        raise ConfigurationError(
            f"{name}.configure_optimizers returned {type(found[0]).__name__}, which DeepSpeed cannot take over. Return "
            "AdamW, SGD or another optimizer, or use strategy='fsdp'."
        )
    return found[0]


def refuse_group(group: Any) -> NoReturn:
    """Take the place of ``add_param_group`` of an optimizer that is divided.

    Raises:
        ConfigurationError: Always.
    """
    raise ConfigurationError(
        "a group of parameters was added to an optimizer that DeepSpeed has divided, so that they would never be "
        "updated. Give it all parameters in configure_optimizers; or use strategy='fsdp'."
    )
