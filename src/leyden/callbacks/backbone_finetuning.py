"""Train the head of a module alone at first, then its backbone, too, at a rate that catches up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch.nn import Module
from torch.optim import Optimizer

from leyden.callbacks.base_finetuning import BaseFinetuning
from leyden.errors import ConfigurationError
from leyden.warnings import log

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


def multiplicative(epoch: int) -> float:
    """Double the learning rate of the backbone each epoch."""
    return 2.0


class BackboneFinetuning(BaseFinetuning):
    """Unfreeze the module's ``backbone`` at an epoch; its learning rate starts low and grows each epoch.

    Args:
        unfreeze_backbone_at_epoch: Index of the first epoch that trains the backbone.
        lambda_func: Factor on the backbone's rate, each epoch after that; called with the epoch's index + 1.
        backbone_initial_ratio_lr: The backbone's first rate, as a factor on that of the first group.
        backbone_initial_lr: The backbone's first rate itself, instead.
        should_align: Whether the backbone's rate stops growing at that of the first group.
        initial_denom_lr: Accepted for compatibility; the backbone's first rate is always given.
        train_bn: Whether the backbone's batch norm layers are trained.
        verbose: Whether both rates go to the log each epoch.
        rounding: Digits of the rates in the log.

    Attributes:
        previous_backbone_lr: The backbone's rate in the latest epoch; None while it is frozen.
    """

    def __init__(
        self,
        unfreeze_backbone_at_epoch: int = 10,
        lambda_func: Callable[[int], float] = multiplicative,
        backbone_initial_ratio_lr: float = 0.1,
        backbone_initial_lr: float | None = None,
        should_align: bool = True,
        initial_denom_lr: float = 10.0,
        train_bn: bool = True,
        verbose: bool = False,
        rounding: int = 12,
    ) -> None:
        super().__init__()
        self.unfreeze_backbone_at_epoch = unfreeze_backbone_at_epoch
        self.lambda_func = lambda_func
        self.backbone_initial_ratio_lr = backbone_initial_ratio_lr
        self.backbone_initial_lr = backbone_initial_lr
        self.should_align = should_align
        self.initial_denom_lr = initial_denom_lr
        self.train_bn = train_bn
        self.verbose = verbose
        self.rounding = rounding
        self.previous_backbone_lr: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base class and the backbone's rate."""
        return {**super().state_dict(), "previous_backbone_lr": self.previous_backbone_lr}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.previous_backbone_lr = state_dict["previous_backbone_lr"]
        super().load_state_dict(state_dict)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See `BaseFinetuning.on_fit_start`."""
        _backbone(pl_module)
        super().on_fit_start(trainer, pl_module)

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        """Freeze the backbone but for its batch norm layers."""
        self.freeze(_backbone(pl_module))

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Unfreeze the backbone when it is time; later, raise its learning rate."""
        if epoch < self.unfreeze_backbone_at_epoch:
            return
        rate = optimizer.param_groups[0]["lr"]
        if epoch == self.unfreeze_backbone_at_epoch:
            given = self.backbone_initial_lr
            own = rate * self.backbone_initial_ratio_lr if given is None else given
            self.unfreeze_and_add_param_group(
                _backbone(pl_module), optimizer, own, self.initial_denom_lr, train_bn=self.train_bn
            )
        else:
            own = self.lambda_func(epoch + 1) * self._previous()
            own = rate if self.should_align and own > rate else own
            optimizer.param_groups[-1]["lr"] = own
        self.previous_backbone_lr = own
        if self.verbose:
            log.info("Learning rate: %s; of the backbone: %s", round(rate, self.rounding), round(own, self.rounding))

    def _previous(self) -> float:
        if self.previous_backbone_lr is None:
            raise ConfigurationError(
                f"BackboneFinetuning should have unfrozen the backbone in epoch {self.unfreeze_backbone_at_epoch}, but "
                "this fit began later, from a checkpoint that knows nothing of it. Begin anew, or set "
                "unfreeze_backbone_at_epoch to an epoch that is still to come."
            )
        return self.previous_backbone_lr


def _backbone(pl_module: LightningModule) -> Module:
    """Return the module's backbone.

    Raises:
        ConfigurationError: If it has none.
    """
    backbone = getattr(pl_module, "backbone", None)
    if not isinstance(backbone, Module):
        raise ConfigurationError(
            f"BackboneFinetuning needs a torch.nn.Module called 'backbone' in {type(pl_module).__name__}; "
            f"found {type(backbone).__name__}. Name it so, or derive a callback of your own from BaseFinetuning."
        )
    return backbone
