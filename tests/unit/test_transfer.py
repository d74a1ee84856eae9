"""Batches are copied one ahead, in order, and only where nobody can tell."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

import leyden as L
from leyden.engine.transfer import Prefetch, prefetch, transfer_hooks
from leyden.testing import TinyModule

CUDA = torch.device("cuda")


def fetched(asked, count=4):
    for index in range(count):
        asked.append(index)
        yield index, {"x": torch.full((2,), float(index)), "name": str(index)}, index == count - 1


def test_every_batch_comes_once_in_order_with_its_index():
    found = list(Prefetch(torch.device("cpu"))(fetched([])))

    assert [(index, batch["x"].tolist(), batch["name"], last) for index, batch, last in found] == [
        (index, [float(index)] * 2, str(index), index == 3) for index in range(4)
    ]


def test_the_next_batch_is_asked_for_before_the_current_one_is_used():
    asked = []
    batches = Prefetch(torch.device("cpu"))(fetched(asked))

    next(batches)

    assert asked == [0, 1]


def test_no_batch_at_all_is_no_error():
    assert list(Prefetch(torch.device("cpu"))(iter([]))) == []


class Hooked(TinyModule):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch


@pytest.mark.parametrize(
    ("loader", "module", "device"),
    [
        (DataLoader([1, 2]), TinyModule(), CUDA),  # asking early would draw random numbers early
        (DataLoader([1, 2], num_workers=1), TinyModule(), torch.device("cpu")),
        (DataLoader([1, 2], num_workers=1), Hooked(), CUDA),
        ([torch.ones(1)], TinyModule(), CUDA),
    ],
    ids=["no workers", "no accelerator", "a hook of the user's", "no loader"],
)
def test_nothing_is_copied_ahead_where_it_could_be_told(loader, module, device):
    assert prefetch(loader, device, transfer_hooks(module, None)) is None


def test_a_data_module_s_hooks_win_over_the_module_s():
    class Data(L.LightningDataModule):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            return batch

    data = Data()

    assert transfer_hooks(Hooked(), data) == [None, None, data.on_after_batch_transfer]
