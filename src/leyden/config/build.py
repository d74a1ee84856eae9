"""From a config to objects: the one place that instantiates anything.

Hydra builds the tree bottom-up. Two things are done around it.

*Partial objects become plain.* Since 1.3.8 Hydra hands out a subclass of
`functools.partial` of its own for ``_partial_: true``, which its next version refuses to
pickle. A constructor that keeps one would make a module that cannot be saved. So each node
that is given a partial is built through `construct`, which exchanges them first:

    {_target_: Model, optimizer: {_target_: Adam, _partial_: true}}
    ─►  {_target_: construct, _args_: [{_target_: Model, _partial_: true, optimizer: ...}]}

*Errors keep their place.* What a constructor raises comes out with the path in the config
in front, instead of inside an exception of Hydra's.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from leyden.config.project import put_project_on_path
from leyden.config.references import resolved
from leyden.config.targets import locate
from leyden.config.variables import BESIDE_ROOT
from leyden.errors import ConfigurationError, LeydenError
from leyden.tracebacks import place

if TYPE_CHECKING:
    from leyden.experiment import Experiment

CONSTRUCT = f"{__name__}.construct"


class BuildError(LeydenError, RuntimeError):
    """A constructor failed; its own exception is the cause."""

    shows_cause = True


def build(config: DictConfig | Mapping[str, Any], composed: bool = True) -> Experiment:
    """Build the experiment that *config* describes. Seeds are the caller's business.

    Args:
        config: Composed and checked, best of all frozen.
        composed: On this command line; False if it was read from a directory. Then the import path stays what
            `leyden.config.judge.admit` has made it: the directory that the process is in may be anybody's.

    Raises:
        ConfigurationError: If a constructor raised one, or a ValueError, with the path in
            the config in front; or if Hydra refuses to call a target.
        BuildError: If a constructor raised anything else.
    """
    if composed:
        put_project_on_path()
    values = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else resolved(config)
    assert isinstance(values, dict)
    tree = {str(key): _prepared(value) for key, value in values.items() if key not in BESIDE_ROOT}
    built: Experiment = _instantiated(_through_construct(tree))
    return built


def build_part(values: Mapping[str, Any]) -> Any:
    """Build one node of a config that was composed here, and what is in it.

    Args:
        values: Resolved.

    Raises:
        ConfigurationError: If a constructor raised one, or a ValueError.
        BuildError: If a constructor raised anything else.
    """
    return _instantiated(_prepared(dict(values)))


def _instantiated(tree: Any) -> Any:
    try:
        return hydra.utils.instantiate(tree, _convert_="all", **_allowed(tree))
    except Exception as error:  # Hydra 1.3 wraps what a constructor raises, 1.4 adds a note to it
        cause = error.__cause__ if isinstance(error, InstantiationException) else error
        raise _placed(_path(error), cause, error) from (cause or error)


def construct(deferred: Any) -> Any:
    """Call what Hydra deferred, with plain partial objects as arguments."""
    plain = plain_partials(deferred)
    return plain() if isinstance(plain, functools.partial) else plain


def plain_partials(value: Any) -> Any:
    """Exchange every subclass of `functools.partial` in *value* for the plain class.

    Looks into dicts, lists, tuples and the arguments of partial objects.
    """
    if isinstance(value, functools.partial):
        keywords = {key: plain_partials(item) for key, item in value.keywords.items()}
        return functools.partial(value.func, *(plain_partials(item) for item in value.args), **keywords)
    if type(value) is dict:
        return {key: plain_partials(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain_partials(item) for item in value)
    return value


def _prepared(value: Any) -> Any:
    """Rewrite the nodes below that are given partial objects."""
    if isinstance(value, list):
        return [_prepared(item) for item in value]
    if isinstance(value, dict):
        inner = value if value.get("_recursive_") is False else {key: _prepared(item) for key, item in value.items()}
        return _through_construct(inner) if "_target_" in inner else inner
    return value


def _through_construct(node: dict[str, Any]) -> dict[str, Any]:
    if node.get("_partial_") or node.get("_recursive_") is False or not any(map(_has_partial, node.values())):
        return node
    return {"_target_": CONSTRUCT, "_args_": [{**node, "_partial_": True}]}


def _has_partial(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value.get("_partial_")) or any(map(_has_partial, value.values()))
    return isinstance(value, list) and any(map(_has_partial, value))


def _allowed(tree: Any) -> dict[str, Any]:
    """Return the argument by which Hydra 1.4 is told which targets may be called: those of the config.

    It asks for the name under which a target is imported, and for the one it was defined under.
    """
    major, minor = (int(part) for part in hydra.__version__.split(".")[:2])
    return {"_execution_whitelist_": sorted({CONSTRUCT, *_targets(tree)})} if (major, minor) >= (1, 4) else {}


def _targets(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = _both_names(str(value["_target_"])) if "_target_" in value else set()
        return own.union(*map(_targets, value.values()))
    return set().union(*map(_targets, value)) if isinstance(value, list) else set()


def _both_names(target: str) -> set[str]:
    try:
        found = locate(target)
    except ConfigurationError:
        return {target}
    return {target, f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"}


def _path(error: Exception) -> str:
    """Read the path in the config from what Hydra wrote into the exception or its notes."""
    text = "\n".join([str(error), *getattr(error, "__notes__", [])])
    keys = re.findall(r"^\s*full_key: (.*)$", text, flags=re.MULTILINE)
    parts = re.sub(r"_args_(\[0\]|\.?0)", "", keys[0]).split(".") if keys else []
    return ".".join(part for part in parts if part) or "the experiment"


def _placed(path: str, cause: BaseException | None, error: Exception) -> LeydenError:
    """Say where in the config a constructor failed, and in its own words why."""
    if isinstance(cause, ConfigurationError):
        return ConfigurationError(f"{path}: {cause}")
    if cause is None or isinstance(cause, InstantiationException | OmegaConfBaseException):
        said = str(cause or error).partition("\nfull_key")[0].partition(", set env var")[0]
        return ConfigurationError(f"{path} cannot be built: {' '.join(said.split())}")
    said = f"{path} could not be built: {type(cause).__name__}: {cause} (raised at {place(cause)})"
    return ConfigurationError(said) if isinstance(cause, ValueError) else BuildError(said)
