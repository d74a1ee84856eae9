"""Finding things in a config: does a key exist, what was probably meant, what may be added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from leyden.config.groups import Groups
from leyden.config.problems import closest, did_you_mean
from leyden.config.targets import Arguments, arguments_of, locate
from leyden.errors import ConfigurationError


def select(config: DictConfig, path: str) -> Any:
    """Return what is at the dotted *path* (the config itself for ``""``); None when nothing can be."""
    try:
        return OmegaConf.select(config, path) if path else config
    except OmegaConfBaseException:
        return None


def exists(config: DictConfig, key: str) -> bool:
    """Tell whether the dotted *key* is in *config*, whatever its value."""
    parent, _, last = key.rpartition(".")
    node = select(config, parent)
    if OmegaConf.is_list(node):
        return last.isdigit() and int(last) < len(node)
    return OmegaConf.is_dict(node) and last in node.keys()  # noqa: SIM118 (``in node`` is False for ???)


def paths(config: DictConfig) -> Iterator[str]:
    """Yield the dotted path of everything in *config* but Hydra's own part, parents before children."""
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    yield from _paths({key: value for key, value in plain.items() if key != "hydra"}, "")


def _paths(plain: Any, prefix: str) -> Iterator[str]:
    for key, value in plain.items() if isinstance(plain, dict) else ():
        yield f"{prefix}{key}"
        yield from _paths(value, f"{prefix}{key}.")


def suggestion(key: str, config: DictConfig, groups: Groups) -> str:
    """Say what the unknown *key* was probably meant to be.

    Looks for the same name elsewhere (``lr`` is ``optimizer.lr``), then for the first part
    that does not exist.
    """
    elsewhere = [path for path in paths(config) if path == key or path.endswith(f".{key}")]
    if elsewhere:
        return f"Did you mean {' or '.join(repr(path) for path in elsewhere[:3])}?"
    parts = key.split(".")
    for at, part in enumerate(parts):
        parent = ".".join(parts[:at])
        if not exists(config, ".".join(parts[: at + 1])):
            known = _names(config, parent) | (set() if parent else {name for name in groups.names() if "/" not in name})
            close = closest(part, known)
            if close is not None:
                return f"Did you mean {'.'.join([*parts[:at], close, *parts[at + 1 :]])!r}?"
            return did_you_mean(part, known, f"{parent or 'The top level'} has")
    return ""


def _names(config: DictConfig, path: str) -> set[str]:
    """Return the keys at *path*, and the arguments of its target."""
    node = select(config, path)
    keys = {str(key) for key in node} if OmegaConf.is_dict(node) else set()
    return {key for key in keys | takes(node) if not key.startswith("_") and key != "hydra"}


def takes(node: Any) -> set[str]:
    """Return the names of the arguments that the target of *node* takes."""
    arguments = arguments_at(node)
    return set() if arguments is None else set(arguments.parameters)


def arguments_at(node: Any) -> Arguments | None:
    """Return the arguments that the target of *node* takes; None if that cannot be told."""
    if not OmegaConf.is_dict(node) or not isinstance(node.get("_target_"), str):
        return None
    try:
        return arguments_of(locate(node["_target_"]))
    except ConfigurationError:
        return None  # `check` will say what is wrong with the target
