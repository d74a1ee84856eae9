"""Random number generators that loaders, samplers and data sets keep for themselves, and their states.

Found are the attributes of an object that are generators of torch, NumPy or Python's `random`. What an object keeps
elsewhere (in a list, behind another object) cannot be seen from here. States are plain types and tensors, so that a
checkpoint loads without executing anything.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset

from leyden import rng

_KINDS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def generators_of(owners: Iterable[Any]) -> list[Any]:
    """Return the generators that *owners* have as attributes, in that order, each of them once."""
    found: list[Any] = []
    for owner in owners:
        for value in getattr(owner, "__dict__", {}).values():
            if isinstance(value, _KINDS) and not any(value is other for other in found):
                found.append(value)
    return found


def data_sets(found: Any) -> list[Any]:
    """Return data set *found* and those it is made of: of which it is a subset, or that it joins."""
    if found is None:
        return []
    inner = getattr(found, "__dict__", {})
    parts = found.datasets if isinstance(found, ConcatDataset) else [inner.get("dataset", inner.get("source"))]
    return [found, *(each for part in parts for each in data_sets(part))]


def states_of(generators: Iterable[Any]) -> list[Any]:
    """Return the state of each generator."""
    return [_state(each) for each in generators]


def set_states(generators: Iterable[Any], states: Iterable[Any]) -> None:
    """Bring generators back to *states*; one whose state is that of another kind of generator stays as it is."""
    for generator, state in zip(generators, states, strict=False):
        if isinstance(generator, torch.Generator):
            if isinstance(state, Tensor):
                generator.set_state(state.cpu())
        elif isinstance(generator, random.Random):
            if isinstance(state, list):
                version, words, gauss = state
                generator.setstate((version, rng.words_of(words), gauss))
        elif isinstance(state, dict) and state["bit_generator"] == (now := _bits(generator).state)["bit_generator"]:
            _bits(generator).state = _with_arrays(now, state)


def _state(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        version, words, gauss = generator.getstate()
        return [version, rng.words_stored(words), gauss]
    return _without_arrays(_bits(generator).state)


def _bits(generator: Any) -> Any:
    """Return what NumPy's *generator*, of the new kind or the old one, draws its bits from."""
    return generator.bit_generator if isinstance(generator, np.random.Generator) else generator._bit_generator


def _without_arrays(state: Any) -> Any:
    if isinstance(state, dict):
        return {name: _without_arrays(value) for name, value in state.items()}
    if isinstance(state, np.ndarray):
        return torch.from_numpy(state.astype(np.uint64).view(np.int64))
    return state.item() if isinstance(state, np.generic) else state


def _with_arrays(like: Any, state: Any) -> Any:
    if isinstance(like, dict):
        return {name: _with_arrays(value, state[name]) for name, value in like.items()}
    return state.numpy().view(np.uint64).astype(like.dtype) if isinstance(like, np.ndarray) else state
