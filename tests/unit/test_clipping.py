"""Clipping by norm gives torch's own result, bit for bit, whatever the gradients are."""

import pytest
import torch
from torch import nn

from leyden.engine.step import clip

TYPES = {"half": torch.bfloat16, "double": torch.float64}


def gradients(kind):
    torch.manual_seed(4)
    sizes = [(64, 64), (64,), (3, 2, 5), (1,)]
    parameters = [nn.Parameter(torch.zeros(size)) for size in sizes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    if kind == "tiny":
        for parameter in parameters:
            parameter.grad.mul_(1e-9)
    elif kind == "infinite":
        parameters[1].grad[0] = float("inf")
    elif kind == "not a number":
        parameters[2].grad[0, 0, 0] = float("nan")
    elif kind == "missing":
        parameters[0].grad = None
    elif kind == "none at all":
        for parameter in parameters:
            parameter.grad = None
    elif kind == "two types":
        parameters.append(nn.Parameter(torch.zeros(4, dtype=torch.float64)))
        parameters[-1].grad = torch.randn(4, dtype=torch.float64)
    elif kind in TYPES:
        parameters = [nn.Parameter(parameter.detach().to(TYPES[kind])) for parameter in parameters]
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
    return parameters


@pytest.mark.parametrize(
    "kind", ["usual", "tiny", "infinite", "not a number", "missing", "none at all", "two types", "double", "half"]
)
@pytest.mark.parametrize("largest", [0.5, 1e4, 1])
def test_clipping_by_norm_equals_torch(kind, largest):
    ours, theirs = gradients(kind), gradients(kind)

    clip(torch.optim.SGD(ours, lr=0.1), largest, "norm")
    torch.nn.utils.clip_grad_norm_(theirs, largest)

    for one, other in zip(ours, theirs, strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None:
            assert torch.equal(one.grad.nan_to_num(7.0), other.grad.nan_to_num(7.0))


def test_nothing_is_clipped_without_a_value():
    parameters = gradients("usual")
    before = [parameter.grad.clone() for parameter in parameters]

    clip(torch.optim.SGD(parameters, lr=0.1), None, "norm")
    clip(torch.optim.SGD(parameters, lr=0.1), 0, None)

    assert all(torch.equal(old, parameter.grad) for old, parameter in zip(before, parameters, strict=True))


def test_the_factor_computed_in_python_is_torch_s_to_the_last_bit():
    generator = torch.Generator().manual_seed(5)
    for _ in range(500):
        gradient = torch.randn(7, generator=generator) * 10 ** torch.randint(-6, 7, (1,), generator=generator).item()
        largest = float(torch.rand(1, dtype=torch.float64, generator=generator)) * 2
        ours, theirs = nn.Parameter(torch.zeros(7)), nn.Parameter(torch.zeros(7))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()

        clip(torch.optim.SGD([ours], lr=0.1), largest, "norm")
        torch.nn.utils.clip_grad_norm_([theirs], largest)

        assert torch.equal(ours.grad, theirs.grad)


def test_the_factor_of_gradients_on_another_device_is_not_fetched():
    """The device that holds no values stands for a GPU, for which fetching a number means waiting."""
    parameter = nn.Parameter(torch.zeros(7, device="meta"))
    parameter.grad = torch.zeros(7, device="meta")

    clip(torch.optim.SGD([parameter], lr=0.1), 0.5, "norm")

    assert parameter.grad.is_meta


@pytest.mark.parametrize("largest", [0.5, 1e4])
def test_an_expanded_gradient_is_refused_as_torch_refuses_it_whether_there_is_something_to_clip_or_not(largest):
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.ones(1).expand(3)

    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        torch.nn.utils.clip_grad_norm_([parameter], largest)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        clip(torch.optim.SGD([parameter], lr=0.1), largest, "norm")
