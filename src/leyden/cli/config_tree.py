"""A config as a tree: what belongs together stands together, and one look shows how deep it goes.

config
├── model
│   ├── _target_: leyden.models.MLP
│   └── hidden: [128]
└── seed: 0
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from leyden import secrets
from leyden.terminal import printable

_FIRST = ("model", "data", "optimizer", "scheduler", "trainer", "callbacks", "logger")  # what is looked for first


def tree(config: Mapping[str, Any], title: str = "config") -> list[str]:
    """Return the lines of a tree; secrets are left out, and what came out of a file commands no terminal.

    Args:
        config: Resolved, as plain values.
        title: Of its root.
    """
    shown = secrets.masked_values(dict(config))
    ordered = {key: shown[key] for key in (*(key for key in _FIRST if key in shown), *shown)}
    return [printable(title), *_branches(ordered, "")]


def _branches(values: Any, margin: str) -> Iterator[str]:
    pairs = list(values.items() if isinstance(values, Mapping) else ((f"{at}", each) for at, each in enumerate(values)))
    for at, (key, value) in enumerate(pairs):
        last = at == len(pairs) - 1
        deep = bool(value) and (isinstance(value, Mapping) or (isinstance(value, list) and any(map(_is_deep, value))))
        said = "" if deep else f": {_written(value)}"
        yield f"{margin}{'└── ' if last else '├── '}{printable(f'{key}{said}')}"
        if deep:
            yield from _branches(value, f"{margin}{'    ' if last else '│   '}")


def _is_deep(value: Any) -> bool:
    return isinstance(value, Mapping | list) and bool(value)


def _written(value: Any) -> str:
    """Return a value as a config has it."""
    return value if isinstance(value, str) and value else json.dumps(value, default=str, ensure_ascii=False)
