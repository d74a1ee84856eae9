"""What travels to the ranks: pickled once, read by each of them.

Classes and functions of ``__main__``, and those defined inside of functions, travel by value, all others by their
name. Tensors that share memory do so afterwards.

What cannot be sent is named by where it is, ``model.lock`` or ``train_dataloaders.dataset.file``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from leyden.algorithms import algorithms, use_algorithms
from leyden.errors import ConfigurationError
from leyden.ranks import processors

_DEEPEST = 20


def write(path: Path, cargo: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """Write *cargo*.

    Args:
        path: File to write.
        cargo: What is sent.
        named: What of it is the user's, by the names it has for the user.

    Raises:
        ConfigurationError: If a part of it cannot be sent to another process; says which.
    """
    try:
        with open(path, "wb") as file:
            _dump(cargo, file)
    except OSError:
        raise
    except Exception as error:  # whatever an object's own way of being pickled raises
        raise _refusal(named, error) from error


def read(path: Path) -> dict[str, Any]:
    """Read what `write` has written, for this very process."""
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    return found


def _dump(value: Any, file: Any) -> None:
    import cloudpickle

    torch.save(value, file, pickle_module=cloudpickle, pickle_protocol=cloudpickle.DEFAULT_PROTOCOL)


def _refusal(named: Mapping[str, Any], error: Exception) -> ConfigurationError:
    place, value = _culprit(named)
    what = f"{place} is a {type(value).__module__}.{type(value).__qualname__}" if place else "something in it"
    return ConfigurationError(
        f"{what}, which cannot be sent to the ranks that Trainer(devices=...) starts: {error}. Expected objects that "
        "can be pickled. Make it where it is needed, in setup() or configure_model(), leave it out in __getstate__, or "
        "start the script with torchrun, where nothing is sent."
    )


def _culprit(named: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the deepest part that fails, and where it is."""
    place, value, parts = "", None, iter(named.items())
    passed: dict[int, Any] = {}  # on the way: what only leads back to them is not to blame
    for _ in range(_DEEPEST):
        found = next(((name, part) for name, part in parts if not _travels(part, passed)), None)
        if found is None:
            break
        name, value = found
        passed[id(value)] = value
        place = f"{place}{name}" if name.startswith("[") or not place else f"{place}.{name}"
        parts = _parts(value)
    return place, value


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, (list, tuple, set)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, torch.nn.Module):
        own = vars(value)
        yield from (own["_modules"] | own["_parameters"] | own["_buffers"]).items()
        yield from ((name, part) for name, part in own.items() if name not in ("_modules", "_parameters", "_buffers"))
    elif isinstance(getattr(value, "__closure__", None), tuple):
        yield from zip(value.__code__.co_freevars, (cell.cell_contents for cell in value.__closure__), strict=True)
    elif hasattr(value, "__dict__"):
        yield from vars(value).items()


def _travels(value: Any, passed: Mapping[int, Any]) -> bool:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def persistent_id(self, obj: Any) -> Any:
            return id(obj) if id(obj) in passed else None

    try:
        Pickler(io.BytesIO()).dump(value)
    except Exception:  # as above
        return False
    return True


def settings(world: int) -> dict[str, Any]:
    """Return what this process has been told about computing, for those it starts.

    Args:
        world: How many ranks share its processors.
    """
    threads = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        threads = min(threads, max(1, processors() // world))
    cudnn = torch.backends.cudnn
    return {
        "seed": torch.initial_seed(),
        "threads": threads,
        "dtype": torch.get_default_dtype(),
        "precision": torch.get_float32_matmul_precision(),
        "algorithms": algorithms(),
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
    }


def settle(found: Mapping[str, Any]) -> None:
    """Do in this process as `settings` found it in its starter; devices are seeded when they are first used."""
    torch.manual_seed(found["seed"])
    torch.set_num_threads(found["threads"])
    torch.set_default_dtype(found["dtype"])
    torch.set_float32_matmul_precision(found["precision"])
    use_algorithms(found["algorithms"])
    cudnn: Any = torch.backends.cudnn
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = found["cudnn"]
