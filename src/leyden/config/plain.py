"""A config as plain dicts and lists, with every value that cannot be resolved marked.

OmegaConf resolves all or nothing, and stops at the first interpolation that leads
nowhere. Reading value by value finds them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from leyden.config.lookup import exists, paths
from leyden.config.problems import Problem, closest


class _Broken:
    """What stands where a value is missing or cannot be resolved; said once, then passed over."""

    def __repr__(self) -> str:
        return "???"


BROKEN: Final = _Broken()
RUN_DIR = "paths.run_dir"
STAND_IN = "<run_dir>"


def plain(config: DictConfig | Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Resolve what can be resolved.

    Args:
        config: Not changed. ``paths.run_dir`` may be ``???``: it is known when the
            directory is made, and a stand-in is used for it here.

    Returns:
        The values, `BROKEN` where there is none, and one problem for each of those.
    """
    root = config if isinstance(config, DictConfig) else OmegaConf.create(dict(config))
    problems: list[Problem] = []
    with run_dir_known(root, STAND_IN):
        values = _dict(root, "", root, problems)
    return values, problems


@contextmanager
def run_dir_known(config: DictConfig, run_dir: str | None) -> Iterator[None]:
    """Let ``paths.run_dir``, where it is still ``???``, be *run_dir* within a block; a copy would take longer."""
    known = run_dir is None or not (exists(config, "paths") and OmegaConf.is_dict(config.paths))
    if known or not OmegaConf.is_missing(config.paths, "run_dir"):
        yield
        return
    with open_dict(config):
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
    with open_dict(config):
        _settle(config)


def _settle(node: Any) -> None:
    for key in list(node) if OmegaConf.is_dict(node) else range(len(node)):
        if OmegaConf.is_missing(node, key):
            continue
        if not OmegaConf.is_interpolation(node, key):
            child = node[key]
            if OmegaConf.is_config(child):
                _settle(child)
        elif re.search(r"\$\{(hydra|now):", str(_written(node, key))):
            with suppress(OmegaConfBaseException):  # `check` says where it leads nowhere
                node[key] = node[key]


def _written(node: Any, key: Any) -> Any:
    """Return what stands in the config, before it is resolved."""
    return OmegaConf.to_container(node, resolve=False)[key]  # type: ignore[index]


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
    written = _written(node, key)
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
