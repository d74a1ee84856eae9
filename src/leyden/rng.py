"""Random number generators: seeding, capturing, restoring.

Three generators matter to a training run, those of Python, NumPy and torch (one per
device). Their states travel in checkpoints as plain types and tensors, so that a file
loads with ``torch.load(weights_only=True)``.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leyden.errors import ConfigurationError
from leyden.warnings import log

SEED_VARIABLE = "PL_GLOBAL_SEED"
WORKERS_VARIABLE = "PL_SEED_WORKERS"
_LARGEST = 2**32 - 1


def seed_everything(seed: int | None = None, workers: bool = False, verbose: bool = True) -> int:
    """Seed Python, NumPy and torch on every device.

    Args:
        seed: In ``[0, 2**32 - 1]``. None takes the environment's ``PL_GLOBAL_SEED``, else 0.
        workers: Also give loader workers seeds that depend on the rank.
        verbose: Say so in the log.

    Returns:
        The seed that was set.

    Raises:
        ConfigurationError: If the seed is no integer in that range.
    """
    source = "the argument seed"
    value: Any = seed
    if value is None:
        value, source = os.environ.get(SEED_VARIABLE, "0"), f"the environment variable {SEED_VARIABLE}"
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= _LARGEST:
        raise ConfigurationError(
            f"{value!r} is not a seed (from {source}). Expected an integer from 0 to {_LARGEST}, as NumPy takes "
            "no other."
        )
    if verbose:
        log.info("Seed set to %d", number)
    os.environ[SEED_VARIABLE] = str(number)
    os.environ[WORKERS_VARIABLE] = str(int(workers))
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
    return number


def capture() -> dict[str, Any]:
    """Return the states of all generators as plain types and tensors."""
    state = stored(noted())
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def noted() -> tuple[Any, Any, Tensor]:
    """Return the states of the generators of the CPU as they come, which is quick; `stored` makes the rest of it."""
    return random.getstate(), np.random.get_state(legacy=True), torch.get_rng_state()


def stored(states: tuple[Any, Any, Tensor]) -> dict[str, Any]:
    """Return what `noted` did as plain types and tensors."""
    (version, words, gauss), (kind, keys, position, has_gauss, cached), of_torch = states
    return {
        "python": [version, words_of(words), gauss],
        "numpy": [
            str(kind),
            torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "torch": of_torch,
    }


def words_of(words: tuple[int, ...]) -> Tensor:
    """Return the words of a state of Python's generator as a tensor; NumPy reads them four times as fast."""
    return torch.from_numpy(np.array(words, dtype=np.int64))


def restore(state: dict[str, Any]) -> None:
    """Set all generators to a state that `capture` returned.

    States of more CUDA devices than there are now are left out.
    """
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        for device, device_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(device_state.cpu(), device)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two states that `capture` returned have the same generators of the CPU."""
    python, numpy = (one["python"], other["python"]), (one["numpy"], other["numpy"])
    return (
        torch.equal(one["torch"], other["torch"])
        and torch.equal(python[0][1], python[1][1])
        and python[0][2] == python[1][2]
        and torch.equal(numpy[0][1], numpy[1][1])
        and numpy[0][2:] == numpy[1][2:]
    )


@contextmanager
def isolated() -> Iterator[None]:
    """Run a block whose random numbers leave no trace."""
    before = capture()
    try:
        yield
    finally:
        restore(before)


def mixed(*what: int | str) -> int:
    """Return a seed in ``[0, 2**63)`` that depends on all of *what*, the same on every machine."""
    return int.from_bytes(blake2b(repr(what).encode(), digest_size=8).digest(), "little") >> 1


def scatter(seed: int, index: Any) -> None:
    """Seed the generators of the CPU for one sample: each with bits of its own, as two of them share an algorithm.

    Args:
        seed: Of the pass over the data.
        index: Of the sample; what its ``repr`` says.
    """
    bits = blake2b(f"{seed} {index!r}".encode(), digest_size=20).digest()
    for_python, for_torch, for_numpy = struct.unpack("<QQI", bits)
    random.seed(for_python)
    np.random.seed(for_numpy)
    torch.default_generator.manual_seed(for_torch >> 1)


@contextmanager
def apart() -> Iterator[None]:
    """Run a block on one thread, whose random numbers on the CPU leave no trace; cheaper than `isolated`."""
    python, of_numpy, of_torch = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    threads = torch.get_num_threads()
    if threads > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(of_numpy)
        torch.set_rng_state(of_torch)
        if threads > 1:
            torch.set_num_threads(threads)
