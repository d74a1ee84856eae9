"""A table of runs as a file: one row each, config, metrics and status in columns."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from leyden import atomic
from leyden.errors import ConfigurationError
from leyden.runs.listing import FIELDS, MISSING, Run

FORMATS = (".csv", ".parquet")


def record(run: Run) -> dict[str, Any]:
    """Return everything about a run by column: fields, ``config.*``, ``choices.*``, ``metrics.*``."""
    fields = {key: run.get(key) for key in FIELDS}
    return {
        **{key: None if value is MISSING else value for key, value in fields.items()},
        "problem": run.facts["problem"] or None,
        **{f"choices.{key}": value for key, value in run.choices.items()},
        **{f"config.{key}": run.get(f"config.{key}") for key in run.config()},
        **{f"metrics.{key}": value for key, value in run.facts["metrics"].items()},
    }


def nested(run: Run) -> dict[str, Any]:
    """Return everything about a run for JSON: what is not a finite number is null there."""
    found = record(run)
    kinds = ("config", "choices", "metrics")
    parts: dict[str, Any] = {kind: {} for kind in kinds}
    for key, value in found.items():
        kind, _, rest = key.partition(".")
        target, name = (parts[kind], rest) if kind in kinds and rest else (parts, key)
        target[name] = finite(value)
    return {**parts, "typed": run.typed}


def finite(value: Any) -> Any:
    """Return *value* with infinities and NaN as None, which JSON has no numbers for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    return value


def write(runs: Sequence[Run], file: Path) -> int:
    """Write *runs* to a ``.csv`` or ``.parquet`` file, whole or not at all; returns the number of columns.

    Raises:
        ConfigurationError: If the name ends otherwise, or what is needed is not installed.
    """
    if file.suffix not in FORMATS:
        raise ConfigurationError(f"{file} ends in {file.suffix or 'nothing'}. Expected one of {', '.join(FORMATS)}.")
    rows = [record(run) for run in runs]
    names = _columns(rows)
    (_write_csv if file.suffix == ".csv" else _write_parquet)(names, rows, file)
    return len(names)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return all columns: fields first, then the rest by kind, in the order of their appearance."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    kinds = ("choices", "config", "metrics")
    return sorted(
        names, key=lambda name: next((at for at, kind in enumerate(kinds, 1) if name.startswith(f"{kind}.")), 0)
    )


def _write_csv(names: Sequence[str], rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(names)
    table.writerows([_cell(row.get(name)) for name in names] for row in rows)
    atomic.write(file, lambda opened: opened.write(text.getvalue().encode("utf-8", "replace")))


def _write_parquet(names: Sequence[str], rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigurationError(
            f"{file} is to be a Parquet file, which needs pyarrow. "
            'Install it: pip install "leyden[parquet]", or write a .csv file.'
        ) from None
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    atomic.write(file, lambda opened: parquet.write_table(pyarrow.table(columns), opened))


def _column(values: list[Any]) -> list[Any]:
    """Return values of one type: those of a column of a Parquet file; texts where they are mixed."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return [None if value is None else float(value) for value in values]
    return values if len(kinds) < 2 and kinds <= {bool, int, float, str} else [_text(value) for value in values]


def _cell(value: Any) -> str:
    return "" if value is None else _text(value)


def _text(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, default=str)
    return value if value is None or isinstance(value, str) else repr(value)
