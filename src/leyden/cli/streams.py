"""What a command prints never decides how it ends: its streams outlive their reader, and fit any encoding.

a reader that is gone       leyden train | head -1     what is printed is dropped; followers ask `reader_gone`
a terminal that is closed   ssh is lost                likewise
a full disk                 leyden train > log         likewise, until there is room
ascii, latin-1              PYTHONIOENCODING, LC_ALL   signs that cannot be shown become plain ones
closed                      leyden train >&-           as if it were /dev/null
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

from leyden.terminal import PLAIN_SIGNS

_GONE = (errno.EPIPE, errno.EIO)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _EnduringFile(io.FileIO):
    """A descriptor to which can be written for ever: what cannot be written any more is dropped."""

    gone = False

    def write(self, data: Any) -> int:
        """Write *data*, or drop it; other errors are raised."""
        try:
            return super().write(data) if not self.gone else len(data)
        except OSError as error:
            if error.errno not in (*_GONE, *_FULL):
                raise
            self.gone = error.errno in _GONE
            return len(data)


def endure() -> None:
    """Replace this process's standard streams by ones that raise neither for their reader nor for their encoding."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            os.open(os.devnull, os.O_WRONLY)  # takes the number that is free
            replacement = _enduring(descriptor, "utf-8")
        elif type(stream) is io.TextIOWrapper and stream.fileno() == descriptor:
            stream.flush()
            replacement = _enduring(descriptor, stream.encoding, stream.line_buffering, stream.write_through)
        else:
            continue  # it is captured, by a notebook for instance
        setattr(sys, name, replacement)
        setattr(sys, f"__{name}__", replacement)


def reader_gone() -> bool:
    """Whether the reader of what is printed has gone."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, _EnduringFile) and raw.gone


def _enduring(descriptor: int, encoding: str, line_buffering: bool = True, write_through: bool = False) -> TextIO:
    file = io.BufferedWriter(_EnduringFile(descriptor, "w", closefd=False))
    found = io.TextIOWrapper(file, encoding, PLAIN_SIGNS, line_buffering=line_buffering, write_through=write_through)
    vars(found)["mode"] = "w"  # as Python's own streams have one
    return found
