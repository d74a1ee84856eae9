"""What a job prints goes to a file, and no file of a run holds a secret: both streams leave them out.

A run at a terminal prints to a person, who may see them. A job's output is kept, in the run
directory or by the cluster; tracebacks repeat what an argument was.
"""

from __future__ import annotations

import sys
from typing import Any, TextIO

from leyden import secrets


class MaskedStream:
    """A text stream that leaves secrets out of what is written; in everything else it is the one below.

    Args:
        stream: That it writes to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write *text* without secrets; returns how many characters of it were dealt with."""
        self._stream.write(secrets.masked(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write all of *lines* without secrets."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def mask() -> None:
    """Leave secrets out of what this process prints from now on, unless it prints to a terminal."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not stream.isatty():
            setattr(sys, name, MaskedStream(stream))
