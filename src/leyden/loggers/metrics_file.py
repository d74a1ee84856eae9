"""``metrics.csv``: rows of numbers in a file that survives being killed.

* A number is written as its Python ``repr``, the shortest text that reads back as the very
  same float, so two runs can be compared bit for bit.
* A name that turns up late gets a column at the end: the file is written anew beside the
  old one and replaces it in one step. All other rows are appended.
* After ``kill -9`` the file may hold rows a checkpoint knows nothing of, the last of them
  torn. `keep` cuts it back to the rows that count.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from itertools import chain, islice

from leyden import atomic
from leyden.errors import ConfigurationError
from leyden.warnings import warn_once


class MetricsFile:
    """Append rows to a CSV file.

    A file already at *path* belongs to an earlier run: it is replaced at the first write,
    unless `keep` was called before.

    Attributes:
        path: The file; its folder is made at the first write.
        columns: Names in the header, in order of first appearance.
        rows: Number of rows handed over so far, those still in memory included.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.columns: list[str] = []
        self.rows = 0
        self._pending: list[dict[str, float]] = []
        self._ours = False
        self._torn = False  # the file there is this run's own, and has lost its header

    def append(self, row: Mapping[str, float]) -> None:
        """Remember one row until the next `flush`."""
        self._pending.append(dict(row))
        self.rows += 1

    def flush(self) -> None:
        """Write what is pending; does nothing if nothing is."""
        if not self._pending:
            return
        names = dict.fromkeys(chain.from_iterable(self._pending))
        new = [name for name in names if name not in self.columns]
        if not self._ours:
            self._start(new)
        elif new:
            self._widen(new)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            file.writelines(self._line(row) for row in self._pending)
        self._pending.clear()

    def sync(self) -> None:
        """Write what is pending and wait until the disk has it."""
        self.flush()
        if self._ours:
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())

    def keep(self, rows: int) -> None:
        """Continue an existing file after its first *rows* rows; the rest is dropped, pending rows too.

        A file that is shorter keeps what is whole in it; one that is missing, or has not
        even a whole header, is started at the first write.
        """
        self._pending.clear()
        self.rows, self.columns, self._ours = 0, [], False
        if not os.path.exists(self.path):
            return
        with open(self.path, newline="\n", encoding="utf-8", errors="replace") as file:
            header = next(file, "")
            kept = [line for line in islice(file, rows) if line.endswith("\n")]
        self._torn = not header.endswith("\n")
        if self._torn:
            return
        self.columns = next(csv.reader([header]))
        self._rewrite(kept)
        self.rows = len(kept)

    def _start(self, names: list[str]) -> None:
        """Begin a new file that holds just the header."""
        if os.path.exists(self.path) and not self._torn:
            warn_once(
                f"{self.path} is from an earlier run and is replaced now, because this run starts anew. "
                "Give every run a folder of its own to keep both."
            )
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        self.columns = _checked(names)
        self._rewrite(())

    def _widen(self, names: list[str]) -> None:
        """Add columns at the end; the rows so far are empty there."""
        self.columns += _checked(names)
        with open(self.path, newline="\n", encoding="utf-8") as old:
            next(old)
            self._rewrite(line.rstrip("\r\n") + "," * len(names) + "\n" for line in old)

    def _rewrite(self, lines: Iterable[str]) -> None:
        """Replace the file by the header and *lines*."""
        header = io.StringIO()
        csv.writer(header, lineterminator="\n").writerow(self.columns)
        atomic.write(
            self.path, lambda file: file.writelines(line.encode() for line in chain([header.getvalue()], lines))
        )
        self._ours = True

    def _line(self, row: Mapping[str, float]) -> str:
        return ",".join(repr(row[name]) if name in row else "" for name in self.columns) + "\n"


def _checked(names: list[str]) -> list[str]:
    """Refuse a name that would break a line in two."""
    for name in names:
        if "\n" in name or "\r" in name:
            raise ConfigurationError(
                f"the metric name {name!r}, passed to log_metrics, contains a line break. "
                "In metrics.csv the header is one line. Rename the metric."
            )
    return names
