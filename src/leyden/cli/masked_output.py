"""What a job prints goes to a file, and no file of a run holds a secret: both streams leave them out.

A run at a terminal prints to a person, who may see them. A job's output is kept, in the run
directory or by the cluster; tracebacks repeat what an argument was.
"""

from __future__ import annotations

import re
import sys
from typing import Any, TextIO

from leyden import secrets

_BEGIN = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----")
_LONGEST = 65_536  # characters of a line that are waited for


class MaskedStream:
    """A text stream that leaves secrets out of what is written; in everything else it is the one below.

    A line is written when it is whole: ``print("password:", word)`` writes a name and its value one after the other.
    What is not yet whole is written when the stream is flushed. A whole line reaches the file at once: a process that
    is killed has printed what it printed.

    Args:
        stream: That it writes to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = ""
        self._in_key = False

    def write(self, text: str) -> int:
        """Write *text* without secrets; returns how many characters of it were dealt with."""
        whole = max(text.rfind("\n"), text.rfind("\r"), len(text) - 1 if len(self._begun) > _LONGEST else -1) + 1
        if whole:
            self._stream.write(self._masked(self._begun + text[:whole]))
            self._stream.flush()
            self._begun = ""
        self._begun += text[whole:]
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write all of *lines* without secrets."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is there of a line, and flush the stream below."""
        begun, self._begun = self._begun, ""
        if begun:
            self._stream.write(self._masked(begun))
        self._stream.flush()

    def _masked(self, text: str) -> str:
        """Return *text* without secrets; a private key may go on over several writes."""
        if not self._in_key and "PRIVATE KEY-----" not in text:
            return secrets.masked(text)
        parts = []
        for line in text.splitlines(keepends=True):
            inside = self._in_key or _BEGIN.search(line) is not None
            self._in_key = inside and "-----END " not in line
            parts.append(secrets.MASK + line[len(line.rstrip("\r\n")) :] if inside else secrets.masked(line))
        return "".join(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def mask() -> None:
    """Leave secrets out of what this process prints from now on, unless it prints to a terminal."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not stream.isatty():
            setattr(sys, name, MaskedStream(stream))
