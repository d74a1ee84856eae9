"""What a config of a stranger refers to, looked up by rules of its own before anything is judged.

A saved config holds plain values. The one exception are secrets, which stay references to variables of the
environment (`leyden.config.references`). Variables are the user's: a stranger's config reads those that the user
trusts (``--trust env:NAME``), and the address of the user's own MLflow server where such an address belongs. All
other ``${...}`` is refused, also escaped, nested, and in the default of a reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from leyden.config.plain import BROKEN, plain
from leyden.config.problems import Problem
from leyden.config.references import references, unset
from leyden.config.trust import Trust

_MEANT = {"tracking_uri": ("leyden.loggers.MLFlowLogger", "leyden.loggers.mlflow.MLFlowLogger", "MLFLOW_TRACKING_URI")}
"""Parameters that Leyden itself gives a variable: by name, the targets that have them, and the variable."""

_NAME = r"\$\{oc\.env:\s*['\"]?([A-Za-z_]\w*)['\"]?\s*"
_PLACE = r"\$\{paths\.(?:run_dir|output_dir|data_dir|work_dir)\}"
_REFERENCE = re.compile(rf"{_NAME}(?:,((?:[^${{}}\\]|{_PLACE})*))?\}}")
_PLAIN = "stands for another value, but a saved config holds plain values only. Write the value itself"


def looked_up(config: Mapping[str, Any], trust: Trust) -> tuple[dict[str, Any], list[Problem]]:
    """Return *config* with its references replaced by what they stand for, and what it may not refer to.

    Args:
        config: As it was read; nothing in it is changed.
        trust: Which variables it may read.

    Returns:
        The values that will be used, and problems; if there are any, the values are those that were written.
    """
    problems = list(_refused(config, "", None, trust))
    if problems:
        return dict(config), problems
    found, broken, _ = plain({key: value for key, value in config.items() if _refers(value) or key == "paths"})
    values = {key: found.get(key, value) for key, value in config.items()}
    problems = [unset(each) for each in broken] or list(_again(found, config, ""))
    references(values, config)  # from now on what is printed leaves the secrets out
    return (dict(config), problems) if problems else (values, [])


def _refused(value: Any, path: str, node: Mapping[Any, Any] | None, trust: Trust) -> Iterator[Problem]:
    """Find references to what is not the config's to read."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            where = f"{path}.{key}" if path else str(key)
            yield from _refused(item, where, value, trust)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _refused(item, f"{path}.{at}", None, trust)
    elif isinstance(value, str) and "${" in value:
        yield from _of_text(value, path, node, trust)


def _of_text(text: str, path: str, node: Mapping[Any, Any] | None, trust: Trust) -> Iterator[Problem]:
    rest = _REFERENCE.sub("", text)
    if "$" in rest or "\\" in text:
        yield Problem(short(path), f"'{short(text)}' {_PLAIN}")
        return
    first, last = path.partition(".")[0], path.rpartition(".")[2]
    for name, default in _REFERENCE.findall(text):
        meant = _is_meant(last, name, text, node)
        if first == "paths" or last.startswith("_") or (default and "${" in default and not meant):
            yield Problem(short(path), f"'{short(text)}' {_PLAIN}")
        elif not meant and name not in trust.variables:
            yield Problem(
                short(path),
                f"'{short(text)}' reads the environment variable {name}, and this config is not from a launch of yours "
                f"at this place. If it may know the value: --trust env:{name}",
            )


def _is_meant(key: str, name: str, text: str, node: Mapping[Any, Any] | None) -> bool:
    """Whether a variable stands, alone, where Leyden's own configs put it."""
    *targets, variable = _MEANT.get(key, ("",))
    return (
        name == variable
        and node is not None
        and node.get("_target_") in targets
        and _REFERENCE.fullmatch(text) is not None
    )


def _again(found: Any, raw: Any, path: str) -> Iterator[Problem]:
    """Find values that would be looked up once more: what a variable holds is a text, and nothing else."""
    if isinstance(found, dict) and isinstance(raw, Mapping):
        for key, item in found.items():
            yield from _again(item, raw.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(found, list) and isinstance(raw, list):
        for at, (item, each) in enumerate(zip(found, raw, strict=True)):
            yield from _again(item, each, f"{path}.{at}")
    elif found is BROKEN or (isinstance(found, str) and "${" in found):
        yield Problem(short(path), f"'{short(raw)}' {_PLAIN}")


def _refers(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_refers, value.values()))
    return any(map(_refers, value)) if isinstance(value, list) else isinstance(value, str) and "${" in value


def short(text: Any) -> str:
    """Write what a stranger wrote so that it fits a line, and a terminal reads no commands in it."""
    shown = ascii(text)[1:-1] if isinstance(text, str) else ascii(text)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."
