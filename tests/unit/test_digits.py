"""The digits are real, scaled, and split the same way whatever the global seed is."""

import pytest
import torch
from sklearn.datasets import load_digits

from leyden.datasets import Digits
from leyden.errors import ConfigurationError


def built(stage=None, **options):
    data = Digits(**options)
    data.setup(stage)
    return data


def all_of(loader):
    images, labels = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(labels)


def test_the_three_splits_hold_every_image_once():
    pixels, _ = load_digits(return_X_y=True)
    data = built()

    images = torch.cat([all_of(loader)[0] for loader in (data.train_dataloader(), data.val_dataloader())])
    images = torch.cat([images, all_of(data.test_dataloader())[0]])

    expected = torch.as_tensor(pixels, dtype=torch.float32) / 16
    assert torch.equal(images.unique(dim=0), expected.unique(dim=0))
    assert len(images) == 1797


def test_sizes_are_a_fifth_for_the_test_and_a_tenth_for_validation():
    data = built()

    assert {name: len(split) for name, split in data.splits.items()} == {"train": 1258, "val": 180, "test": 359}


def test_a_batch_is_a_pair_of_vectors_in_zero_to_one_and_labels():
    images, labels = next(iter(built("fit", batch_size=32).train_dataloader()))

    assert images.shape == (32, 64)
    assert images.dtype == torch.float32
    assert images.min() == 0.0
    assert images.max() == 1.0
    assert labels.dtype == torch.int64
    assert set(labels.tolist()) <= set(range(10))


def test_unflattened_images_have_channel_height_and_width():
    images, _ = next(iter(built("fit", flatten=False).train_dataloader()))

    assert images.shape == (64, 1, 8, 8)


def test_the_split_does_not_depend_on_the_global_seed_nor_moves_it():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = built("test")
    after = torch.get_rng_state()
    torch.manual_seed(2)
    second = built("test")

    assert torch.equal(before, after)
    assert torch.equal(all_of(first.test_dataloader())[0], all_of(second.test_dataloader())[0])


def test_another_split_seed_holds_out_other_images():
    first = all_of(built("test").test_dataloader())
    second = all_of(built("test", split_seed=1).test_dataloader())

    assert not torch.equal(first[1], second[1])


def test_a_larger_validation_split_leaves_the_test_images_alone():
    first = all_of(built("test").test_dataloader())
    second = all_of(built("test", val_fraction=0.4).test_dataloader())

    assert torch.equal(first[0], second[0])


def test_training_is_shuffled_and_validation_is_not():
    data = built("fit")

    train, val = data.train_dataloader(), data.val_dataloader()

    assert not torch.equal(all_of(train)[1], all_of(train)[1])
    assert torch.equal(all_of(val)[1], all_of(val)[1])


@pytest.mark.parametrize(
    ("stage", "names"), [("fit", {"train", "val"}), ("validate", {"val"}), ("test", {"test"}), ("predict", {"test"})]
)
def test_a_stage_builds_only_what_it_needs(stage, names):
    assert built(stage).splits.keys() == names


def test_setting_up_twice_builds_nothing_again():
    data = built("fit")
    train = data.splits["train"]

    data.setup("fit")
    data.setup("validate")

    assert data.splits["train"] is train


def test_a_loader_before_setup_is_refused():
    with pytest.raises(ConfigurationError, match="before setup"):
        Digits().train_dataloader()


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 0), ("num_workers", -1), ("val_fraction", 0.0), ("test_fraction", 1.0), ("split_seed", -1)],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=f"Digits was given {name}={value}"):
        Digits(**{name: value})


def test_fractions_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(ConfigurationError, match=r"add up to 1\.1"):
        Digits(val_fraction=0.5, test_fraction=0.6)
