"""Conditions on runs, and orders of them, as they are typed.

status=finished  optimizer.lr>=1e-3  model.hidden=[64]  test_acc>0.97  age<2d
seed=1,2,3       one of these        seed!=0            another one, or none
name~digits      contains            run~*_08-*         matches the pattern
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import ge, gt, itemgetter, le, lt
from typing import Any

from leyden.config.problems import closest
from leyden.errors import ConfigurationError, RunError
from leyden.runs.listing import FIELDS, MISSING, TIMES, Run
from leyden.runs.sections import parse

_CONDITION = re.compile(r"^([^\s=<>!~]+?)\s*(==|!=|>=|<=|=|>|<|~)\s*(.*)$", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {">": gt, "<": lt, ">=": ge, "<=": le}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class Condition:
    """One condition.

    Args:
        key: What is asked for: see `leyden.runs.listing`.
        operator: One of ``= != > >= < <= ~``.
        texts: What it is compared with, as typed; with ``=`` and ``!=`` there may be several.
    """

    key: str
    operator: str
    texts: tuple[str, ...]

    def holds(self, run: Run) -> bool:
        """Tell whether *run* meets the condition; what it does not have is equal to null only."""
        value = run.get(self.key)
        value = None if value is MISSING else value
        if self.operator == "~":
            return value is not None and _like(str(value), self.texts[0])
        if self.operator in _COMPARE:
            return _ordered(value, _value(self.key, self.texts[0]), _COMPARE[self.operator])
        same = any(_equal(value, _value(self.key, text), text) for text in self.texts)
        return same is (self.operator == "=")


def condition(word: str) -> Condition | None:
    """Return the condition that *word* states; None if it is none, but a name say.

    Raises:
        ConfigurationError: If it has nothing to compare with.
    """
    match = _CONDITION.match(word)
    if match is None:
        return None
    key, operator, text = match.groups()
    if not text:
        raise ConfigurationError(
            f"the condition {word!r} compares {key} with nothing. Write for example {key}{operator}1"
        )
    several = operator in ("=", "==", "!=")
    return Condition(key, "=" if operator == "==" else operator, tuple(_split(text)) if several else (text,))


def conditions(words: Iterable[str]) -> list[Condition]:
    """Return the conditions that all of *words* state.

    Raises:
        ConfigurationError: If one is no condition.
    """
    found = []
    for word in words:
        stated = condition(word)
        if stated is None:
            raise ConfigurationError(
                f"{word!r} is no condition. Write KEY=VALUE, with = != > >= < <= or ~ (contains), and in quotes "
                "where the shell would take > or < for itself: 'test_acc>0.97'"
            )
        found.append(stated)
    return found


def select(runs: Sequence[Run], wanted: Sequence[Condition]) -> list[Run]:
    """Return those of *runs* that meet all conditions.

    Raises:
        RunError: If a condition asks for what none of them has.
    """
    require(runs, [each.key for each in wanted])
    return [run for run in runs if all(each.holds(run) for each in wanted)]


def ordered(runs: Sequence[Run], keys: Sequence[str]) -> list[Run]:
    """Return *runs* in the order of *keys*: ``key`` ascending, ``-key`` descending; what has no value is last.

    Raises:
        RunError: If none of them has one of the keys.
    """
    names = [key.removeprefix("-") for key in keys]
    require(runs, names)
    found = list(runs)
    for key, name in reversed(list(zip(keys, names, strict=True))):
        ranked = [(rank, run) for run in found if (rank := _rank(run.get(name))) is not None]
        ranked.sort(key=itemgetter(0), reverse=key.startswith("-"))
        absent = [run for run in found if _rank(run.get(name)) is None]
        found = [run for _, run in ranked] + absent
    return found


def require(runs: Sequence[Run], keys: Iterable[str]) -> None:
    """Refuse a key that no run has: a slip of the pen would otherwise select nothing, without a word."""
    for key in keys:
        if runs and key not in FIELDS and all(run.get(key) is MISSING for run in runs):
            names = known(runs)
            short = [name for name in names if name.endswith(f".{key}")]
            close = short[0] if short else closest(key, names)
            hint = (
                f"Did you mean {close!r}?" if close else f"Beside keys of the config and metrics: {', '.join(FIELDS)}."
            )
            raise RunError(f"none of the {len(runs)} runs has {key!r}: no metric, no key of a config. {hint}")


def known(runs: Iterable[Run]) -> list[str]:
    """Return everything that some run can be asked for."""
    parts = {(id(run._sections), number): run for run in runs for number in run.facts["config"].values()}
    keys = {key for (_, number), run in parts.items() for key in run._sections.rows[number][2]}
    return sorted(keys | set(FIELDS) | {name for run in runs for name in run.facts["metrics"]})


def _split(text: str) -> list[str]:
    """Split at commas outside of brackets and quotes."""
    found, depth, quote = [""], 0, ""
    for letter in text:
        if letter == "," and not depth and not quote:
            found.append("")
            continue
        quote = ("" if letter == quote else quote) if quote else (letter if letter in "'\"" else "")
        depth += (letter in "[{") - (letter in "]}")
        found[-1] += letter
    return found


def _value(key: str, text: str) -> Any:
    """Return what *text* means: a span of time where one is compared, else what it would mean in a config."""
    span = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text) if key in TIMES else None
    if span is not None:
        return float(span[1]) * _UNITS[span[2]]
    try:
        return parse(text)
    except RunError:
        return text


def _equal(found: Any, wanted: Any, text: str) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, str) and isinstance(wanted, str) and not text.startswith(("'", '"')):
        return found in (text, wanted)
    return bool(found == wanted) or (isinstance(found, str) and found == text)


def _ordered(found: Any, wanted: Any, compare: Callable[[Any, Any], bool]) -> bool:
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (found, wanted))
    return (numbers or (isinstance(found, str) and isinstance(wanted, str))) and compare(found, wanted)


def _like(found: str, pattern: str) -> bool:
    if any(letter in pattern for letter in "*?["):
        return fnmatch.fnmatchcase(found.lower(), pattern.lower())
    return pattern.lower() in found.lower()


def _rank(value: Any) -> tuple[int, Any] | None:
    """Return what a value is sorted by; None for what goes last."""
    if value is None or value is MISSING or (isinstance(value, float) and math.isnan(value)):
        return None
    return (0, value) if isinstance(value, int | float) else (1, str(value))
