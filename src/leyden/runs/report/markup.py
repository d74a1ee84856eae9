"""The only place where text becomes HTML: whatever comes from a run directory is escaped here."""

from __future__ import annotations

import html
import sys
from collections.abc import Iterable, Sequence
from typing import NewType

from leyden.terminal import printable_lines

Html = NewType("Html", str)
"""Markup; any other text has to go through `text` first."""

LONGEST = 400  # characters of a value that are shown


def text(value: object, longest: int = LONGEST) -> Html:
    """Escape *value*; what is longer than *longest* characters is cut off, and says so."""
    said = value if isinstance(value, str) else str(value)
    cut = said if len(said) <= longest else f"{said[:longest]}… ({len(said)} characters)"
    return Html(html.escape(printable_lines(cut, sys.maxsize), quote=True))


def join(parts: Iterable[Html], between: str = "") -> Html:
    """Put markup together."""
    return Html(between.join(parts))


def tag(name: str, inside: Html, classes: str = "") -> Html:
    """Put *inside* into an element; *name* and *classes* are ours, never a run's."""
    attribute = f' class="{classes}"' if classes else ""
    return Html(f"<{name}{attribute}>{inside}</{name}>")


def section(title: str, inside: Html, name: str) -> Html:
    """Return a part of the page; an empty one is left out."""
    return Html(f'<section id="{name}"><h2>{text(title)}</h2>{inside}</section>') if inside else Html("")


def folded(title: Html, inside: Html, opened: bool = False) -> Html:
    """Return a part that opens when it is clicked."""
    return Html(f"<details{' open' if opened else ''}><summary>{title}</summary>{inside}</details>")


def table(head: Sequence[Html], rows: Iterable[tuple[str, Sequence[Html]]], classes: str = "") -> Html:
    """Return a table that scrolls by itself where it is too wide.

    Args:
        head: Its first row; empty for none.
        rows: Class and cells of each of the others; the first cell is a heading.
        classes: Of the table.
    """
    top = f"<thead><tr>{''.join(f'<th scope=col>{cell}</th>' for cell in head)}</tr></thead>" if head else ""
    body = "".join(
        f'<tr class="{kind}"><th scope=row>{cells[0]}</th>{"".join(f"<td>{cell}</td>" for cell in cells[1:])}</tr>'
        for kind, cells in rows
    )
    return Html(f'<div class="wide"><table class="{classes}">{top}<tbody>{body}</tbody></table></div>')
