"""The resolved config: plain values, and the YAML they are kept in.

Execution reads nothing else. Whatever depended on the place and the moment of composing
(``${...}``, the current directory, the clock) is a value by then; secrets alone stay references
to the environment: see `leyden.config.references`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import get_omega_conf_dumper
from omegaconf.errors import OmegaConfBaseException

from leyden import secrets
from leyden.config.bounded import check_plain, read_text
from leyden.config.plain import BROKEN, RUN_DIR, plain, run_dir_known
from leyden.config.problems import ConfigProblems, Problem
from leyden.config.references import NAMED_AFTER_SECRET, references
from leyden.config.variables import BESIDE_ROOT, VARIABLES, free_keys
from leyden.errors import ConfigurationError

_LONGEST = 100  # letters of a key: before longer ones, and empty ones, libyaml and PyYAML put question marks otherwise


def freeze(config: DictConfig | Mapping[str, Any], run_dir: str | Path | None = None) -> dict[str, Any]:
    """Resolve a composed config, once and for all.

    Args:
        config: Composed and checked. It is not changed.
        run_dir: Becomes ``paths.run_dir``, if that is not given yet.

    Returns:
        Dicts, lists, texts, numbers, truth values and None, in the order of the config.

    Raises:
        ConfigProblems: If a value is missing or refers to nothing.
    """
    root = config if isinstance(config, DictConfig) else OmegaConf.create(dict(config))
    with run_dir_known(root, None if run_dir is None else str(run_dir)):
        missing = isinstance(root.get("paths"), DictConfig) and OmegaConf.is_missing(root.paths, "run_dir")
        values, problems, raw = plain(root)
        if missing:
            problems = [Problem(RUN_DIR, "must be given: the directory of the run"), *problems]
        if run_dir is not None and secrets.holds_secret(str(run_dir)):
            problems = [*problems, Problem(RUN_DIR, NAMED_AFTER_SECRET)]
        if problems:
            raise ConfigProblems(problems)
        assert BROKEN not in values.values()
        values.pop("hydra", None)
        return _with_variables(references(values, raw), raw)


def _with_variables(values: dict[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Put variables of the top level where nobody takes them for arguments; who refers to them has the value by now."""
    free = {key: values.pop(key) for key in free_keys(values, raw, BESIDE_ROOT)}
    given = values.get(VARIABLES)
    known = {**(given if isinstance(given, dict) else {}), **free}
    if known:
        values[VARIABLES] = known
    else:
        values.pop(VARIABLES, None)
    return values


def dump(config: Mapping[str, Any]) -> str:
    """Write a resolved config as YAML: plain values only, keys in their order.

    The runs of a grid have most of their parts in common, and each is written once.
    """
    return "".join(_yaml(_Part(key, value)) for key, value in config.items()) or "{}\n"


class _Part:
    """One top-level key and its value; equal to another that would be written in the same way."""

    def __init__(self, key: str, value: Any) -> None:
        self.content, self.identity = {key: value}, repr((key, value))

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Part) and self.identity == other.identity


@lru_cache(maxsize=256)
def _yaml(part: _Part) -> str:
    if not _is_simple(part.content):
        return OmegaConf.to_yaml(OmegaConf.create(part.content))
    return yaml.dump(part.content, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=_dumper())


def _is_simple(value: Any) -> bool:
    """Tell whether OmegaConf would give *value* back as it is, and libyaml write it as PyYAML does."""
    if type(value) is dict:
        usual = all(type(key) is str and 0 < len(key) <= _LONGEST and _is_simple(key) for key in value)
        return usual and all(map(_is_simple, value.values()))
    if type(value) is list:
        return all(map(_is_simple, value))
    if type(value) is str:
        return value.isascii() and value.isprintable() and "${" not in value
    return value is None or type(value) in (bool, int, float)


@lru_cache(maxsize=1)
def _dumper() -> Any:
    """Return what writes texts as OmegaConf does, in a fifth of the time where PyYAML was built with libyaml."""
    slow = get_omega_conf_dumper()

    class Dumper(yaml.CDumper if yaml.__with_libyaml__ else slow):  # type: ignore[misc]
        """Writes what stands at several places at each of them."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(str, slow.str_representer)
    return Dumper


def load(path: str | Path) -> dict[str, Any]:
    """Read what `dump` wrote, or somebody pretends so: nothing in it is built, and its size is limited.

    Raises:
        ConfigurationError: If there is no such file, or it holds anything but a mapping of plain values.
    """
    try:
        text = read_text(path)
        check_plain(text)
        config = OmegaConf.load(io.StringIO(text))
    except (OSError, ValueError, RecursionError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigurationError(f"{path} cannot be read as a config: {error}") from error
    values = OmegaConf.to_container(config, resolve=False)
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} holds {type(values).__name__}, not the mapping that a config is.")
    return {str(key): value for key, value in values.items()}
