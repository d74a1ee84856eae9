"""Moments as the files of a run write them: UTC, in ISO 8601, to the second."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """Return the time, in UTC, as text."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def seconds(moment: object) -> float | None:
    """Return a moment written by `now` as seconds since 1970; None if it is none."""
    if not isinstance(moment, str):
        return None
    try:
        found = datetime.fromisoformat(moment)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
