"""``leyden runs diff RUN RUN...``: what differs between runs, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leyden.cli.columns import number, on_terminal, render
from leyden.cli.runs_arguments import parse, parser
from leyden.errors import ConfigurationError
from leyden.runs.differing import SECTIONS, Difference, delta, differences
from leyden.runs.exporting import finite
from leyden.runs.listing import MISSING, find
from leyden.runs.reading import document
from leyden.terminal import as_json

_HASH = re.compile("[0-9a-f]{40,}")  # of git, or a sha256
NEEDS_MANIFEST = ("code", "environment", "data")


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("diff", "Show what differs between runs: config, code, environment, data and metrics.")
    options.add_argument("runs", nargs="+", metavar="RUN", help="a directory, a part of its name, or: last")
    options.add_argument("--only", choices=SECTIONS, action="append", help="this section alone; may be repeated")
    options.add_argument("--json", action="store_true", help="for programs")
    arguments = parse(options, argv)
    if len(arguments.runs) < 2:
        raise ConfigurationError(f"there is one run to compare, {arguments.runs[0]!r}. Name two or more.")
    paths = [find(word, arguments.root) for word in arguments.runs]
    found = {name: rows for name, rows in differences(paths).items() if name in (arguments.only or SECTIONS)}
    if arguments.json:
        print(as_json({"runs": [str(path) for path in paths], **_for_programs(found)}))
    else:
        print("\n".join(page(paths, found)))
    return 0


def page(paths: Sequence[Path], found: Mapping[str, Sequence[Difference]]) -> list[str]:
    """Return the lines that describe differences, section by section."""
    names = [_name(path, paths) for path in paths]
    unknown = [name for name, path in zip(names, paths, strict=True) if not document(path / "manifest.json")]
    lines: list[str] = []
    for section, rows in found.items():
        if not rows and section in NEEDS_MANIFEST and unknown:
            lines += [f"{section}   not known: no manifest.json in {', '.join(unknown)}", ""]
        elif not rows:
            lines += [f"{section}   the same", ""]
        else:
            lines += [*_table(section, names, rows), ""]
    return lines[:-1]


def _table(section: str, names: Sequence[str], rows: Sequence[Difference]) -> list[str]:
    deltas = [delta(row) if section == "metrics" else None for row in rows]
    numbers = any(each is not None for each in deltas)
    header = [section, *names, *(["difference"] if numbers else [])]
    ends = [[("" if each is None else f"{each:+.4g}")] if numbers else [] for each in deltas]
    return render(header, [[row.key, *map(_cell, row.values), *end] for row, end in zip(rows, ends, strict=True)])


def _cell(value: Any) -> str:
    if value is MISSING:
        return "-"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str) and on_terminal() and _HASH.fullmatch(value):
        return value[:12]
    return "null" if value is None else number(value)


def _name(path: Path, paths: Sequence[Path]) -> str:
    """Return the shortest end of a path that no other one has."""
    others = [each for each in paths if each != path]
    ends = ("/".join(path.parts[-count:]) for count in range(1, len(path.parts)))
    return next((end for end in ends if not any(str(each).endswith(f"/{end}") for each in others)), str(path))


def _for_programs(found: Mapping[str, Sequence[Difference]]) -> dict[str, Any]:
    return {
        section: {row.key: [None if value is MISSING else finite(value) for value in row.values] for row in rows}
        for section, rows in found.items()
    }
