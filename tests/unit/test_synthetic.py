"""Synthetic data depend on their own seed alone and are as hard as the noise makes them."""

import pytest
import torch

from leyden.datasets import Synthetic
from leyden.errors import ConfigurationError


def points(stage="fit", split="train", **options):
    data = Synthetic(**options)
    data.setup(stage)
    return data.splits[split].tensors


def test_the_same_seed_gives_the_same_points_whatever_the_global_seed_is():
    torch.manual_seed(1)
    first = points()
    torch.manual_seed(2)
    second = points()

    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], points(seed=1)[0])


def test_making_them_does_not_move_the_global_random_state():
    before = torch.get_rng_state()

    points()

    assert torch.equal(torch.get_rng_state(), before)


def test_sizes_shapes_and_types_are_as_asked_for():
    data = Synthetic(samples=100, features=3, classes=4, batch_size=7)
    data.setup()

    x, y = next(iter(data.train_dataloader()))

    assert {name: len(split) for name, split in data.splits.items()} == {"train": 70, "val": 10, "test": 20}
    assert x.shape == (7, 3)
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    assert set(points(samples=100, classes=4)[1].tolist()) == {0, 1, 2, 3}


def test_without_noise_all_points_of_a_class_are_one():
    x, y = points(noise=0.0, classes=5)

    assert len(torch.cat([x, y[:, None]], dim=1).unique(dim=0)) == 5


def test_noise_is_the_deviation_around_a_centre():
    x, y = points(samples=20000, features=8, classes=2, noise=0.5)

    assert x[y == 0].std(dim=0).mean().item() == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("samples", 2),
        ("features", 0),
        ("classes", 1),
        ("noise", -0.1),
        ("noise", float("nan")),
        ("seed", -1),
        ("batch_size", 0),
        ("val_fraction", 0.0),
        ("test_fraction", True),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=f"Synthetic was given {name}={value}"):
        Synthetic(**{name: value})


def test_too_few_samples_to_train_on_are_refused():
    with pytest.raises(ConfigurationError, match="3 samples cannot be split"):
        points(samples=3, val_fraction=0.45, test_fraction=0.5)
