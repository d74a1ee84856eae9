"""Variables of a config: values that nothing is built from, and that others refer to.

    vars:                      width: 32
      width: 32                model:
    model:                       hidden: ["${width}", "${width}"]
      hidden: ["${vars.width}"]

Their place is ``vars``. A key at the top level that the experiment does not take is a variable, too, if something
refers to it, as it is in any other Hydra program; a frozen config has it under ``vars``, as it has been read by then.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

from leyden.config.targets import arguments_of, locate
from leyden.errors import ConfigurationError

VARIABLES = "vars"
BESIDE_ROOT = ("paths", "hydra", VARIABLES)  # at the top level, yet no arguments of the experiment


def referred_to(raw: Any) -> set[str]:
    """Return the names in all ``${...}`` of a config, relative ones by what follows their dots."""
    if isinstance(raw, Mapping):
        return set().union(*map(referred_to, raw.values()))
    if isinstance(raw, list):
        return set().union(*map(referred_to, raw))
    if not isinstance(raw, str) or "${" not in raw:
        return set()
    return {name.strip(".") for name in re.findall(r"[A-Za-z_.][\w.\-\[\]]*", raw)}


def is_read(key: str, names: Container[str] | set[str]) -> bool:
    """Tell whether one of *names* refers to the dotted *key*, to something below it, or to it from its own part."""
    last = key.rpartition(".")[2]
    known: Any = names
    return any(
        name in (last, key) or name.startswith((f"{key}.", f"{key}[")) or name.endswith(f".{last}") for name in known
    )


def free_keys(values: Mapping[str, Any], raw: Mapping[str, Any], beside: Container[str]) -> list[str]:
    """Return the keys at the top level that are variables.

    Args:
        values: The config, resolved.
        raw: The same before anything was resolved.
        beside: Keys that are no arguments of the experiment, either.
    """
    taken = _taken(values.get("_target_"))
    unknown = [key for key in values if taken is not None and key not in taken and key not in beside and key[:1] != "_"]
    if not unknown:
        return []
    names = referred_to(raw)
    return [key for key in unknown if any(name == key or name.startswith((f"{key}.", f"{key}[")) for name in names)]


def _taken(target: Any) -> set[str] | None:
    """Return the arguments of the root target; None where it takes anything, or there is none."""
    try:
        arguments = arguments_of(locate(target)) if isinstance(target, str) else None
    except (ConfigurationError, TypeError):
        return None
    return None if arguments is None or arguments.anything else set(arguments.parameters)
