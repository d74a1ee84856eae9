"""``leyden runs export FILE [conditions]``: a table of runs as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from leyden.cli.runs_arguments import parse, parser, selected
from leyden.errors import ConfigurationError
from leyden.runs.exporting import write
from leyden.terminal import printable


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("export", "Write a table of runs, a row each.", filters=True)
    options.add_argument("file", type=Path, help="ends in .csv or .parquet")
    options.add_argument("conditions", nargs="*", metavar="KEY=VALUE", help="only runs that meet all of them")
    options.add_argument("--sort", action="append", metavar="KEY", help="order; -KEY for descending")
    options.add_argument("--force", action="store_true", help="replace the file if it exists")
    arguments = parse(options, argv)
    if arguments.file.exists() and not arguments.force:
        raise ConfigurationError(f"{arguments.file} exists already. Choose another name, or replace it with --force.")
    runs = selected(arguments, arguments.conditions)
    columns = write(runs, arguments.file)
    print(f"{len(runs)} runs with {columns} columns in {printable(arguments.file)}")
    return 0
