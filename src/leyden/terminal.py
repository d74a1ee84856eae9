r"""What is printed came out of files, and files may be made by anybody: text is shown, never obeyed.

    printable(text)         one line: a name, a path, a cell of a table
    printable_lines(text)   several: an error, a config, a traceback, the end of a log
    number(value)           a metric, four significant digits
    Decoder                 a log as it grows, whose bytes may be cut anywhere
    complain(error)         an error on the standard error stream
    plain_output()          a second wall: both streams let nothing but text and colours through
    prepare()               tracebacks and warnings

What could command a terminal or turn its direction of writing is shown as Python would write it
in a string: ``\x1b``, ``\x9b``, ``\u202e``. Letters of all languages, the joiners some of them need, and emoji
stay; lines are cut where they are too long to be read.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

LONGEST = 4000  # letters of a line; longer ones are cut
_HARMLESS = (
    frozenset("\xa0\u1680\u202f\u205f\u3000") | frozenset(map(chr, range(0x2000, 0x200B))) | {"\u200c", "\u200d"}
)
_PLAIN = {"─": "-", "━": "-", "│": "|", "·": "-", "…": "...", "→": "->", "←": "<-", "—": "-", "✓": "+", "✗": "x",
          "├": "|", "└": "`", "±": "+-", "●": "*", "█": "#", "▸": ">", "“": '"', "”": '"'}  # fmt: skip
PLAIN_SIGNS = "leyden-plain"  # how a text is encoded whose signs an encoding may lack: see `encodable`
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_format_warning = warnings.formatwarning
_CLEAR = "\x1b[H\x1b[2J"
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def printable(text: object, longest: int = LONGEST) -> str:
    """Return *text* as one line that a terminal can only show.

    Args:
        text: Of any origin; what is no text is written by ``str``.
        longest: Letters after which it is cut.
    """
    said = str(text)
    if not said.isprintable():
        said = _shown(said.replace("\n", " ").replace("\t", " "))
    return _cut(said, longest)


def printable_lines(text: object, longest: int = LONGEST) -> str:
    """Return *text* as lines that a terminal can only show: line feeds and tabs stay what they are.

    A carriage return, by which one line could be written over another, begins a new line.

    Args:
        text: Of any origin; what is no text is written by ``str``.
        longest: Letters after which a line is cut.
    """
    said = str(text)
    if said.isprintable():
        return _cut(said, longest)
    if not said.replace("\n", "").replace("\t", "").isprintable():
        said = _shown(said.replace("\r\n", "\n").replace("\r", "\n"), "\n\t")
    return "\n".join(_cut(line, longest) for line in said.split("\n")) if len(said) > longest else said


def number(value: float) -> str:
    """Write a number for a person: four significant digits, and all digits before the point of a number below 1e7."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"


def encodable(text: str) -> str:
    """Return *text* with plain signs in the place of those that the encoding of the standard output lacks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text if text.isascii() else text.encode(encoding, PLAIN_SIGNS).decode(encoding)


def as_json(value: Any) -> str:
    """Return *value* as JSON for programs, of which a terminal can show every letter."""
    return json.dumps(value, indent=2, default=str)  # in ASCII


def complain(error: object) -> None:
    """Print *error* on the standard error stream."""
    print(printable_lines(error), file=sys.stderr)  # noqa: T201 - this is what prints


def prepare() -> None:
    """Prepare this process for its terminal: for the program itself, not for a function that others may call.

    Tracebacks and warnings, which repeat values, are made printable. What the encoding of the terminal does not have is
    the matter of `leyden.cli.streams`.
    """
    sys.excepthook = _traceback
    warnings.formatwarning = _warning


def clear() -> None:
    """Clear the screen."""
    stream = sys.stdout
    (stream.below if isinstance(stream, PlainStream) else stream).write(_CLEAR)


class Decoder:
    """Turns the bytes of a growing log into lines that a terminal can only show, wherever the bytes are cut.

    No line is cut, since a program may read them.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._returned = False

    def text(self, content: bytes, last: bool = False) -> str:
        """Return the text of *content*; what is incomplete waits for the next call, unless this is the *last*."""
        found = self._decoder.decode(content, last)
        if self._returned and found:
            found = "\r" + found
        self._returned = found.endswith("\r") and not last
        return printable_lines(found[:-1] if self._returned else found, sys.maxsize)

    @property
    def waiting(self) -> int:
        """How many bytes at the end of the last call wait for the next one."""
        return len(self._decoder.getstate()[0]) + self._returned


class PlainStream:
    """A text stream that lets nothing through but text, and colours where it is a terminal.

    Args:
        below: The stream that it writes to; in everything else it is that one.
    """

    def __init__(self, below: TextIO) -> None:
        self.below = below
        self._on_terminal = below.isatty()

    def isatty(self) -> bool:
        """Whether it is a terminal; the system is asked once."""
        return self._on_terminal

    def write(self, text: str) -> int:
        """Write *text*, made printable; returns how many letters of it were dealt with."""
        parts = _COLOUR.split(text) if "\x1b" in text and self._on_terminal else [text]
        shown = (part if at % 2 else printable_lines(part, sys.maxsize) for at, part in enumerate(parts))
        self.below.write("".join(shown))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write all of *lines*."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


@contextmanager
def plain_output() -> Iterator[None]:
    """Let nothing but text and colours through to both standard streams.

    For commands that only read: a command that executes a run draws bars, and moves the cursor.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = PlainStream(before[0]), PlainStream(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    from traceback import format_exception

    sys.stderr.write(printable_lines("".join(format_exception(kind, error, trace))))
    sys.stderr.flush()


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    if filename.startswith(_PACKAGE):  # about nothing in the user's code: a line of ours would mislead
        return printable_lines(f"{category.__name__}: {message}\n")
    return printable_lines(_format_warning(message, category, filename, lineno, line))


def _shown(text: str, kept: str = "") -> str:
    """Write as an escape whatever is neither printable, harmless nor one of *kept*."""
    others = {each for each in set(text) if not each.isprintable()} - _HARMLESS - set(kept)
    return text.translate({ord(each): _escape(each) for each in others}) if others else text


def _escape(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode() if ord(letter) > 127 else f"\\x{ord(letter):02x}"


def _cut(line: str, longest: int) -> str:
    return line if len(line) <= longest else f"{line[:longest]}… ({len(line) - longest} letters more)"


def _plain_sign(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff":  # a byte of a file's name that is no text
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    return _PLAIN.get(sign, sign.encode("ascii", "backslashreplace").decode("ascii")), error.start + 1


codecs.register_error(PLAIN_SIGNS, _plain_sign)
