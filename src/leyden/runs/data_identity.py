"""Which data a run has seen, and by which recipe its loaders fed them.

    of_loader(loader)     what the data set behind a loader holds: arrays, files, or a generator's arguments
    paths_in(config)      what the config's data group says about files and folders; needs nothing built
    of_paths(paths)       what those hold
    recipe(loader)        batch size, order, workers: what decides which samples make a batch

None of them reads a batch, or moves a generator.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from enum import StrEnum, auto
from pathlib import Path
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from leyden.combined_loader import CombinedLoader, flatten
from leyden.runs.contents import Contents
from leyden.runs.file_hashes import identify


class Kind(StrEnum):
    """Where the samples of a data set come from."""

    ARRAYS = auto()
    FILES = auto()
    GENERATED = auto()
    UNKNOWN = auto()


_PLAIN = "batch_size drop_last num_workers persistent_workers prefetch_factor pin_memory in_order timeout".split()
_NAMED = "collate_fn worker_init_fn".split()
_HINTS = ("root", "path", "dir", "file", "folder")


def by_name(kind: str, loaders: Any) -> dict[str, Any]:
    """Return the loaders of one stage under names: ``train``, or ``val/0`` and ``val/1``."""
    found = loaders.flattened if isinstance(loaders, CombinedLoader) else flatten(loaders)
    return {kind: found[0]} if len(found) == 1 else {f"{kind}/{at}": each for at, each in enumerate(found)}


def of_loader(loader: Any) -> dict[str, Any]:
    """Describe the data behind *loader*.

    Returns:
        ``kind``: ``arrays`` where any are in memory, ``files`` where there are only those,
        ``generated`` where plain arguments are all there is, else ``unknown``. ``sha256`` over
        all of it; ``unknown`` names what could not be looked into, ``sampled`` says that of
        an array only blocks were read, ``files`` what was said of each.
    """
    dataset = loader.dataset if isinstance(loader, DataLoader) else loader
    contents = Contents()
    contents.add("", dataset)
    return {
        "kind": _kind(contents).value,
        "sha256": contents.sha256,
        "type": _name(type(dataset)),
        "samples": _length(dataset),
        "bytes": contents.arrays,
        "files": contents.files,
        "sampled": contents.sampled,
        Kind.UNKNOWN.value: contents.unknown,
    }


def paths_in(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the values in the group ``data`` of a config that are meant as paths, by key; they need not exist."""
    return dict(_paths(config.get("data"), "data"))


def of_paths(paths: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Describe the files and folders *paths*, by key, as far as they are there.

    Relative paths begin at the current directory. A folder that holds the whole project
    says nothing about data and is left out.
    """
    found = {key: Path(path).expanduser().resolve() for key, path in paths.items()}
    whole = (Path.cwd(), *Path.cwd().parents)
    return {key: identify(path) for key, path in found.items() if path.exists() and path not in whole}


def recipe(loader: Any) -> dict[str, Any]:
    """Describe how *loader* makes batches."""
    facts: dict[str, Any] = {"type": _name(type(loader)), "batches": _length(loader)}
    if not isinstance(loader, DataLoader):
        return facts
    facts |= {"dataset": _name(type(loader.dataset)), "samples": _length(loader.dataset)}
    facts |= {name: getattr(loader, name, None) for name in _PLAIN}
    facts |= {name: _callable(getattr(loader, name)) for name in _NAMED}
    facts["multiprocessing"] = _start_method(loader)
    facts["generator"] = None if loader.generator is None else loader.generator.initial_seed()
    return facts | _order(loader)


def _order(loader: DataLoader[Any]) -> dict[str, Any]:
    sampler = loader.sampler
    shuffle = True if isinstance(sampler, RandomSampler) else False if isinstance(sampler, SequentialSampler) else None
    own = loader.batch_sampler is not None and type(loader.batch_sampler) is not BatchSampler
    return {
        "sampler": _name(type(sampler)) if sampler is not None else None,
        "shuffle": shuffle,
        "replacement": sampler.replacement if isinstance(sampler, RandomSampler) else None,
        "batch_sampler": _name(type(loader.batch_sampler)) if own else None,
    }


def _kind(contents: Contents) -> Kind:
    if contents.arrays:
        return Kind.ARRAYS
    if contents.files:
        return Kind.FILES
    return Kind.UNKNOWN if contents.unknown else Kind.GENERATED


def _paths(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _paths(item, f"{key}.{name}")
    elif isinstance(value, (list, tuple)):
        for at, item in enumerate(value):
            yield from _paths(item, f"{key}.{at}")
    elif isinstance(value, str) and 0 < len(value) < 1024 and (_hinted(key) or "/" in value):
        yield key, value


def _hinted(key: str) -> bool:
    return any(word in part for part in key.split(".")[-2:] for word in _HINTS)


def _length(value: Any) -> int | None:
    try:
        return len(value)
    except (TypeError, NotImplementedError, AttributeError):  # one without a length
        return None


def _callable(value: Any) -> str | None:
    if value is None:
        return None
    named = value if inspect.isroutine(value) or inspect.isclass(value) else type(value)
    return _name(named)


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _start_method(loader: DataLoader[Any]) -> str | None:
    context = loader.multiprocessing_context
    return None if context is None or isinstance(context, str) else str(context.get_start_method())
