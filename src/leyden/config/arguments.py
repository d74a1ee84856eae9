"""Which argument of a target each value in a config becomes, however it is given.

    {_target_: CSVLogger, _args_: [/elsewhere], name: x}  ─►  save_dir: /elsewhere (at _args_.0), name: x

Positional values get the names of their parameters, so that they are judged like all others. What stands in the place
of a text is settled, too: ``{_target_: pathlib.Path, _args_: [/elsewhere]}`` is the path it builds.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final, NamedTuple

_PATHS = frozenset(("pathlib.Path", "pathlib.PosixPath", "pathlib.PurePath"))
KEYS = frozenset(("_target_", "_args_", "_partial_", "_convert_", "_recursive_"))
"""What Hydra itself reads of a node."""


class _Built:
    """What stands for a value that another target builds."""

    def __repr__(self) -> str:
        return "what another target builds"


BUILT: Final = _Built()


class Argument(NamedTuple):
    """One argument of a target.

    Attributes:
        name: Of the parameter.
        value: As it stands in the config.
        where: Its path below the node.
    """

    name: str
    value: Any
    where: str


def bound(found: Any, node: Mapping[Any, Any]) -> list[Argument]:
    """Return the arguments that *node* gives to *found*.

    Args:
        found: What its ``_target_`` names.
        node: Of the config, references looked up.
    """
    given = node.get("_args_") or []
    keywords = [Argument(str(key), value, str(key)) for key, value in node.items() if key not in KEYS]
    if not given:
        return keywords
    return [*_positional(found, list(given)), *keywords]


def too_many(found: Any, given: list[Argument]) -> bool:
    """Whether more positional arguments are given than *found* takes, where that can be told."""
    return bool(_parameters(found)) and any(not argument.name for argument in given)


def missing(found: Any, names: frozenset[str], given: list[Argument]) -> list[str]:
    """Return those of the parameters *names* of *found* that are not given by name."""
    named = {argument.name for argument in given if not argument.where.startswith("_args_")}
    return [name for name in _parameters(found) if name in names and name not in named]


def settled(value: Any) -> Any:
    """Return the plain value that *value* comes to: itself, or the text of a path; `BUILT` where that is not known."""
    if not isinstance(value, Mapping) or "_target_" not in value:
        return value
    parts = [settled(each) for each in value.get("_args_") or []]
    plain = value["_target_"] in _PATHS and value.keys() <= {"_target_", "_args_"}
    if plain and all(isinstance(part, str) and "\0" not in part for part in parts):
        return str(PurePath(*parts))
    return BUILT


def _positional(found: Any, given: list[Any]) -> Iterator[Argument]:
    kinds = inspect.Parameter
    by_place = [
        each
        for each in _parameters(found).values()
        if each.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD, kinds.VAR_POSITIONAL)
    ]
    for at, value in enumerate(given):
        if at < len(by_place):
            name = by_place[at].name
        elif by_place and by_place[-1].kind is kinds.VAR_POSITIONAL:
            name = by_place[-1].name
        else:
            name = ""
        yield Argument(name, value, f"_args_.{at}")


def _parameters(found: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(found).parameters
    except (TypeError, ValueError):
        return {}
