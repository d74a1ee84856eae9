"""On the CPU, logged values are kept as Python numbers: the sums are those of tensors, bit for bit."""

from __future__ import annotations

import math

import pytest
import torch

from leyden.metrics import Metrics

OPTIONS = (False, None, True, True)  # on the bar, to the loggers, each step, each epoch


def logged(values, sizes, reduction="mean"):
    """Log *values* from a step, and return the latest one and the reduction."""
    metrics = Metrics()
    metrics.hook = "training_step"
    for value, size in zip(values, sizes, strict=True):
        metrics.log("x", value, (*OPTIONS, reduction, False, True, False), size)
    step, epoch = (metrics.training.gather(per_step=each).log for each in (True, False))
    return step["x_step"], epoch["x_epoch"]


def reduced(values, sizes, reduction="mean"):
    """Do the same with tensors."""
    if reduction == "mean":
        total = values[0] * sizes[0]
        for value, size in zip(values[1:], sizes[1:], strict=True):
            total = total + value * size
        return total / sum(sizes)
    total = values[0]
    for value in values[1:]:
        total = {"sum": torch.add, "min": torch.minimum, "max": torch.maximum}[reduction](total, value)
    return total


def draw(dtype, count=400):
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(count, dtype=dtype, generator=generator) * 1000
    return list(values), torch.randint(1, 100_000, (count,), generator=generator).tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "min", "max"])
def test_every_reduction_is_that_of_tensors(reduction, dtype):
    values, sizes = draw(dtype)

    last, found = logged(values, sizes, reduction)

    assert torch.equal(found, reduced(values, sizes, reduction))
    assert torch.equal(last, values[-1])
    assert found.dtype == last.dtype == dtype


def test_values_of_fewer_bits_are_kept_in_32():
    values = [torch.tensor(each, dtype=torch.bfloat16) for each in (0.1, 0.2, 0.7)]

    last, found = logged(values, [3, 1, 2])

    assert torch.equal(found, reduced([value.float() for value in values], [3, 1, 2]))
    assert last.dtype == torch.float32


def test_a_type_that_changes_on_the_way_gives_what_tensors_give():
    values = [torch.tensor(0.1), torch.tensor(0.1, dtype=torch.float64), torch.tensor(0.7), 0.3]

    last, found = logged(values, [1, 2, 3, 4])

    assert torch.equal(found, reduced([*values[:3], torch.tensor(0.3)], [1, 2, 3, 4]))
    assert torch.equal(last, torch.tensor(0.3))


@pytest.mark.parametrize("reduction", ["min", "max", "mean"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_value_that_is_not_a_number_is_not_lost(reduction, place):
    values = [1.0, 2.0, 3.0]
    values[place] = math.nan

    _, found = logged([torch.tensor(each) for each in values], [1, 1, 1], reduction)

    assert found.isnan()


def test_a_sum_too_large_for_32_bits_is_infinite():
    _, found = logged([torch.tensor(3e38), torch.tensor(3e38)], [1, 1], "sum")

    assert torch.equal(found, torch.tensor(math.inf))


def test_what_is_changed_after_it_was_logged_is_not_changed_in_the_log():
    metrics, value = Metrics(), torch.tensor(1.0)
    metrics.hook = "training_step"

    metrics.log("x", value, (*OPTIONS, "mean", False, True, False), 1)
    value.mul_(5)

    assert metrics.callback["x"].item() == 1.0


def test_half_an_epoch_survives_a_checkpoint():
    values, sizes = draw(torch.float32, 10)
    whole, first, second = Metrics(), Metrics(), Metrics()
    for metrics in (whole, first, second):
        metrics.hook = "training_step"
    for index, (value, size) in enumerate(zip(values, sizes, strict=True)):
        if index == 5:
            second.load_state_dict(first.state_dict(torch.nn.Identity()), torch.nn.Identity())
        for metrics in (whole, first if index < 5 else second):
            metrics.log("x", value, (*OPTIONS, "mean", False, True, False), size)

    expected, found = (each.training.gather(per_step=False).log["x_epoch"] for each in (whole, second))

    assert torch.equal(found, expected)
