"""``--trust``: what a config that was read from a directory may name beside what is harmless."""

from __future__ import annotations

from argparse import ArgumentParser


def add_trust(parser: ArgumentParser) -> None:
    """Give a command that works on directories the option ``--trust``, any number of times."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package that the saved config may name beside torch, torchmetrics, leyden and this project; a variable "
        "of the environment that it may read (env:NAME); a URL that it may send to; or a folder (with a slash) that it "
        "may write to. For good: trust = [...] under [tool.leyden] in pyproject.toml",
    )
