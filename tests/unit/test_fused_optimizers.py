"""Fused kernels are used where the user asks for them and the optimizer's author has not decided."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import leyden as L
from leyden.engine.optimization import use_fused
from leyden.errors import ConfigurationError
from leyden.testing import TinyModule


class Chosen(TinyModule):
    """Trains with the optimizer it is given."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def configure_optimizers(self):
        return self.make(self.parameters())


def fit(make, **options):
    torch.manual_seed(2)
    module = Chosen(make)
    trainer = L.Trainer(
        max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        **options,
    )  # fmt: skip
    trainer.fit(module, DataLoader(TensorDataset(torch.randn(12, 2), torch.randn(12, 1)), 4))
    return module, trainer.optimizers[0]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.Adagrad])
def test_an_undecided_optimizer_is_fused_and_gives_the_same_weights_but_for_the_last_bits(kind):
    fused, optimizer = fit(lambda parameters: kind(parameters, lr=0.01), fused_optimizers=True)
    plain, _ = fit(lambda parameters: kind(parameters, lr=0.01))

    assert all(group["fused"] for group in optimizer.param_groups)
    for one, other in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "make",
    [
        lambda parameters: torch.optim.Adam(parameters, fused=False),
        lambda parameters: torch.optim.Adam(parameters, foreach=True),
        torch.optim.RMSprop,
    ],
)
def test_a_decided_optimizer_and_one_without_a_kernel_are_left_alone(make):
    _, optimizer = fit(make, fused_optimizers=True)

    assert not any(group.get("fused") for group in optimizer.param_groups)


def test_nothing_is_fused_unless_asked_for():
    _, optimizer = fit(torch.optim.Adam)

    assert optimizer.param_groups[0]["fused"] is None


def test_the_option_is_true_or_false():
    with pytest.raises(ConfigurationError, match=r"Trainer\(fused_optimizers='yes'\): expected one of True, False"):
        L.Trainer(fused_optimizers="yes")


def test_a_group_that_is_to_be_differentiated_is_not_fused():
    layers = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam([
        {"params": layers[0].parameters(), "differentiable": True}, {"params": layers[1].parameters()}
    ])  # fmt: skip

    use_fused((optimizer,))

    assert [group["fused"] for group in optimizer.param_groups] == [None, True]
