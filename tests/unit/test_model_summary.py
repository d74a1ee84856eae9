"""The summary of a model lists its layers and counts each parameter once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from leyden.callbacks import summarize
from leyden.errors import ConfigurationError


class Net(nn.Module):
    """Two nested layers, one of them frozen and in evaluation mode, and a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(256, 512), nn.BatchNorm1d(512))
        self.head = nn.Linear(512, 10).requires_grad_(False).eval()
        self.scale = nn.Parameter(torch.ones(3))


def test_the_table_lists_layers_with_type_parameters_and_mode():
    assert summarize(Net()).splitlines() == [
        "   Name          Type        Params  Mode",
        "------------------------------------------",
        "0  body          Sequential   133 K  train",
        "1  head          Linear       5.1 K  eval",
        "   other params  n/a              3  n/a",
        "------------------------------------------",
        "133 K  Trainable params",
        "5.1 K  Non-trainable params",
        "138 K  Total params",
        "0.551  Total estimated model params size (MB)",
    ]


@pytest.mark.parametrize(
    ("depth", "names"), [(0, []), (1, ["body", "head"]), (2, ["body", "body.0", "body.1", "head"])]
)
def test_the_depth_says_how_far_nested_layers_are_listed(depth, names):
    table = summarize(Net(), depth)

    listed = [line.split()[1] for line in table.splitlines() if line[:1].isdigit() and line[1:3] == "  "]
    assert listed == names


def test_all_layers_are_listed_at_depth_minus_one():
    assert "body.1" in summarize(Net(), -1)


def test_a_shared_parameter_counts_once():
    module = nn.Sequential(nn.Linear(10, 10, bias=False), nn.Linear(10, 10, bias=False))
    module[1].weight = module[0].weight

    assert "  100  Total params" in summarize(module)


def test_the_size_is_that_of_the_type_the_parameters_have():
    assert "0.002  Total estimated" in summarize(nn.Linear(1000, 1, bias=False).half())


def test_a_lazy_layer_counts_nothing_until_it_is_initialised():
    module = nn.Sequential(nn.LazyLinear(10))

    before = summarize(module)
    module(torch.ones(1, 4))
    after = summarize(module)

    assert "    0  Total params" in before
    assert "   50  Total params" in after


def test_a_depth_that_means_nothing_is_refused():
    with pytest.raises(ConfigurationError, match="max_depth=-2"):
        summarize(Net(), -2)
