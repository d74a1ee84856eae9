"""Clipping leaves the gradients that torch's own functions leave, and raises what they raise."""

from __future__ import annotations

import copy
import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from leyden.engine.step import clip
from tests.properties.outcomes import of

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64]
VALUES = st.one_of(
    st.floats(-3, 3, width=16),
    st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 1e-8, 6e4, 1e-30, 1e30, 3e38]),
)


@st.composite
def gradients(draw):
    """One gradient: a tensor of any type and layout, or None."""
    dtype = draw(st.sampled_from([*DTYPES[:1] * 4, *DTYPES]))
    numbers = draw(st.lists(VALUES, max_size=6))
    tensor = torch.tensor(numbers, dtype=torch.float64).to(dtype)
    kind = draw(
        st.sampled_from(["plain", "plain", "plain", "none", "scalar", "matrix", "expanded", "strided", "sparse"])
    )
    if kind == "none":
        return None
    if kind == "scalar":
        return tensor[:1].sum()
    if kind == "sparse":
        return tensor.to_sparse()
    if kind == "strided":
        return torch.stack([tensor, tensor], 1)[:, 0]
    if kind == "expanded":
        return tensor[:1].expand(3) if len(numbers) else tensor
    return tensor.reshape(1, -1) if kind == "matrix" else tensor


LIMITS = st.one_of(st.floats(1e-6, 10), st.integers(1, 5), st.sampled_from([-1.0, math.inf, math.nan, 1e-30, 1e30]))


def parameters(found):
    made = []
    for gradient in found:
        parameter = nn.Parameter(
            torch.zeros(() if gradient is None else gradient.shape, dtype=getattr(gradient, "dtype", None))
        )
        parameter.grad = None if gradient is None else copy.deepcopy(gradient)
        made.append(parameter)
    return made


def clipped(found, function):
    """Return the gradients behind *function*, or what it raises; their memory is not compared, but their values are."""
    these = parameters(found)

    def grads():
        function(these)
        yield from (None if each.grad is None else each.grad.to_dense() for each in these)

    return of(grads)


@given(st.lists(gradients(), min_size=1, max_size=5), LIMITS)
def test_clipping_by_norm_is_torch_s(found, largest):
    ours = clipped(found, lambda these: clip(torch.optim.SGD(these, lr=0.1), largest, "norm"))

    assert ours == clipped(found, lambda these: nn.utils.clip_grad_norm_(these, largest))


@given(st.lists(gradients(), min_size=1, max_size=5), LIMITS)
def test_clipping_by_value_is_torch_s(found, largest):
    ours = clipped(found, lambda these: clip(torch.optim.SGD(these, lr=0.1), largest, "value"))

    assert ours == clipped(found, lambda these: nn.utils.clip_grad_value_(these, largest))


@given(st.lists(gradients(), min_size=2, max_size=6), LIMITS)
def test_the_norm_is_that_of_all_groups_of_the_optimizer(found, largest):
    def grouped(these):
        clip(torch.optim.SGD([{"params": these[:1]}, {"params": these[1:]}], lr=0.1), largest, None)

    assert clipped(found, grouped) == clipped(found, lambda these: nn.utils.clip_grad_norm_(these, largest))
