"""The types that the parts of a JSON file of a run must have: anybody can have written it.

A shape is a mapping of keys to types; ``{}`` stands for any mapping, ``[shape]`` for a list of mappings. A part that is
absent or null is not checked, and neither is one that no shape names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from leyden.errors import RunError

_MOST = 10**308  # a number beyond that is none to a float
_NAMES = {str: "a text", int: "a whole number", list: "a list", dict: "a mapping"}


def check(found: Mapping[str, Any], shape: Mapping[str, Any], file: str | os.PathLike[str], at: str = "") -> None:
    """Refuse what has another type than *shape* says.

    Args:
        found: What the file holds.
        shape: See the module.
        file: Where it was read, for the message.
        at: Dotted path of *found* in it.

    Raises:
        RunError: Names file, part and type.
    """
    for key, wanted in shape.items():
        value, place = found.get(key), f"{at}{key}"
        if value is None:
            continue
        kind = wanted if isinstance(wanted, type) else type(wanted)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            _refuse(value, kind, file, place)
        if isinstance(wanted, dict):
            check(value, wanted, file, f"{place}.")
        elif isinstance(wanted, list):
            for number, item in enumerate(value):
                check({"": item}, {"": wanted[0]}, file, f"{place}.{number}")


def check_numbers(found: Any, file: str | os.PathLike[str], at: str) -> None:
    """Refuse a mapping that holds anything but numbers.

    Raises:
        RunError: Names file and part.
    """
    for key, value in (found or {}).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or (type(value) is int and abs(value) > _MOST):
            raise RunError(
                f"{file} is damaged: {at}.{key!s:.80} is {value!r:.80}. Expected a number, as the run wrote it. Take a "
                "whole copy of the run."
            )


def _refuse(value: Any, kind: type, file: str | os.PathLike[str], at: str) -> None:
    raise RunError(
        f"{os.fspath(file)} is damaged: {at} is {value!r:.80}, which is of the type {type(value).__name__}. Expected "
        f"{_NAMES[kind]}, as the run wrote it. Take a whole copy of the run, or remove the file."
    )
