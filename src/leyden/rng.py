"""Random number generators: seeding, capturing, restoring.

Three generators matter to a training run, those of Python, NumPy and torch (one per
device). Their states travel in checkpoints as plain types and bytes, so that a file
loads with ``torch.load(weights_only=True)``. A tensor would do, too, but each one costs
torch a record of its own in the archive, and as much time as a dozen numbers.
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
    """Return the states of all generators as plain types and bytes, those of CUDA devices as tensors."""
    state = stored(noted())
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def noted() -> tuple[Any, Any, Tensor]:
    """Return the states of the generators of the CPU as they come, which is quick; `stored` makes the rest of it."""
    return random.getstate(), np.random.get_state(legacy=True), torch.get_rng_state()


def stored(states: tuple[Any, Any, Tensor]) -> dict[str, Any]:
    """Return what `noted` did as plain types and bytes."""
    (version, words, gauss), (kind, keys, position, has_gauss, cached), of_torch = states
    return {
        "python": [version, words_stored(words), gauss],
        "numpy": [str(kind), np.asarray(keys, "<u4").tobytes(), int(position), int(has_gauss), float(cached)],
        "torch": of_torch.numpy().tobytes(),
    }


def words_stored(words: tuple[int, ...]) -> bytes:
    """Return the words of a state of Python's generator as bytes, the least significant one of each first."""
    return struct.pack(f"<{len(words)}I", *words)


def words_of(content: bytes | Tensor) -> tuple[int, ...]:
    """Return what `words_stored` was given; earlier versions stored a tensor.

    Raises:
        struct.error: If it is no whole number of words.
    """
    if isinstance(content, Tensor):
        return tuple(content.tolist())
    return struct.unpack(f"<{len(content) // 4}I", content)


def restore(state: dict[str, Any]) -> None:
    """Set all generators to a state that `capture` returned.

    States of more CUDA devices than there are now are left out.
    """
    version, words, gauss = state["python"]
    random.setstate((version, words_of(words), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, np.array(words_of(keys), np.uint32), position, has_gauss, cached))
    of_torch = state["torch"]
    torch.set_rng_state(
        torch.frombuffer(bytearray(of_torch), dtype=torch.uint8) if isinstance(of_torch, bytes) else of_torch.cpu()
    )
    if "cuda" in state and torch.cuda.is_available():
        for device, device_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(device_state.cpu(), device)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two states that `capture` returned have the same generators of the CPU."""
    return all(one[name] == other[name] for name in ("python", "numpy", "torch"))


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
