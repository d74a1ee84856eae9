"""Follow the log of a run as it grows, until the run has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from leyden.errors import RunError
from leyden.runs.record.liveness import state
from leyden.runs.record.state import PENDING
from leyden.runs.record.status import read
from leyden.terminal import Decoder


def log_file(path: Path, rank: int) -> Path:
    """Return the log of one rank.

    Raises:
        RunError: If there is none.
    """
    file = path / "logs" / f"rank{rank}.log"
    if not file.is_file():
        there = sorted(each.name for each in file.parent.glob("rank*.log")) if file.parent.is_dir() else []
        raise RunError(
            f"{path} has no logs/{file.name}. There {'are: ' + ', '.join(there) if there else 'is no log yet'}."
        )
    return file


def last_lines(file: Path, count: int | None) -> tuple[str, int]:
    """Return the last *count* lines of a file, all with None, and where they end; they are printable."""
    content, decoder = file.read_bytes(), Decoder()
    lines = decoder.text(content).splitlines(keepends=True)
    shown = lines if count is None else lines[max(0, len(lines) - count) :]
    return "".join(shown), len(content) - decoder.waiting


def follow(
    path: Path, file: Path, at: int, interval: float = 0.2, ended: Callable[[], bool] | None = None
) -> Iterator[str]:
    """Yield what is added to *file* after byte *at*, as it comes and made printable; ends when the run has.

    Args:
        path: Of the run.
        file: Its log.
        at: Where to begin.
        interval: Seconds between two looks.
        ended: Tells whether the run has; None asks its directory.
    """
    decoder = Decoder()
    over = ended or (lambda: state(read(path), time.time()) not in PENDING)
    while True:
        done = over()
        size = file.stat().st_size
        if size < at:
            at, decoder = 0, Decoder()  # begun anew
        if size > at:
            with open(file, "rb") as opened:
                opened.seek(at)
                added = opened.read()
            at += len(added)
            yield decoder.text(added)
        elif done:
            return
        else:
            time.sleep(interval)
