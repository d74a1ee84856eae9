"""Ask a person before something is done that they may not have meant."""

from __future__ import annotations

import sys

from leyden.errors import ConfigurationError


def agreed(question: str, yes: bool, undone: str = "Nothing was done.") -> bool:
    """Ask, unless *yes* was said beforehand.

    Args:
        question: What is about to be done.
        yes: Whether somebody has agreed on the command line.
        undone: What is told where nobody can be asked.

    Raises:
        ConfigurationError: If nobody is there to answer.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} Nobody is there to answer. Say --yes to go ahead. {undone}")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
