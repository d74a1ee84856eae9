"""Finetuning under Lightning and under Leyden: the same weights, rates, groups and frozen parameters in every epoch."""

from __future__ import annotations

import lightning.pytorch.callbacks
import pytest
import torch
from twins import LEYDEN, LIGHTNING, quiet, regression, silence, watcher_of

import leyden.callbacks

CALLBACKS = {LIGHTNING: lightning.pytorch.callbacks, LEYDEN: leyden.callbacks}


def module_of(library, scheduler):
    """A head on a backbone with batch norm, which notes its state at the end of every epoch."""

    class Module(regression(library)):
        def __init__(self):
            super().__init__()
            self.backbone = torch.nn.Sequential(
                torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Sequential(torch.nn.ReLU())
            )
            self.net = torch.nn.Linear(8, 1)
            self.seen = []

        def forward(self, x):
            return self.net(self.backbone(x))

        def configure_optimizers(self):
            trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
            optimizer = torch.optim.SGD(trained, lr=0.05, momentum=0.9)
            if not scheduler:
                return optimizer
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)]

        def on_train_epoch_end(self):
            optimizer = self.trainer.optimizers[0]
            names = {parameter: name for name, parameter in self.named_parameters()}
            self.seen.append(
                {
                    "trained": [name for name, each in self.named_parameters() if each.requires_grad],
                    "groups": [
                        {**group, "params": [names[each] for each in group["params"]]}
                        for group in optimizer.param_groups
                    ],
                    "tracking": self.backbone[1].track_running_stats,
                    "weights": {name: weight.tolist() for name, weight in self.state_dict().items()},
                }
            )

    return Module()


def own(library):
    """A callback of one's own: the last layer of the backbone first, without its batch norm, then all of it."""

    class Own(CALLBACKS[library].BaseFinetuning):
        def freeze_before_training(self, pl_module):
            self.freeze([pl_module.backbone[0], pl_module.backbone[1:]], train_bn=False)

        def finetune_function(self, pl_module, epoch, optimizer):
            if epoch == 1:
                self.unfreeze_and_add_param_group(pl_module.backbone[1], optimizer, lr=0.01)
            if epoch == 2:
                self.unfreeze_and_add_param_group({"a": pl_module.backbone[0]}.values(), optimizer)

    return Own()


CASES = {
    "backbone": {"unfreeze_backbone_at_epoch": 1},
    "backbone, not aligned": {"unfreeze_backbone_at_epoch": 1, "lambda_func": lambda _: 30.0, "should_align": False},
    "backbone, aligned": {"unfreeze_backbone_at_epoch": 1, "lambda_func": lambda epoch: 4.0 + epoch},
    "backbone, its own rate": {"unfreeze_backbone_at_epoch": 2, "backbone_initial_lr": 0.003},
    "backbone, batch norm frozen": {"unfreeze_backbone_at_epoch": 2, "train_bn": False},
    "backbone from the start": {"unfreeze_backbone_at_epoch": 0, "backbone_initial_ratio_lr": 0.5},
}


def fit(library, tmp_path, make, scheduler, **options):
    torch.manual_seed(0)
    module, watcher = module_of(library, scheduler), watcher_of(library)
    trainer = quiet(library, tmp_path, callbacks=[watcher, make(library)], **{"max_epochs": 5, **options})
    with silence():
        trainer.fit(module)
    return module.seen, watcher.rates, watcher.outputs


@pytest.mark.parametrize("scheduler", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_backbone_is_trained_in_the_same_way(tmp_path, case, scheduler):
    def make(library):
        return CALLBACKS[library].BackboneFinetuning(**CASES[case])

    assert fit(LEYDEN, tmp_path, make, scheduler) == fit(LIGHTNING, tmp_path, make, scheduler)


@pytest.mark.parametrize("scheduler", [False, True])
def test_a_callback_of_ones_own_trains_in_the_same_way(tmp_path, scheduler):
    assert fit(LEYDEN, tmp_path, own, scheduler) == fit(LIGHTNING, tmp_path, own, scheduler)


class Own(torch.nn.Module):
    """Has a parameter of its own and children."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.child = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))


def nested():
    torch.manual_seed(0)
    first, second = Own(), torch.nn.ModuleDict({"a": torch.nn.Linear(1, 3), "b": Own()})
    return [first, [second, torch.nn.ModuleList([torch.nn.Conv1d(1, 2, 1)])], torch.nn.Dropout()]


@pytest.mark.parametrize("train_bn", [False, True])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_layers_are_found_frozen_and_unfrozen_alike(train_bn, requires_grad):
    def seen(library):
        base, modules = CALLBACKS[library].BaseFinetuning, nested()
        flat = base.flatten_modules(modules)
        base.freeze(modules, train_bn=train_bn)
        frozen = [parameter.requires_grad for layer in flat for parameter in layer.parameters(recurse=False)]
        base.make_trainable(modules[1])
        base.freeze_module(modules[0])
        kept = list(base.filter_params(modules, train_bn=train_bn, requires_grad=requires_grad))
        return [type(layer).__name__ for layer in flat], frozen, [each.tolist() for each in kept]

    assert seen(LEYDEN) == seen(LIGHTNING)
