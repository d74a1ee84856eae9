"""Checks of constructor arguments: each refuses a value that cannot be meant, and names it."""

from __future__ import annotations

from leyden.errors import ConfigurationError


def check_count(owner: str, name: str, value: int, minimum: int = 1) -> None:
    """Refuse a *value* that is no whole number of at least *minimum*."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfigurationError(
            f"{owner} was given {name}={value!r}; it takes a whole number of at least {minimum}. "
            f"Set {name} to such a number, or leave it out to get the default."
        )


def check_number(owner: str, name: str, value: float, minimum: float = 0.0) -> None:
    """Refuse a *value* that is no number of at least *minimum*, NaN included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= minimum:
        raise ConfigurationError(
            f"{owner} was given {name}={value!r}; it takes a number of at least {minimum}. "
            f"Set {name} to such a number, or leave it out to get the default."
        )


def check_fractions(owner: str, **fractions: float) -> None:
    """Refuse fractions outside of (0, 1), and such as leave nothing to train on."""
    for name, value in fractions.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < 1.0:
            raise ConfigurationError(
                f"{owner} was given {name}={value!r}; it takes a fraction between 0 and 1, both excluded. "
                f"Set {name} to 0.1 for a tenth of the samples."
            )
    if sum(fractions.values()) >= 1.0:
        given = ", ".join(f"{name}={value!r}" for name, value in fractions.items())
        raise ConfigurationError(
            f"{owner} was given {given}, which add up to {sum(fractions.values()):g} and leave no samples "
            f"to train on. Their sum must be below 1: make one of them smaller."
        )
