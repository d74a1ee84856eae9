"""Config and manifest as tables: what differs between the runs first, all of it folded away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leyden.runs.report.gathering import Run
from leyden.runs.report.markup import Html, folded, join, table, tag, text
from leyden.runs.sections import flat

Values = Mapping[str, Any]
_MOST_ROWS = 2_000
_PARTS = {
    "Code": ("code", "entry", "work_dir", "argv"),
    "Environment": ("environment", "process", "slurm"),
    "Data": ("data", "loaders"),
    "Determinism and ranks": ("determinism", "seeds", "world"),
    "Course": ("created", "completed", "restarts", "attempts"),
}
_OF_EACH_RUN = ("created", "completed", "attempts", "process", "argv", "environment.process")
"""Parts of a manifest that no two runs share, so that nothing follows from their difference."""


def config(runs: Sequence[Run], labels: Sequence[str]) -> Html:
    """Return the configs: the overrides of one run, the differences of several, and all values folded."""
    sides = [run.config for run in runs]
    if not any(sides):
        return tag("p", text("No config could be read."))
    if len(runs) > 1:
        return _compared(sides, labels, "configs", _whatever)
    typed = runs[0].typed
    chosen = join((tag("code", text(word)) for word in typed), " ") if typed else text("nothing, all defaults")
    return join([tag("p", Html(f"Typed: {chosen}"), "typed"), _all(sides, labels, "All values")])


def manifest(runs: Sequence[Run], labels: Sequence[str]) -> Html:
    """Return what the runs were made with: code, environment, data, determinism."""
    if not any(run.manifest for run in runs):
        return tag("p", text("Not recorded."))
    parts = [
        _all([_chosen(run.manifest, keys) for run in runs], labels, title)
        for title, keys in {**_PARTS, "More": _others(runs)}.items()
        if any(_chosen(run.manifest, keys) for run in runs)
    ]
    everything = [_chosen(run.manifest, tuple(run.manifest)) for run in runs]
    return Html((_differing(everything, labels, "manifests", _matters) if len(runs) > 1 else "") + join(parts))


def _compared(sides: Sequence[Values], labels: Sequence[str], what: str, counts: Callable[[str], bool]) -> Html:
    return Html(_differing(sides, labels, what, counts) + _all(sides, labels, "All values"))


def differing(sides: Sequence[Values]) -> list[str]:
    """Return the keys under which not all *sides* have the same value."""
    keys = dict.fromkeys(key for side in sides for key in side)
    return [key for key in keys if len({_identity(side, key) for side in sides}) > 1]


def shown(value: Any) -> str:
    """Write a value as a person would read it in YAML."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return repr(value) if isinstance(value, float) or value == "" else str(value)


def _differing(sides: Sequence[Values], labels: Sequence[str], what: str, counts: Callable[[str], bool]) -> Html:
    keys = [key for key in differing(sides) if counts(key)]
    if not keys:
        return tag("p", text(f"The {what} are equal."))
    return _table(sides, labels, keys, frozenset())


def _all(sides: Sequence[Values], labels: Sequence[str], title: str) -> Html:
    keys = list(dict.fromkeys(key for side in sides for key in side))
    other = frozenset(differing(sides))
    count = f"{len(keys)} value{'s' * (len(keys) != 1)}" + (f", {len(other)} differ" if other else "")
    return folded(Html(f"{text(title)} <small>{count}</small>"), _table(sides, labels, keys, other))


def _table(sides: Sequence[Values], labels: Sequence[str], keys: Sequence[str], marked: frozenset[str]) -> Html:
    head = [text(""), *map(text, labels)] if len(sides) > 1 else []
    rows = [
        ("differs" if key in marked else "", [text(key), *(_cell(side, key) for side in sides)])
        for key in keys[:_MOST_ROWS]
    ]
    left = len(keys) - len(rows)
    more = tag("p", text(f"{left} more are not shown."), "note") if left > 0 else ""
    return Html(table(head, rows, "values") + more)


def _cell(side: Values, key: str) -> Html:
    return text(shown(side[key])) if key in side else Html('<span class="absent">not there</span>')


def _identity(side: Values, key: str) -> str:
    return f"{type(side[key]).__name__} {side[key]!r}" if key in side else ""


def _chosen(manifest: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    found = {path: value for key in keys if key in manifest for path, value in flat(manifest[key], key)}
    return {path: value for path, value in found.items() if value is not None and value != {} and path != "version"}


def _others(runs: Sequence[Run]) -> tuple[str, ...]:
    known = {key for keys in _PARTS.values() for key in keys}
    return tuple(dict.fromkeys(key for run in runs for key in run.manifest if key not in known))


def _whatever(key: str) -> bool:
    return bool(key)


def _matters(key: str) -> bool:
    return not any(key == part or key.startswith(f"{part}.") for part in _OF_EACH_RUN)
