"""Begin with some layers frozen, and let them be trained later: the base of finetuning callbacks.

    setup ─► freeze_before_training ─► configure_optimizers ─► each epoch: finetune_function

`configure_optimizers` should leave frozen parameters out
(``Adam(p for p in self.parameters() if p.requires_grad)``); `unfreeze_and_add_param_group`
gives them to the optimizer later. A checkpoint knows which parameters were trained, in which
groups, so that a resumed run finds both again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch.nn import Module, ModuleDict, Parameter
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from leyden.callback import Callback
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer

Modules = Module | Iterable[Any]


class BaseFinetuning(Callback):
    """Override `freeze_before_training` and `finetune_function` to say what is trained when.

    Example:
        >>> class Unfreeze(BaseFinetuning):
        ...     def freeze_before_training(self, pl_module):
        ...         self.freeze(pl_module.encoder)
        ...
        ...     def finetune_function(self, pl_module, epoch, optimizer):
        ...         if epoch == 5:
        ...             self.unfreeze_and_add_param_group(pl_module.encoder, optimizer, lr=1e-4)
    """

    def __init__(self) -> None:
        self._internal_optimizer_metadata: dict[int, list[dict[str, Any]]] = {}
        self._trainable: list[str] | None = None  # names of parameters
        self._tracking: list[str] = []  # names of batch norm layers that follow their statistics
        self._restarting = False

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        """Freeze what is not to be trained at first."""
        raise NotImplementedError(f"{type(self).__name__} must override freeze_before_training(pl_module).")

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Unfreeze what is to be trained from *epoch* on; called for each optimizer when an epoch begins."""
        raise NotImplementedError(
            f"{type(self).__name__} must override finetune_function(pl_module, epoch, optimizer)."
        )

    # --- hooks -----------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Freeze, before the optimizers are made."""
        self._restarting = False
        self.freeze_before_training(pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """On a resumed run, unfreeze what was trained and give it back to the optimizers."""
        if not self._restarting:
            self._internal_optimizer_metadata, self._trainable = {}, None
            return
        self._restarting = False
        named = dict(pl_module.named_parameters())
        added: set[Parameter] = set()
        for index, optimizer in enumerate(trainer.optimizers):
            if index not in self._internal_optimizer_metadata:
                continue
            before = _parameters(optimizer)
            optimizer.param_groups = _exchange(self._internal_optimizer_metadata[index], named)
            added |= _parameters(optimizer) - before
        for name, parameter in named.items():
            if self._trainable is not None:
                parameter.requires_grad = name in self._trainable
            elif parameter in added:  # the checkpoint is Lightning's, which does not know what was frozen
                parameter.requires_grad = True
        if self._trainable is not None:
            for name, layer in _batch_norms(pl_module):
                layer.track_running_stats = name in self._tracking

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask `finetune_function`, and note what it did."""
        for index, optimizer in enumerate(trainer.optimizers):
            before = len(optimizer.param_groups)
            self.finetune_function(pl_module, trainer.current_epoch, optimizer)
            self._store(pl_module, index, before, optimizer.param_groups)
        self._trainable = [name for name, each in pl_module.named_parameters() if each.requires_grad]
        self._tracking = [name for name, layer in _batch_norms(pl_module) if layer.track_running_stats]

    # --- state -----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the groups of each optimizer, by the names of their parameters, and what is trained."""
        return {
            "internal_optimizer_metadata": self._internal_optimizer_metadata,
            "trainable": self._trainable,
            "tracking": self._tracking,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned; it is put to use when the optimizers exist."""
        self._restarting = True
        self._internal_optimizer_metadata = state_dict["internal_optimizer_metadata"]
        self._trainable = state_dict.get("trainable")
        self._tracking = state_dict.get("tracking", [])

    def _store(
        self,
        pl_module: LightningModule,
        opt_idx: int,
        num_param_groups: int,
        current_param_groups: list[dict[str, Any]],
    ) -> None:
        """Note the groups of an optimizer: all at first, later those that are new."""
        names = {parameter: name for name, parameter in pl_module.named_parameters()}
        known = self._internal_optimizer_metadata.setdefault(opt_idx, [])
        new = current_param_groups[num_param_groups:] if known else current_param_groups
        known.extend(_exchange(new, names))

    # --- freezing and unfreezing --------------------------------------------------------------

    @staticmethod
    def flatten_modules(modules: Modules) -> list[Module]:
        """Return every layer in *modules* that has no children, or parameters of its own."""
        if isinstance(modules, ModuleDict):
            modules = modules.values()
        if isinstance(modules, Iterable):
            found = [layer for each in modules for layer in BaseFinetuning.flatten_modules(each)]
        else:
            found = list(modules.modules())
        return [layer for layer in found if not list(layer.children()) or layer._parameters]

    @staticmethod
    def filter_params(modules: Modules, train_bn: bool = True, requires_grad: bool = True) -> Iterator[Parameter]:
        """Yield the parameters of *modules* that are trained, or those that are not.

        Args:
            modules: A module, or an iterable of modules, nested as you like.
            train_bn: Whether those of batch norm layers are among them.
            requires_grad: Which of the two.
        """
        for layer in BaseFinetuning.flatten_modules(modules):
            if isinstance(layer, _BatchNorm) and not train_bn:
                continue
            for parameter in layer.parameters(recurse=False):
                if parameter.requires_grad == requires_grad:
                    yield parameter

    @staticmethod
    def make_trainable(modules: Modules) -> None:
        """Unfreeze the parameters of *modules*, and let batch norm layers follow their statistics."""
        for layer in BaseFinetuning.flatten_modules(modules):
            BaseFinetuning._switch(layer, on=True)

    @staticmethod
    def freeze_module(module: Module) -> None:
        """Freeze the parameters of *module* itself, not those of its children."""
        BaseFinetuning._switch(module, on=False)

    @staticmethod
    def freeze(modules: Modules, train_bn: bool = True) -> None:
        """Freeze the parameters of *modules*.

        Args:
            modules: A module, or an iterable of modules, nested as you like.
            train_bn: Whether batch norm layers go on being trained.
        """
        for layer in BaseFinetuning.flatten_modules(modules):
            BaseFinetuning._switch(layer, on=train_bn and isinstance(layer, _BatchNorm))

    @staticmethod
    def _switch(layer: Module, *, on: bool) -> None:
        if isinstance(layer, _BatchNorm):
            layer.track_running_stats = on
        for parameter in layer.parameters(recurse=False):
            parameter.requires_grad = on

    @staticmethod
    def filter_on_optimizer(optimizer: Optimizer, params: Iterable[Parameter]) -> list[Parameter]:
        """Return those of *params* that *optimizer* does not have yet, with a warning about the others."""
        known, given = _parameters(optimizer), list(params)
        new = [parameter for parameter in given if parameter not in known]
        if len(new) < len(given):
            warn_once(
                f"{len(given) - len(new)} of the parameters to be unfrozen are in the {type(optimizer).__name__} "
                "already, and stay in their group. Leave frozen parameters out in configure_optimizers: "
                "(p for p in self.parameters() if p.requires_grad)."
            )
        return new

    @staticmethod
    def unfreeze_and_add_param_group(
        modules: Modules,
        optimizer: Optimizer,
        lr: float | None = None,
        initial_denom_lr: float = 10.0,
        train_bn: bool = True,
    ) -> None:
        """Unfreeze *modules* and give their parameters to *optimizer*, as a group of their own.

        Args:
            modules: A module, or an iterable of modules, nested as you like.
            optimizer: Where they go.
            lr: Learning rate of the group; None for that of the first group divided by *initial_denom_lr*.
            initial_denom_lr: See *lr*.
            train_bn: Whether the parameters of batch norm layers go there, too.
        """
        known = _parameters(optimizer).intersection(BaseFinetuning.filter_params(modules))  # trained all the time
        BaseFinetuning.make_trainable(modules)
        rate = optimizer.param_groups[0]["lr"] / initial_denom_lr if lr is None else float(lr)
        trained = [each for each in BaseFinetuning.filter_params(modules, train_bn) if each not in known]
        if new := BaseFinetuning.filter_on_optimizer(optimizer, trained):
            optimizer.add_param_group({"params": new, "lr": rate})


def _parameters(optimizer: Optimizer) -> set[Parameter]:
    return {parameter for group in optimizer.param_groups for parameter in group["params"]}


def _batch_norms(module: Module) -> list[tuple[str, _BatchNorm]]:
    return [(name, layer) for name, layer in module.named_modules() if isinstance(layer, _BatchNorm)]


def _exchange(groups: Iterable[Mapping[str, Any]], table: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """Copy *groups* with their parameters looked up in *table*: names for parameters, or the other way."""
    return [{**group, "params": [table[each] for each in group["params"]]} for group in groups]
