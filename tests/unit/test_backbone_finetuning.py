"""Frozen layers stay as they are until their epoch comes, and a resumed run knows which ones are trained."""

import logging

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import leyden as L
from leyden.callbacks import BackboneFinetuning, BaseFinetuning, ModelCheckpoint
from leyden.errors import ConfigurationError


class Classifier(L.LightningModule):
    """A head on a backbone with batch norm and dropout."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2))
        self.head = nn.Linear(8, 2)
        self.rates = []

    def training_step(self, batch, batch_idx):
        self.rates.append([group["lr"] for group in self.trainer.optimizers[0].param_groups])
        return F.cross_entropy(self.head(self.backbone(batch[0])), batch[1])

    def configure_optimizers(self):
        optimizer = torch.optim.Adam([each for each in self.parameters() if each.requires_grad], lr=0.05)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.9)]


def loader():
    x = torch.randn(32, 4, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), 8, shuffle=True)


def fit(folder, callback, ckpt_path=None, module_class=Classifier, **options):
    """Train from seed 3, with a checkpoint after every batch and every epoch."""
    L.seed_everything(3, verbose=False)
    module = module_class()
    every = ModelCheckpoint(folder, filename="every-{step}", every_n_train_steps=1, save_top_k=-1)
    epochs = ModelCheckpoint(folder, filename="epochs-{epoch}", every_n_epochs=1, save_top_k=-1)
    trainer = L.Trainer(
        callbacks=[callback, epochs, every],
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        **{"max_epochs": 4, **options},
    )
    trainer.fit(module, loader(), ckpt_path=ckpt_path)
    return module, trainer


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_backbone_changes_only_from_its_epoch_on(tmp_path):
    torch.manual_seed(3)
    first = Classifier().backbone[0].weight

    fit(tmp_path, BackboneFinetuning(unfreeze_backbone_at_epoch=2))

    weights = [
        torch.load(tmp_path / f"epochs-epoch={epoch}.ckpt", weights_only=True)["state_dict"]["backbone.0.weight"]
        for epoch in range(4)
    ]
    assert torch.equal(weights[0], first)
    assert torch.equal(weights[1], first)
    assert not torch.equal(weights[2], first)
    assert not torch.equal(weights[3], weights[2])


def test_the_rate_of_the_backbone_doubles_until_it_meets_that_of_the_head(tmp_path):
    module, _ = fit(tmp_path, BackboneFinetuning(unfreeze_backbone_at_epoch=1), max_epochs=6)

    heads, backbones = zip(*module.rates[4::4], strict=True)
    assert heads == pytest.approx([0.05 * 0.9**epoch for epoch in range(1, 6)])
    assert backbones == pytest.approx([0.0045, 0.009, 0.018, 0.05 * 0.9**4, 0.05 * 0.9**5])


class Stages(BaseFinetuning):
    """Unfreezes the linear layer by itself, without a group, and the batch norm with one."""

    def freeze_before_training(self, pl_module):
        self.freeze(pl_module.backbone, train_bn=False)

    def finetune_function(self, pl_module, epoch, optimizer):
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.backbone[1], optimizer, lr=0.01)
        if epoch == 2:
            self.unfreeze_and_add_param_group(pl_module.backbone[0], optimizer, initial_denom_lr=2.0)
        if epoch == 3:
            self.freeze(pl_module.backbone[1], train_bn=False)


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
@pytest.mark.parametrize("make", [Stages, lambda: BackboneFinetuning(1, train_bn=False)], ids=["own", "backbone"])
def test_resuming_from_any_checkpoint_equals_the_uninterrupted_run(tmp_path, make):
    expected, trainer = fit(tmp_path / "whole", make())
    saved = sorted((tmp_path / "whole").glob("*.ckpt"))

    assert len(saved) == 20
    for number, path in enumerate(saved):
        module, resumed = fit(tmp_path / str(number), make(), ckpt_path=path)

        assert equal(module.state_dict(), expected.state_dict()), path.name
        assert module.rates == expected.rates[len(expected.rates) - len(module.rates) :], path.name
        for one, other in zip(module.parameters(), expected.parameters(), strict=True):
            assert one.requires_grad == other.requires_grad
        assert module.backbone[1].track_running_stats == expected.backbone[1].track_running_stats
        ours, theirs = (each.optimizers[0].state_dict()["param_groups"] for each in (resumed, trainer))
        assert ours == theirs


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_a_checkpoint_of_lightning_unfreezes_what_its_optimizer_trains(tmp_path):
    fit(tmp_path / "whole", BackboneFinetuning(1), max_epochs=2)
    path = tmp_path / "whole/epochs-epoch=1.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for name in ("trainable", "tracking"):
        del checkpoint["callbacks"]["BackboneFinetuning"][name]
    torch.save(checkpoint, tmp_path / "theirs.ckpt")

    module, _ = fit(tmp_path / "rest", BackboneFinetuning(1), ckpt_path=tmp_path / "theirs.ckpt")

    assert all(parameter.requires_grad for parameter in module.parameters())


def test_a_second_fit_of_one_callback_begins_anew(tmp_path):
    callback = BackboneFinetuning(1)
    first, _ = fit(tmp_path / "first", callback)

    second, trainer = fit(tmp_path / "second", callback)

    assert equal(first.state_dict(), second.state_dict())
    assert len(callback.state_dict()["internal_optimizer_metadata"][0]) == len(trainer.optimizers[0].param_groups) == 2


def test_parameters_of_equal_value_are_told_apart():
    known, twin = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    twin.load_state_dict(known.state_dict())
    optimizer = torch.optim.SGD(known.parameters(), 0.1)

    BaseFinetuning.unfreeze_and_add_param_group(twin, optimizer)

    assert optimizer.param_groups[1]["params"][0] is twin.weight


def test_parameters_that_the_optimizer_has_are_left_in_their_group():
    layer, new = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    BaseFinetuning.freeze(layer)

    with pytest.warns(UserWarning, match="2 of the parameters to be unfrozen are in the SGD already"):
        BaseFinetuning.unfreeze_and_add_param_group([layer, new], optimizer)

    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 2]
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.01)


def test_rates_are_told_if_wanted(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "leyden"):
        fit(tmp_path, BackboneFinetuning(1, verbose=True, rounding=4), max_epochs=2)

    assert "Learning rate: 0.045; of the backbone: 0.0045" in caplog.messages


def test_a_module_without_a_backbone_is_refused(tmp_path):
    class Bare(Classifier):
        def __init__(self):
            super().__init__()
            self.backbone = None

    with pytest.raises(ConfigurationError, match=r"needs a torch\.nn\.Module called 'backbone' in Bare"):
        fit(tmp_path, BackboneFinetuning(), module_class=Bare)


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_a_backbone_whose_epoch_was_missed_is_an_error_that_says_so(tmp_path):
    class All(Classifier):
        def configure_optimizers(self):
            return torch.optim.SGD(self.head.parameters(), lr=0.05)

    fit(tmp_path, L.Callback(), module_class=All, max_epochs=3)

    with pytest.raises(ConfigurationError, match="should have unfrozen the backbone in epoch 1"):
        fit(tmp_path / "rest", BackboneFinetuning(1), tmp_path / "epochs-epoch=2.ckpt", All)


@pytest.mark.parametrize("method", ["freeze_before_training", "finetune_function"])
def test_the_base_class_says_what_must_be_overridden(method):
    with pytest.raises(NotImplementedError, match=f"BaseFinetuning must override {method}"):
        getattr(BaseFinetuning(), method)(*[None] * (1 if method == "freeze_before_training" else 3))
