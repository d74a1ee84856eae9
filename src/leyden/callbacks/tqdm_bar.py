"""tqdm's bar without its thread, and with metrics of a steady width.

Imported by `leyden.callbacks.tqdm_progress_bar` when a bar is opened.
"""

from __future__ import annotations

from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

_WIDTH = 5


class Tqdm(tqdm):  # type: ignore[misc]
    """A bar that only draws when it is told to: tqdm's monitor thread is not started for it."""

    monitor_interval = 0

    @staticmethod
    def format_num(n: Any) -> str:
        """Write a metric; fractions get trailing zeros, so that the bar does not jump to and fro."""
        text = n if isinstance(n, str) else str(tqdm.format_num(n))
        if isinstance(n, int) or "e" in text or not _is_number(text):
            return text
        if "." not in text and len(text) < _WIDTH:
            text += "."
        return text.ljust(_WIDTH, "0") if "." in text else text


class Above:
    """A stream whose lines stand above all bars.

    Args:
        below: That it writes to; in everything else it is that one.
    """

    def __init__(self, below: Any) -> None:
        self._below = below

    def write(self, text: str) -> int:
        """Write *text* above the bars."""
        with tqdm.external_write_mode(file=self._below):
            self._below.write(text)
            self._below.flush()  # before the bars are drawn again, on another stream maybe
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
