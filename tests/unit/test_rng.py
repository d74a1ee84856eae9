"""States of generators: what is captured and restored draws the same numbers again."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
import torch

from leyden import rng
from leyden.contents import CHECKPOINT, problems


def draws():
    """Numbers from each generator of the CPU, a pair of normal ones among them, of which the second is kept ready."""
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(1).item()


def earlier(state):
    """The same state as earlier versions stored it, in tensors."""
    (version, words, gauss), (kind, keys, *others) = state["python"], state["numpy"]
    return {
        "python": [version, torch.tensor(rng.words_of(words)), gauss],
        "numpy": [kind, torch.tensor(rng.words_of(keys)), *others],
        "torch": torch.tensor(list(state["torch"]), dtype=torch.uint8),
    }


@pytest.mark.parametrize("stored", [dict, earlier], ids=["now", "earlier"])
def test_a_state_that_was_stored_draws_the_same_numbers_again(stored):
    rng.seed_everything(3, verbose=False)
    draws()
    state = stored(rng.capture())
    file = io.BytesIO()
    torch.save(state, file)
    expected = draws()
    file.seek(0)

    rng.restore(torch.load(file, weights_only=True))

    assert draws() == expected
    assert list(problems({"leyden": {"rng": state}}, CHECKPOINT, "")) == []


@pytest.mark.parametrize(("part", "at"), [("python", 1), ("numpy", 1), ("torch", None)])
def test_a_state_that_was_cut_is_named(part, at):
    state = rng.capture()
    cut = state[part] if at is None else state[part][at]
    whole = {"leyden": {"rng": state}}
    assert list(problems(whole, CHECKPOINT, "")) == []

    if at is None:
        state[part] = cut.decode("latin-1")
    else:
        state[part][at] = cut[:-1]

    assert [where for where, _, _ in problems(whole, CHECKPOINT, "")] == [f"leyden.rng.{part}"]
