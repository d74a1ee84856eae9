"""A config as plain dicts and lists, with every value that cannot be resolved marked.

OmegaConf resolves all or nothing, and stops at the first interpolation that leads
nowhere. Reading value by value finds them all. Few values of a config refer to anything, and only
those are asked of OmegaConf, which takes a hundred times as long as a look at what is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import reduce
from operator import getitem
from typing import Any, Final, NamedTuple

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from leyden.config.lookup import exists, paths
from leyden.config.problems import Problem, closest


class _Broken:
    """What stands where a value is missing or cannot be resolved; said once, then passed over."""

    def __repr__(self) -> str:
        return "???"


BROKEN: Final = _Broken()
Keys = tuple[Any, ...]  # that lead to a value, from the top
RUN_DIR = "paths.run_dir"
STAND_IN = "<run_dir>"


class Plain(NamedTuple):
    """What `plain` returns.

    Attributes:
        values: Resolved; `BROKEN` where there is no value.
        problems: One for each of those.
        raw: The same before anything was resolved, as plain dicts and lists.
    """

    values: dict[str, Any]
    problems: list[Problem]
    raw: dict[str, Any]


def plain(config: DictConfig | Mapping[str, Any]) -> Plain:
    """Resolve what can be resolved.

    Args:
        config: Not changed. ``paths.run_dir`` may be ``???``: it is known when the
            directory is made, and a stand-in is used for it here.
    """
    root = config if isinstance(config, DictConfig) else OmegaConf.create(dict(config))
    problems: list[Problem] = []
    with run_dir_known(root, STAND_IN):
        written = _as_written(root)
        values = _mapping(written, (), root, problems)
    return Plain(values, problems, {str(key): value for key, value in written.items()})


@contextmanager
def run_dir_known(config: DictConfig, run_dir: str | None) -> Iterator[None]:
    """Let ``paths.run_dir``, where it is still ``???``, be *run_dir* within a block; a copy would take longer."""
    known = run_dir is None or not (exists(config, "paths") and OmegaConf.is_dict(config.paths))
    if known or not OmegaConf.is_missing(config.paths, "run_dir"):
        yield
        return
    with open_dict(config.paths):
        config.paths.run_dir = run_dir
        try:
            yield
        finally:
            config.paths.run_dir = "???"


def settle(config: DictConfig) -> None:
    """Replace every ``${hydra:...}`` and ``${now:...}`` by its value, in place.

    Both mean something only while Hydra runs this very job; anywhere else, in a rank, a
    cluster job or a resumed run, they would mean something else or nothing.
    """
    momentary = list(_momentary(_as_written(config), ()))
    with open_dict(config) if momentary else nullcontext():
        for *parents, key in momentary:
            node = _below(config, parents)
            with suppress(OmegaConfBaseException):  # `check` says where it leads nowhere
                node[key] = node[key]


def _as_written(config: DictConfig) -> dict[Any, Any]:
    found = OmegaConf.to_container(config, resolve=False)
    assert isinstance(found, dict)
    return found


def _momentary(raw: Any, keys: Keys) -> Iterator[Keys]:
    """Yield the keys that lead to each value which means something for a moment only."""
    if isinstance(raw, dict | list):
        for key, item in raw.items() if isinstance(raw, dict) else enumerate(raw):
            yield from _momentary(item, (*keys, key))
    elif isinstance(raw, str) and re.search(r"\$\{(hydra|now):", raw):
        yield keys


def _below(config: Any, keys: Iterable[Any]) -> Any:
    return reduce(getitem, keys, config)


def _mapping(raw: dict[Any, Any], keys: Keys, root: DictConfig, problems: list[Problem]) -> dict[str, Any]:
    return {str(key): _resolved(item, (*keys, key), root, problems) for key, item in raw.items()}


def _resolved(raw: Any, keys: Keys, root: DictConfig, problems: list[Problem]) -> Any:
    """Return what is written at *keys*, as it is or, where it stands for something else, as OmegaConf has it."""
    if isinstance(raw, dict):
        return _mapping(raw, keys, root, problems)
    if isinstance(raw, list):
        return [_resolved(item, (*keys, at), root, problems) for at, item in enumerate(raw)]
    if isinstance(raw, str) and ("${" in raw or raw == "???"):
        return _value(_below(root, keys[:-1]), keys[-1], ".".join(map(str, keys)), root, problems)
    return raw


def _dict(node: DictConfig, path: str, root: DictConfig, problems: list[Problem]) -> dict[str, Any]:
    prefix = f"{path}." if path else ""
    return {str(key): _value(node, key, f"{prefix}{key!s}", root, problems) for key in node.keys()}  # noqa: SIM118


def _value(node: Any, key: Any, path: str, root: DictConfig, problems: list[Problem]) -> Any:
    if OmegaConf.is_missing(node, key):
        problems.append(Problem(path, f"must be given: it is ??? so far. Set it: {path}=<value>"))
        return BROKEN
    try:
        value = node[key]
    except OmegaConfBaseException as error:
        problems.append(Problem(path, _unresolved(node, key, root, error)))
        return BROKEN
    if isinstance(value, DictConfig):
        return _dict(value, path, root, problems)
    if isinstance(value, ListConfig):
        return [_value(value, at, f"{path}.{at}", root, problems) for at in range(len(value))]
    return value


def _unresolved(node: Any, key: Any, root: DictConfig, error: Exception) -> str:
    written = OmegaConf.to_container(node, resolve=False)[key]  # type: ignore[index]
    for name in _names(written):
        if not exists(root, name):
            close = closest(name, paths(root)) or next(
                (path for path in paths(root) if path.endswith(f".{name}")), None
            )
            hint = f". Did you mean ${{{close}}}?" if close else ""
            return f"refers to {name!r}, which does not exist: {written!r}{hint}"
    reason = str(error).partition("\n")[0]
    return f"cannot be resolved: {written!r} ({reason})"


def _names(written: Any) -> Iterator[str]:
    """Yield the absolute keys that an interpolation refers to."""
    for match in re.finditer(r"\$\{([A-Za-z_][\w.]*)\}", str(written)):
        yield match.group(1)
