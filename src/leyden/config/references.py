"""Secrets in a config: never written down, looked up where the run is executed.

    typed      logger.wandb.api_key='${oc.env:WANDB_API_KEY}'
    frozen     the same text: `references` puts it back in the place of the value
    executed   the value of the variable on that machine, by `resolved`

A secret that stands in a config as it is would end up on disk: `literal_secrets` finds it before. So would one that is
referred to where the value becomes the name of a file: it finds those, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from leyden import secrets
from leyden.config.plain import plain
from leyden.config.problems import ConfigProblems, Problem

_VARIABLE = re.compile(r"\$\{\s*oc\.env:\s*['\"]?(\w+)['\"]?\s*(?:,\s*([^${}]*))?")

_DEFAULTED = re.compile(r"\$\{\s*oc\.env:\s*['\"]?(?P<name>\w+)['\"]?\s*,(?:[^${}]|\$\{[^${}]*\})*\}")
_OF_FILES = frozenset(  # keys of what becomes the name of a file or a folder
    "name run_name experiment_name project filename dirpath save_dir dir root_dir default_root_dir version group "
    "run_dir output_dir data_dir work_dir path artifact_location checkpoint_name checkpoint_path_prefix tags".split()
)

NAMED_AFTER_SECRET = (
    "looks like a secret, and becomes the name of a file, a folder or an experiment, which everybody reads. Expected a "
    "name without one, whether it is typed or taken from an environment variable. Choose another name"
)


def references(values: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values*, resolved from *raw*, with what *raw* says in the place of each secret."""
    return {key: _kept(value, raw.get(key), key) for key, value in values.items()}


def resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    """Look up what a frozen config refers to.

    Raises:
        ConfigProblems: If a variable is not set here.
    """
    if not _refers(config):
        return dict(config)
    values, problems, raw = plain(config)
    if problems:
        raise ConfigProblems([unset(problem) for problem in problems], "the config of this run")
    references(values, raw)  # from now on the log leaves them out
    return values


def literal_secrets(values: Mapping[str, Any], raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Find secrets that stand in a config themselves.

    Args:
        values: Top-level parts, resolved.
        raw: What was written in their places.
    """
    for key, value in values.items():
        yield from _literal(value, raw.get(key), key)


def _kept(value: Any, raw: Any, name: str) -> Any:
    if isinstance(value, dict) and isinstance(raw, Mapping):
        inner = {str(key): item for key, item in raw.items()}
        return {key: _kept(item, inner.get(key), key) for key, item in value.items()}
    if isinstance(value, list) and isinstance(raw, list):
        return [_kept(item, each, name) for item, each in zip(value, raw, strict=True)]
    if isinstance(raw, str) and "${" in raw and (_has_secret(value, name) or _names_secret(raw)):
        _remember(value, name)
        return _DEFAULTED.sub(_without_default, raw)
    return value


def _without_default(found: re.Match[str]) -> str:
    """Leave out what would stand in for a variable that is set: the value is the variable's, and stays so."""
    return f"${{oc.env:{found['name']}}}" if found["name"] in os.environ else found.group(0)


def _literal(value: Any, raw: Any, path: str) -> Iterator[Problem]:
    name = path.rpartition(".")[2]
    if isinstance(value, dict) and isinstance(raw, Mapping):
        inner = {str(key): item for key, item in raw.items()}
        for key, item in value.items():
            yield from _literal(item, inner.get(key), f"{path}.{key}")
    elif isinstance(value, list) and isinstance(raw, list):
        for at, (item, each) in enumerate(zip(value, raw, strict=True)):
            yield from _literal(item, each, f"{path}.{at}" if isinstance(item, (dict, list)) else path)
    elif isinstance(raw, str) and "${" in raw:
        defaults = [default.strip("'\" ") for _, default in _VARIABLE.findall(raw)]
        if secrets.holds_secret(raw) or any(secrets.is_secret(name, default) for default in defaults):
            yield Problem(path, _remedy(path, value))
        elif name in _OF_FILES and isinstance(value, str) and "://" not in value and secrets.holds_secret(value):
            yield Problem(path, NAMED_AFTER_SECRET)
    elif secrets.is_secret(name, value):
        yield Problem(path, NAMED_AFTER_SECRET if name in _OF_FILES else _remedy(path, value))


def _remedy(path: str, value: Any) -> str:
    variable = secrets.variable_of(value) if isinstance(value, str) else None
    known = f"It is the value of the environment variable {variable}" if variable else "Keep it in one"
    suggested = variable or re.sub(r"\W", "_", "_".join(path.split(".")[-2:])).upper()
    return (
        "looks like a secret, and what stands in a config is written to the run directory. Expected a reference to an "
        f"environment variable. {known}, and write {path}='${{oc.env:{suggested}}}'"
    )


def unset(problem: Problem) -> Problem:
    """Return *problem*, said in terms of the variable that is not set, if that is the reason."""
    found = re.search(r"oc\.env:\s*['\"]?(\w+)", problem.message)
    if found is None:
        return problem
    return Problem(
        problem.path,
        f"refers to the environment variable {found[1]}, which is not set here; its value was not kept because it "
        f"looks like a secret. Set it: export {found[1]}=...",
    )


def _has_secret(value: Any, name: str) -> bool:
    if isinstance(value, dict):
        return any(_has_secret(item, key) for key, item in value.items())
    if isinstance(value, list):
        return any(_has_secret(item, name) for item in value)
    return secrets.is_secret(name, value)


def _names_secret(raw: str) -> bool:
    return any(secrets.names_variable(name) for name, _ in _VARIABLE.findall(raw))


def _remember(value: Any, name: str) -> None:
    """Have the value of a reference masked from now on; where that is a part of the config, the secrets in it."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else ((name, item) for item in value)
        for key, item in items:
            if _has_secret(item, key):
                _remember(item, key)
    else:
        secrets.remember(value)


def _refers(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_refers, value.values()))
    return any(map(_refers, value)) if isinstance(value, list) else isinstance(value, str) and "${" in value
